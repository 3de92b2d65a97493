"""Spins that each see only a few of those drawn before: the weak base over which a flow must earn its keep."""

from __future__ import annotations

import itertools
import math
from typing import Literal, cast

import torch
from torch import Tensor, nn

from flowlab.core import Density, named_generator
from flowlab.core.arguments import checked
from flowlab.densities.autoregressive.autoregressive import Autoregressive, Order
from flowlab.systems.lattice import plane

Neighbourhood = Literal["nearest", "previous"]


class LocalAutoregressive(Autoregressive):
    """±1 spins, each drawn from at most k of those before it by one small network that all sites share.

    With s_d the spin at the displacement d where it is one of the k, zero where it is not, and f_d = 1 or 0 saying
    which, the logit is  b + Σ_d (u_d s_d + w_d f_d) + v · |A s + B f + c|. It starts near uniform spins; at low
    temperature b, which starts at zero, is what a symmetrised density breaks the flip symmetry with.

    Args:
        shape: sides of one configuration; N sites in all.
        k: how many earlier spins a site sees, at least 1, or "row": as many as a row has.
        neighbourhood: "nearest": the k nearest on the torus that are drawn before (in raster order and far from the
            boundaries the ones to the left, above, above left and above right, for k = 4); "previous": the last k of
            the order.
        hidden: units of the network.
        site_bias: whether b is a number for each site; otherwise it is one for all.
        order: of the sites, see :class:`Autoregressive`.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for k, hidden, a neighbourhood or sides (two, where the nearest are asked for) unlike these.

    >>> q = LocalAutoregressive((4, 4))
    >>> x, log_q = q.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, q.log_prob(x), atol=1e-5))
    (torch.Size([10, 4, 4]), True)
    """

    index: Tensor
    seen: Tensor

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        k: int | str = 4,
        neighbourhood: Neighbourhood = "nearest",
        hidden: int = 16,
        site_bias: bool = False,
        order: Order = "raster",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(shape, order)
        if k == "row":
            k = self.shape[-1]
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"k must be at least 1, or 'row', got {k!r}")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        if neighbourhood not in ("nearest", "previous"):
            raise ValueError(f"neighbourhood must be 'nearest' or 'previous', got {neighbourhood!r}")
        nearest = neighbourhood == "nearest"
        pairs = _nearest(plane(self.shape), self.places, k) if nearest else _previous(self.n_sites, k)
        self.displacements = sorted({d for site in pairs for d in site})
        index = torch.tensor(
            [[of_site.get(d, self.n_sites) for of_site in pairs] for d in self.displacements], dtype=torch.long
        ).reshape(-1, self.n_sites)
        seen = (index < self.n_sites).to(torch.get_default_dtype())
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("seen", seen, persistent=False)
        generator = named_generator(0, "local") if generator is None else generator

        def random(*sizes: int, gain: float) -> nn.Parameter:
            noise = torch.randn(sizes, generator=generator, device=generator.device)
            return nn.Parameter(noise.to(seen) * gain)

        inputs = len(self.displacements)
        self.of_spins = random(hidden, inputs, gain=1 / math.sqrt(k))
        self.of_flags = random(hidden, inputs, gain=1 / math.sqrt(k))
        self.constant = nn.Parameter(torch.zeros(hidden, 1))
        self.output = random(1, hidden, gain=0.1 / math.sqrt(hidden))
        self.skip_spins = nn.Parameter(torch.zeros(1, inputs))
        self.skip_flags = nn.Parameter(torch.zeros(1, inputs))
        self.bias = nn.Parameter(torch.zeros(self.n_sites if site_bias else 1))

    def logits(self, x: Tensor) -> Tensor:
        spins = self.flatten_sites(x).t()
        n = spins.shape[1]
        spins = torch.cat([spins, spins.new_zeros(1, n)])  # what an index that sees nothing finds
        v = spins.index_select(0, self.index.flatten()).view(len(self.displacements), self.n_sites * n)
        units, margins = self._constants()
        hidden = ((self.of_spins @ v).view(-1, self.n_sites, n) + units.unsqueeze(-1)).abs()
        linear = (self.skip_spins @ v).view(self.n_sites, n) + margins[:, None]
        return (linear + (self.output @ hidden.flatten(1)).view(self.n_sites, n)).t()

    def choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        thresholds = thresholds.t().contiguous()
        x, logits, one = torch.empty_like(thresholds), torch.empty_like(thresholds), thresholds.new_ones(())
        units, margins = self._constants()
        for site in range(self.n_sites):
            used = self.seen[:, site].nonzero().flatten()
            v = x.index_select(0, self.index[used, site])
            hidden = torch.addmm(units[:, site : site + 1], self.of_spins[:, used], v).abs_()
            linear = torch.addmm(margins[site], self.skip_spins[:, used], v)
            logits[site] = torch.addmm(linear, self.output, hidden)[0]
            torch.copysign(one, logits[site] - thresholds[site], out=x[site])
        return x.t(), logits.t()

    def _constants(self) -> tuple[Tensor, Tensor]:
        """What does not depend on the spins: (hidden, N) into the units, (N,) into the logits."""
        units = self.constant + self.of_flags @ self.seen
        return units, (self.skip_flags @ self.seen)[0] + self.bias

    def warm_start(self, other: Density) -> list[str]:
        """As for every density, and what two lattices share: the weights of the displacements that both have."""
        names = ("of_spins", "of_flags", "skip_spins", "skip_flags")
        weights = {name: cast(Tensor, getattr(self, name)) for name in names}
        fresh = {name: weight.detach().clone() for name, weight in weights.items()}
        copied = set(super().warm_start(other))
        if not isinstance(other, LocalAutoregressive) or self.displacements == other.displacements:
            return sorted(copied)
        shared = [d for d in self.displacements if d in other.displacements]
        mine = [self.displacements.index(d) for d in shared]
        theirs = [other.displacements.index(d) for d in shared]
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(fresh[name])
                source = cast(Tensor, getattr(other, name))
                if shared and len(source) == len(weight):
                    weight[:, mine] = source[:, theirs].to(weight)
                    copied.add(name)
                else:
                    copied.discard(name)
        return sorted(copied)


def _previous(n_sites: int, k: int) -> list[dict[tuple[int, ...], int]]:
    """For each place in the order, the place of the spin that it sees at each displacement: 1 to k before."""
    return [{(-d,): site - d for d in range(1, min(k, site) + 1)} for site in range(n_sites)]


def _nearest(shape: tuple[int, int], places: Tensor, k: int) -> list[dict[tuple[int, ...], int]]:
    """The same with the k nearest around the torus that come before; of equally near ones, those above and left."""
    n, m = shape
    place = places.view(n, m).tolist()
    away = itertools.product(range(-(n // 2), (n + 1) // 2), range(-(m // 2), (m + 1) // 2))
    ranked = sorted(away, key=lambda d: (d[0] ** 2 + d[1] ** 2, d))[1:]
    found: list[dict[tuple[int, ...], int]] = [{} for _ in range(n * m)]
    for y, x in itertools.product(range(n), range(m)):
        others = (((dy, dx), place[(y + dy) % n][(x + dx) % m]) for dy, dx in ranked)
        before = ((d, other) for d, other in others if other < place[y][x])
        found[place[y][x]] = dict(itertools.islice(before, k))
    return found
