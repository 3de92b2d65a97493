"""Spins that see, of those drawn before, the ones around the part of the graph that is still to be drawn."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from flowlab.core import System, named_generator
from flowlab.core.arguments import checked
from flowlab.densities.autoregressive.autoregressive import Autoregressive, Order
from flowlab.densities.autoregressive.dissection import dissected
from flowlab.systems.spin_glass import SpinGlass


class GraphAutoregressive(Autoregressive):
    """Spins of E(s) = -Σ_{i<j} J_ij s_i s_j - Σ_i h_i s_i, each from its field and from what the spins to come answer.

    Site i sees S_i: the spins drawn before that a path of at most ``reach`` bonds joins to it, through spins that are
    still to be drawn. Whatever else was drawn before does not matter to it (without limit of the reach; the Markov
    property). With units k of its own,

        ln q(+1 | S_i) - ln q(-1 | S_i) = 2β (h_i + Σ_{j<i} J_ij s_j + c_i + Σ_{j in S_i} b_ij s_j)
                                        + 2 Σ_k artanh[tanh(β a_ik) tanh(β (Σ_{j in S_i} w_ikj s_j + v_ik))].

    A term of the sum is what one spin to come answers, with the coupling a to s_i, in the field of those drawn. The
    first units begin as the neighbours of i that are to come, a = J_ik, w_ikj = J_kj and v = h_k, one step of message
    passing; the others begin without an answer. All weights are in units of energy, and the logits follow β at once. A
    site without neighbours to come needs no units: its conditional is exact. There are at most (|S_i| + 2) · hidden +
    |S_i| + 1 weights a site. Without fields c and v are left out, and q(-s) = q(s).

    Sites that do not see each other are drawn together, ``depth`` groups one after the other.

    Args:
        target: what to fit: its couplings, fields and temperature hold until another is bound.
        reach: largest number of bonds, None for no limit.
        hidden: units of a site.
        order: of the sites; "dissection", see :func:`.dissected`, leaves small parts soon; the others as of
            :class:`Autoregressive`.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        TypeError: for a target without couplings between pairs of sites.
        ValueError: for a reach, hidden or order that are not as above.

    Source: for sparse networks of glasses, I. Biazzo, D. Wu, G. Carleo 2024, "Sparse autoregressive neural networks for
    classical spin systems", and arXiv:2402.16579 for message passing.

    >>> from flowlab.systems import SpinGlass
    >>> q = GraphAutoregressive(SpinGlass.edwards_anderson((4, 4), T=1.0, seed=1))
    >>> x, log_q = q.sample(5, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(q.log_prob(-x), log_q, atol=1e-5)), q.depth
    (torch.Size([5, 4, 4]), True, 10)
    """

    beta: Tensor
    seen: Tensor
    direct: Tensor
    h: Tensor
    used: Tensor

    @checked
    def __init__(
        self,
        target: System,
        *,
        reach: int | None = None,
        hidden: int = 8,
        order: Literal["dissection"] | Order = "dissection",
        generator: torch.Generator | None = None,
    ) -> None:
        glass = _glass(target)
        if reach is not None and reach < 1:
            raise ValueError(f"reach must be at least 1 bond, or None, got {reach}")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        to, bonds = (part.cpu() for part in glass.neighbours())
        if isinstance(order, str) and order == "dissection":
            order = dissected(to, bonds)
        super().__init__(glass.shape, order)
        seen = _seen(to, bonds, self.sites, len(to) if reach is None else reach)
        level = _levels(seen, self.places)
        again = level.argsort(stable=True)
        super().__init__(glass.shape, self.sites[again])
        self.sizes, self.symmetric = level.bincount().tolist(), glass.flip_symmetric
        self._hold([self.places[seen[place]] for place in again.tolist()], to, bonds)
        self._weights(
            hidden,
            to,
            bonds,
            glass.h.flatten().tolist(),
            named_generator(0, "graph") if generator is None else generator,
        )
        self.bind(glass)

    def _hold(self, seen: list[Tensor], to: Tensor, bonds: Tensor) -> None:
        """The tables of who sees whom: (N, K) places, N where a row is filled up, whose spin is zero."""
        n = self.n_sites
        table = torch.full((n, max(1, *(len(places) for places in seen))), n)
        for site, places in enumerate(seen):
            table[site, : len(places)] = places.sort().values
        self.register_buffer("seen", table, persistent=False)
        later = (self.places[to[self.sites]] > torch.arange(n)[:, None]) & (bonds[self.sites] != 0)
        self.register_buffer("used", later.any(1), persistent=False)
        default = torch.get_default_dtype()
        self.register_buffer("direct", torch.zeros(table.shape, dtype=default), persistent=False)
        self.register_buffer("h", torch.zeros(n, dtype=default), persistent=False)
        self.register_buffer("beta", torch.zeros((), dtype=default), persistent=False)

    def _weights(self, hidden: int, to: Tensor, bonds: Tensor, fields: list[float], generator: torch.Generator) -> None:
        used = self.used.nonzero().flatten().tolist()
        K, default = self.seen.shape[1], torch.get_default_dtype()
        known = self.seen[self.used] < self.n_sites
        few = known.sum(1).clamp(min=1).sqrt()[:, None]
        inner = torch.randn((len(used), hidden, K), generator=generator) / few[..., None]
        outer, shift = torch.zeros(len(used), hidden), torch.zeros(len(used), hidden)
        for row, place in enumerate(used):
            column = {site: k for k, site in enumerate(self.seen[place].tolist()) if site < self.n_sites}
            here = self.sites[place]
            later = [(site, J) for site, J in _row(to, bonds, int(here)) if self.places[site] > place]
            later.sort(key=lambda pair: -abs(pair[1]))
            for unit, (site, J) in enumerate(later[:hidden]):
                outer[row, unit], inner[row, unit], shift[row, unit] = J, 0.0, fields[site]
                for other, coupling in _row(to, bonds, site):
                    if (at := column.get(int(self.places[other]))) is not None:
                        inner[row, unit, at] = coupling
        self.inner = nn.Parameter((inner * known[:, None]).to(default))
        self.outer = nn.Parameter(outer.to(default))
        self.skip = nn.Parameter(torch.zeros(len(used), K, dtype=default))
        if not self.symmetric:
            self.shift = nn.Parameter(shift.to(default))
            self.constant = nn.Parameter(torch.zeros(len(used), dtype=default))

    @property
    def depth(self) -> int:
        """How many groups of sites are drawn one after the other."""
        return len(self.sizes)

    def bind(self, target: System) -> None:
        """Take up the couplings, fields and temperature of a target.

        Raises:
            TypeError: for a target without couplings between pairs of sites.
            ValueError: for another shape, couplings of pairs that had none, or fields where it was built without.
        """
        super().bind(target)
        glass = _glass(target)
        if self.symmetric and not glass.flip_symmetric:
            raise ValueError(f"a density that was built without fields cannot fit a target that has them: {target}")
        to, bonds = (part.to(self.seen.device) for part in glass.neighbours())
        there, J = self.places[to[self.sites]], bonds[self.sites]
        earlier = (there < torch.arange(self.n_sites, device=there.device)[:, None]) & (J != 0)
        J = J * earlier
        at = torch.searchsorted(self.seen, there).clamp(max=self.seen.shape[1] - 1)
        if bool((earlier & (self.seen.gather(1, at) != there)).any()):
            raise ValueError(f"the couplings of the target join sites that this density has no bond between: {target}")
        with torch.no_grad():
            # new tensors: over a range of couplings a loss at those before waits for its gradient
            self.direct = torch.zeros_like(self.direct).scatter_add_(1, at, J.to(self.direct.dtype))
            self.h = glass.h.flatten()[self.sites].to(self.h)
            self.beta = (1.0 / glass.couplings["T"]).to(self.beta)

    def logits(self, x: Tensor) -> Tensor:
        spins = self.flatten_sites(x).t()
        spins = torch.cat([spins, spins.new_zeros(1, spins.shape[1])])
        return self._logits(spins, slice(None), self.used.nonzero().flatten(), slice(None)).t()

    def _logits(self, spins: Tensor, sites: slice, used: Tensor, rows: slice) -> Tensor:
        """(N + 1, n) spins -> (sites, n); ``used`` are those, counted from the first site, with weights in ``rows``."""
        seen = self.seen[sites]
        v = spins.index_select(0, seen.flatten()).view(*seen.shape, -1)
        found = torch.bmm(self.direct[sites, None], v)[:, 0] + self.h[sites, None]
        if not len(used):
            return 2 * self.beta * found
        v = v if len(used) == len(seen) else v.index_select(0, used)
        inner, outer = self.inner[rows], self.outer[rows, :, None]
        if self.symmetric:
            field, more = torch.bmm(inner, v), torch.bmm(self.skip[rows, None], v)[:, 0]
        else:
            field = torch.baddbmm(self.shift[rows, :, None], inner, v)
            more = torch.bmm(self.skip[rows, None], v)[:, 0] + self.constant[rows, None]
        answer = _answer(self.beta * outer, self.beta * field).sum(1)
        return (2 * self.beta * found).index_add(0, used, 2 * self.beta * more + 2 * answer)

    def choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        thresholds = thresholds.t().contiguous()
        x = torch.cat([torch.empty_like(thresholds), thresholds.new_zeros(1, thresholds.shape[1])])
        x[:-1] = 0.0
        logits, one = torch.empty_like(thresholds), thresholds.new_ones(())
        first, row = 0, 0
        for size in self.sizes:
            sites = slice(first, first + size)
            used = self.used[sites].nonzero().flatten()
            logits[sites] = self._logits(x, sites, used, slice(row, row + len(used)))
            x[sites] = torch.copysign(one, logits[sites] - thresholds[sites])
            first, row = first + size, row + len(used)
        return x[:-1].t(), logits.t()

    def flip_action(self) -> Tensor | None:
        return -torch.ones(self.shape, device=self.beta.device) if self.symmetric else None


def _answer(a: Tensor, u: Tensor) -> Tensor:
    """artanh(tanh a tanh u) = ½ ln [cosh(u + a) / cosh(u - a)], without overflow.

    >>> round(float(_answer(torch.tensor(0.5), torch.tensor(200.0))), 6)
    0.5
    """
    plus, minus = (u + a).abs(), (u - a).abs()
    return 0.5 * (plus - minus) + 0.5 * (torch.log1p(torch.exp(-2 * plus)) - torch.log1p(torch.exp(-2 * minus)))


def _row(to: Tensor, bonds: Tensor, site: int) -> list[tuple[int, float]]:
    return [(j, J) for j, J in zip(to[site].tolist(), bonds[site].tolist(), strict=True) if J]


def _seen(to: Tensor, bonds: Tensor, order: Tensor, reach: int) -> list[Tensor]:
    """For each place in the order, the sites drawn before that are joined to it through sites that are not."""
    n, coupled = len(to), bonds != 0
    place = order.argsort()
    found = []
    for k, start in enumerate(order.tolist()):
        known = torch.zeros(n, dtype=torch.bool)
        known[start] = True
        new = torch.tensor([start])
        for _ in range(reach):
            near = torch.zeros(n, dtype=torch.bool)
            near[to[new][coupled[new]]] = True
            near &= ~known
            known |= near
            new = (near & (place > k)).nonzero().flatten()
            if not len(new):
                break
        found.append((known & (place < k)).nonzero().flatten())
    return found


def _levels(seen: list[Tensor], places: Tensor) -> Tensor:
    """(N,) the group of each place: one more than the last group that it sees, from 0."""
    level: list[int] = []
    for sites in seen:
        level.append(1 + max((level[place] for place in places[sites].tolist()), default=-1))
    return torch.tensor(level)


def _glass(target: System) -> SpinGlass:
    if not isinstance(target, SpinGlass):
        raise TypeError(f"target: a graph density needs a SpinGlass for its couplings, got {type(target).__name__}")
    return target
