"""ln Z of a small lattice at couplings that move a little at every step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from flowlab import exact
from flowlab.core import System

SPACING = {"kappa": 0.005, "lam": 0.002}
NODES = 6


class KnownLogZ:
    """The exact ln Z of a system as a function of some of its couplings, interpolated between points of a grid.

    Polynomials through 6 points in each coupling, 0.005 apart in kappa and 0.002 in lam, which for 4 x 4 sites of phi^4
    leave an error of about 1e-6. Points are found when they are needed, by :func:`flowlab.exact.log_z`, and kept.

    Args:
        names: of the couplings that move; the others are those of the first system it is asked for.

    >>> from flowlab.systems import Phi4
    >>> system = Phi4((4,), 0.2613, 0.02)
    >>> abs(KnownLogZ(["kappa"])(system) - exact.log_z(system)) < 1e-7
    True
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._found: dict[tuple[int, ...], float | None] = {}

    def __call__(self, system: System) -> float | None:
        """ln Z, None where none is known."""
        axes, weights = [], []
        for name in self.names:
            at = float(system.couplings[name].detach()) / SPACING[name]
            first = math.floor(at) - NODES // 2 + 1
            first = max(first, 1) if name == "lam" else first
            points = range(first, first + NODES)
            axes.append(points)
            weights.append([math.prod((at - k) / (j - k) for k in points if k != j) for j in points])
        total = 0.0
        for point, parts in zip(itertools.product(*axes), itertools.product(*weights), strict=True):
            if point not in self._found:
                couplings = {name: k * SPACING[name] for name, k in zip(self.names, point, strict=True)}
                self._found[point] = exact.log_z(system.at(**couplings))
            value = self._found[point]
            if value is None:
                return None
            total += math.prod(parts) * value
        return total
