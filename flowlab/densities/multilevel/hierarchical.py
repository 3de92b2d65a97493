"""Hierarchical autoregressive network: crosses that cut the lattice into ever smaller domains, then single sites."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from flowlab.core import Density, Draw, LayerState, Spins, System, named_generator
from flowlab.core.arguments import checked
from flowlab.core.density import one_of
from flowlab.core.symmetry import cannot_fit
from flowlab.densities.multilevel.cross_made import CrossMADE
from flowlab.densities.multilevel.spins import check_spins
from flowlab.nn.windows import at_once, gather
from flowlab.systems import CRITICAL_TEMPERATURE
from flowlab.systems.lattice import neighbours, plane

SAMPLES_AT_ONCE = 1024
"""Without gradients: larger draws are split, so that working memory stays bounded, and in cache on small lattices."""

Ints = NDArray[np.int64]
Lines = list[tuple[Ints | int, Ints | int]]
FORCED = 1e30
"""Log-odds beyond all others."""


class Hierarchical(Density):
    """Ising spins on an L x L torus by recursive domain decomposition (HAN: Białas, Korcyl and Stebel 2022,
    arXiv:2203.10989), with exact ln q.

    One row and one column come first and leave a domain of (L-1) x (L-1) sites. A cross, its middle row and column,
    cuts it into four of (L/2-1) x (L/2-1), each of those is cut again, and so on down to single sites. Given the spins
    around it a domain is independent of all others: the crosses of one size are drawn together, by one
    :class:`CrossMADE` that sees the spins around its domain, and single sites by the exact heat bath from their four
    neighbours. No distribution of a nearest-neighbour model is out of reach, and the conditionals of a domain are the
    same on a lattice of any size: a warm start takes over the networks of all domains that both lattices have.

    Log-odds are odd, so that q(-s) = q(s).

    Args:
        shape: (L, L), L = 2, 4, 8, ...
        width: hidden units of each site of a cross.
        start: at first the log-odds of a spin in a cross are near 2 start Σ s over the known spins beside it.
        K: J/T, until :meth:`bind` takes it from a target.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for sides that are no equal powers of two, or a width below 1.

    >>> q = Hierarchical((8, 8), width=4)
    >>> x, log_q = q.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, q.log_prob(x), atol=1e-5))
    (torch.Size([10, 8, 8]), True)
    >>> [stage.name for stage in q.stages(1)]
    ['row and column', 'crosses of 7 × 7', 'crosses of 3 × 3', 'single sites']
    """

    single: Tensor
    around_single: Tensor

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 16,
        start: float = 0.6,
        K: float = 1 / CRITICAL_TEMPERATURE,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.K = plane(shape), float(K)
        side = self.shape[0]
        if self.shape[1] != side or side & (side - 1):
            raise ValueError(f"shape must be (L, L) with L = 2, 4, 8, ..., whose domains can be halved, got {shape}")
        if width < 1:
            raise ValueError(f"width must be at least 1 hidden unit of a site, got {width}")
        generator = named_generator(0, "hierarchical") if generator is None else generator
        self.crosses = crosses(side)
        self.networks = nn.ModuleDict()
        for cross in self.crosses:
            known, sites = cross.known.shape[1], cross.sites.shape[1]
            network = CrossMADE(known, sites, width=width, generator=generator)
            with torch.no_grad():
                beside = torch.from_numpy(cross.beside) & network.skip.mask.bool()
                network.skip.weight[beside] = 2 * start
            self.networks[cross.key] = network
            windows = np.concatenate([cross.known, cross.sites], 1)
            self.register_buffer(f"windows {cross.key}", torch.from_numpy(windows), persistent=False)
        single = torch.arange(side * side).view(side, side)[1::2, 1::2].flatten()
        self.register_buffer("single", single, persistent=False)
        self.register_buffer("around_single", neighbours(self.shape)[single], persistent=False)

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations; ``score`` is ln q with its gradient, ``log_q`` the same number without.

        Without gradients (``torch.no_grad``) the networks are not evaluated again: ln q is what sampling computed.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        like = next(self.parameters())
        found = []
        together = at_once(SAMPLES_AT_ONCE, like.device)
        for first in range(0, n, together):
            size = (self.shape[0] * self.shape[1], min(together, n - first))
            u = torch.rand(size, generator=generator, dtype=like.dtype, device=like.device)
            found.append(self._choose(torch.logit(u.clamp_(min=torch.finfo(u.dtype).eps / 4))))
        state = torch.cat([state for state, _ in found], 1)
        x = state.T.reshape(n, *self.shape)
        if not torch.is_grad_enabled():
            log_q = torch.cat([log_q for _, log_q in found])
            return Draw(x, log_q, log_q)
        score = torch.stack(list(self._log_q(state))).sum(0)
        return Draw(x, score.detach(), score)

    @torch.no_grad()
    def _choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """(N, n) thresholds -> (N, n) spins, +1 where the log-odds reach them, and their ln q, (n,)."""
        state, n = torch.empty_like(thresholds), thresholds.shape[1]
        log_q = thresholds.new_zeros(n)
        for network, windows in self._levels():
            known, rows = (part.T.flatten() for part in windows.split([network.known, network.sites], 1))
            columns = len(windows) * n
            cuts = thresholds.index_select(0, rows).view(network.sites, columns)
            x, logits = network.choose(state.index_select(0, known).view(network.known, columns), cuts)
            state[rows] = x.view(-1, n)
            log_q += logsigmoid(x * logits).view(-1, n).sum(0)
        logits = self._heat_bath(state)
        x = torch.where(logits >= thresholds[self.single], 1.0, -1.0).to(state.dtype)
        state[self.single] = x
        return state, log_q + logsigmoid(x * logits).sum(0)

    def _log_q(self, state: Tensor) -> Iterator[Tensor]:
        """(N, n) spins -> (n,) for each level: ln q of its spins given those of the levels before."""
        for network, windows in self._levels():
            x = state[windows[:, network.known :].T]
            yield logsigmoid(x * network(state, windows)).sum((0, 1))
        yield logsigmoid(state[self.single] * self._heat_bath(state)).sum(0)

    def _levels(self) -> Iterator[tuple[CrossMADE, Tensor]]:
        """Network and (domains, known + sites) rows of each size of crosses, the largest first."""
        for cross in self.crosses:
            network = self.networks[cross.key]
            assert isinstance(network, CrossMADE)
            yield network, self.get_buffer(f"windows {cross.key}")

    def _heat_bath(self, state: Tensor) -> Tensor:
        """(N, n) spins -> (N/4, n) log-odds of the single sites."""
        return 2 * self.K * gather(state, self.around_single).sum(0).view(len(self.single), -1)

    def _rows(self, x: Tensor) -> Tensor:
        """(n, L, L) -> (N, n) in the parameters' dtype; ValueError for another shape."""
        if x.ndim != 3 or tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"configurations must have shape (n, {self.shape[0]}, {self.shape[1]}), got {tuple(x.shape)}"
            )
        return x.detach().flatten(1).T.to(next(self.parameters()).dtype).contiguous()

    def log_prob(self, x: Tensor) -> Tensor:
        """(n, L, L) spins -> (n,): ln q(x), exact.

        Raises:
            ValueError: for a wrong shape, or spins that are not ±1.
        """
        state = self._rows(x)
        check_spins(state)
        return torch.stack(list(self._log_q(state))).sum(0)

    def stages(
        self,
        n: int | None = None,
        *,
        x: Tensor | None = None,
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[LayerState]:
        """The configurations after each size of crosses, NaN at the sites that come later, with ln q of those so far.

        ``z`` are configurations with NaN at some sites, as the stages have them: those are drawn anew.
        """
        one_of(n=n, x=x, z=z)
        with torch.no_grad():
            if n is not None:
                x = self.sample(n, generator=generator)[0]
            elif z is not None:
                given = self._rows(z)
                check_spins(given, unknown=True)
                u = torch.rand(given.shape, generator=generator, dtype=given.dtype, device=given.device)
                cuts = torch.logit(u.clamp_(min=torch.finfo(u.dtype).eps / 4))
                x = self._choose(torch.where(given.isnan(), cuts, -FORCED * given))[0].T.reshape(z.shape)
            assert x is not None
            state = self._rows(x)
            check_spins(state)
            parts = torch.stack(list(self._log_q(state))).cumsum(0)
        names = [cross.name for cross in self.crosses] + ["single sites"]
        shown = torch.full_like(state, torch.nan)
        for i, name in enumerate(names):
            now = self.single if i == len(self.crosses) else torch.from_numpy(self.crosses[i].sites.flatten())
            shown[now] = state[now]
            yield LayerState(name, "level", i / (len(names) - 1), shown.T.reshape(-1, *self.shape).clone(), parts[i])

    def flip_action(self) -> Tensor:
        return -torch.ones(self.shape, device=self.single.device)

    def bind(self, target: System) -> None:
        """Check the target, and take up its coupling K = J/T.

        Raises:
            ValueError: for a target of another shape, in a field, or not of spins with nearest neighbours.
        """
        super().bind(target)
        if target.variables != Spins() or target.bond is None:
            raise ValueError(f"domains need spins coupled to nearest neighbours (Ising), got {target.title}")
        if not target.flip_symmetric:
            raise ValueError(f"a flip-symmetric density {cannot_fit(target)}")
        self.K = float(target.bond.detach())


class Cross(NamedTuple):
    """The crosses of all domains of one size.

    Attributes:
        name: what a person calls them.
        key: of their network.
        known: (D, k) raster numbers of the sites around each of D domains, corners left out: they touch no site of it.
        sites: (D, c) those of the crosses, in the order of drawing.
        beside: (c, k + c) whether a site of the cross and one that is known or of the cross are nearest neighbours.
    """

    name: str
    key: str
    known: Ints
    sites: Ints
    beside: NDArray[np.bool_]


def crosses(side: int) -> list[Cross]:
    """Row 0 and column 0 of the torus, then the crosses of the domains, halved again and again.

    >>> [cross.sites.shape for cross in crosses(8)]
    [(1, 15), (1, 13), (4, 5)]
    """
    adjacent = neighbours((side, side)).numpy()

    def cross(name: str, key: str, known: Ints, sites: Ints) -> Cross:
        beside = (adjacent[sites[0]][:, None] == np.concatenate([known, sites], 1)[0][:, None]).any(-1)
        return Cross(name, key, known, sites, beside)

    line = np.arange(side)
    outer = np.concatenate([line, side * line[1:]])[None]
    found = [cross("row and column", f"torus {side}", outer[:, :0], outer)]
    m, corners = side - 1, np.ones((1, 2), dtype=np.int64)
    while m > 1:
        half, line = m // 2, np.arange(m)
        arms = line[line != half]
        around: Lines = [(-1, line), (m, line), (line, -1), (line, m)]
        middle: Lines = [(half, line), (arms, half)]
        known, sites = (np.concatenate([_sites(corners, y, x, side) for y, x in part], 1) for part in (around, middle))
        found.append(cross(f"crosses of {m} × {m}", f"domain {m}", known, sites))
        quadrants = (half + 1) * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        corners, m = (corners[:, None] + quadrants).reshape(-1, 2), half
    return found


def _sites(corners: Ints, y: Ints | int, x: Ints | int, side: int) -> Ints:
    """(D, len) raster numbers of the sites (y, x) from each of the D corners of domains."""
    found: Ints = (corners[:, :1] + y) % side * side + (corners[:, 1:] + x) % side
    return found
