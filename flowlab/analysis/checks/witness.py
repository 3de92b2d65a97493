"""What could speak against the draws of a density: broken symmetries, a ln q that is another's, small systems in full.

All of it is measured on the target and on the draws; nothing is asked for its class, so that a user's own system and
density are looked at as closely as those of the house.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from flowlab.analysis.representations import to_array
from flowlab.core import Density, System
from flowlab.core.density import NoLikelihood
from flowlab.core.symmetry import keeps, symmetry_measured
from flowlab.estimators.weights.evidence import Evidence, share_evidence, vanishing_evidence

COMPARED = 64
"""Draws whose ln q is compared with log_prob."""
AGREE = 0.05
"""Nats by which they may differ: what integration and single precision leave."""


class Witness:
    """Looks at every draw of an evaluation for what could speak against it.

    Args:
        system: the physical system.
        generator: draws the moves of ``balance``.

    Attributes:
        symmetric: whether the target keeps the global symmetry of its variables, no field breaking it.
    """

    def __init__(self, system: System, generator: torch.Generator) -> None:
        self.system, self.generator = system, generator
        self.symmetric = symmetry_measured(system)
        sides = list(enumerate(system.shape))
        self.axes = [i for i, side in sides if side > 2 and keeps(system, lambda x, i=i: x.roll(1, i + 1))]  # type: ignore[misc]
        self.turns = [
            (a, b)
            for (a, side), (b, other) in itertools.pairwise(sides)
            if side == other and keeps(system, lambda x, a=a, b=b: x.transpose(a + 1, b + 1))  # type: ignore[misc]
        ]
        self._sectors: list[np.ndarray] = []
        self._zeros: list[dict[str, np.ndarray]] = []

    def balance(self, s: Tensor) -> Tensor:
        """(n,) of mean zero over the target: moves of one site that raise the weight, less those that lower it.

        A move proposed alike both ways and accepted with σ(ln w(s') - ln w(s)) raises the weight as often as it
        lowers it at equilibrium (Barker 1965). Draws that miss what a single site can do break this, whatever their
        ESS.
        """
        site = torch.randint(self.system.n_sites, (len(s), 1), generator=self.generator, device=s.device)
        flat = s.flatten(1)
        moved = self.system.variables.move(flat.gather(1, site), generator=self.generator)
        gain = self.system.log_weight(flat.scatter(1, site, moved).view_as(s)) - self.system.log_weight(s)
        return gain.sigmoid() * gain.sign()

    def see(self, s: Tensor) -> None:
        """Look at physical configurations (n, *shape)."""
        if self.symmetric and not self.system.variables.signed:
            self._sectors.append(to_array(self.system.variables.sectors(s)))
        self._zeros.append({name: to_array(values) for name, values in self._vanishing(s)})

    def says(self, log_w: np.ndarray, stretch: float = 1.0) -> Iterator[Evidence]:
        """What was seen; ``log_w`` weighs all the draws, ``stretch`` multiplies errors where they have a memory."""
        if self._sectors:
            yield self._sector_evidence(np.concatenate(self._sectors), log_w, stretch)
        for name in self._zeros[0]:
            found = vanishing_evidence(
                name, np.concatenate([part[name] for part in self._zeros]), log_w, stretch=stretch
            )
            if found is not None:
                yield found

    def _sector_evidence(self, sectors: np.ndarray, log_w: np.ndarray, stretch: float) -> Evidence:
        """The global symmetry: the worst of the shares that it makes equal."""
        kind = self.system.variables
        shares = (
            share_evidence(name, share, 1 / len(kind.sector_names), log_w, stretch=stretch)
            for name, share in zip(kind.sector_names, sectors.T, strict=True)
        )
        broken = sorted((share for share in shares if share is not None), key=lambda share: not share.fails)
        return broken[0] if broken else Evidence(f"the draws keep the symmetry of {kind.symmetry}")

    def _vanishing(self, s: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Functions (n, k) of the configurations whose means are zero by the symmetries of the lattice.

        Translations: waves along the axis of the products of neighbours, and of the sites along the order parameter.
        Equal axes: the difference of the products along them.
        """
        components = self.system.variables.components(s)
        bonds = [(components * components.roll(-1, axis + 2)).sum(0) for axis in range(s.ndim - 1)]
        mean = components.flatten(2).mean(-1)
        along = torch.einsum("kn...,kn->n...", components, mean / mean.norm(dim=0).clamp(min=1e-12))
        for axis in self.axes:
            yield f"translations along {self.system.dims[axis]}", waves(torch.stack([along, *bonds], 1), axis + 2)
        for a, b in self.turns:
            name = f"the exchange of {self.system.dims[a]} and {self.system.dims[b]}"
            yield name, (bonds[a] - bonds[b]).flatten(1).mean(1, keepdim=True)


def waves(fields: Tensor, axis: int) -> Tensor:
    """(n, k, *shape) -> (n, m): cosine and sine of one period, and the alternating sum, along an axis of each field.

    >>> waves(torch.ones(1, 1, 4), 2).abs().max() < 1e-6
    tensor(True)
    """
    profile = fields.movedim(axis, -1)
    profile = profile.flatten(2, -2).mean(2) if profile.ndim > 3 else profile
    L = profile.shape[-1]
    x = torch.arange(L, device=fields.device, dtype=fields.dtype)
    shapes = [(2 * math.pi * x / L).cos(), (2 * math.pi * x / L).sin()]
    shapes += [(math.pi * x).cos()] * (L % 2 == 0)
    return (profile @ torch.stack(shapes).T / L).flatten(1)


def log_q_evidence(density: Density, x: Tensor, log_q: Tensor) -> list[Evidence]:
    """Whether ln q of draws (n, *shape) is what log_prob says of the same configurations."""
    try:
        with torch.no_grad():
            again = density.log_prob(x[:COMPARED])
    except NoLikelihood:
        return [Evidence("ln q is only bounded, so that the weights are those of a joint density with hidden codes")]
    apart = float((again - log_q[:COMPARED]).abs().max())
    if apart <= AGREE + 1e-4 * float(log_q[:COMPARED].abs().max()):
        return []
    sentence = f"ln q of the draws and log_prob of the same configurations differ by up to {apart:.2g} nats"
    return [Evidence(sentence, fails=True, independent=True)]
