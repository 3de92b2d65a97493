"""ln Z of a small lattice at couplings that move a little at every step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowlab import exact
from flowlab.core import System

SPACING = 0.005
RATIO = 1.1
NODES = 6


class KnownLogZ:
    """The exact ln Z of a system as a function of some of its couplings, by :func:`flowlab.exact.log_z`.

    Of one coupling it is interpolated: polynomials through 6 points, 0.005 apart in kappa and 10 % apart in lam, which
    for 4 x 4 sites of phi^4 leave an error of about 1e-5; points are found when they are needed, and kept. Of several
    it is found anew where they have moved, since a grid of points would take longer than it saves.

    Args:
        names: of the couplings that move; the others are those of the first system it is asked for.

    >>> from flowlab.systems import Phi4
    >>> system = Phi4((4,), 0.2613, 0.02)
    >>> abs(KnownLogZ(["kappa"])(system) - exact.log_z(system)) < 1e-7
    True
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._found: dict[tuple[float, ...], float | None] = {}

    def __call__(self, system: System) -> float | None:
        """ln Z, None where none is known."""
        present = tuple(float(system.couplings[name].detach()) for name in self.names)
        if len(present) != 1 or float(system.couplings["lam"].detach()) == 0:
            if present not in self._found:
                self._found = {present: exact.log_z(system)}
            return self._found[present]
        name, value = self.names[0], present[0]
        at = math.log(value, RATIO) if name == "lam" else value / SPACING
        first, total = math.floor(at) - NODES // 2 + 1, 0.0
        for j in range(first, first + NODES):
            node = (RATIO**j if name == "lam" else j * SPACING,)
            if node not in self._found:
                self._found[node] = exact.log_z(system.at(**{name: node[0]}))
            found = self._found[node]
            if found is None:
                return None
            total += found * math.prod((at - k) / (j - k) for k in range(first, first + NODES) if k != j)
        return total
