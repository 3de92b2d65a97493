"""Exact decimation: every other site of a bipartite lattice integrated out."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from flowlab.core import Representation, System


class NearestNeighbour(System):
    """Sites x coupled to their nearest neighbours on a periodic lattice of squares, which can be decimated.

    ln weight = Σ_<xy> K x·y - Σ_x V(x) - constant, each pair of neighbours twice on a side of length 2. To write one:
    besides what a System needs, give K and V and the single site in a field t, p(x|t) = exp(tx - V(x)) / z(t). Sites
    that are no numbers say by ``vectors`` which vectors x·y multiplies; t is then such a vector too.
    """

    periodic = True
    """Whether every site has both neighbours along every side."""

    def vectors(self, x: Tensor) -> Tensor:
        """(n, *shape) sites -> (n, *shape, *components) what x·y multiplies: x itself, or a vector at every site."""
        return x

    def dot(self, t: Tensor, x: Tensor) -> Tensor:
        """t·x at every site: (n, *shape, *components) fields and (n, *shape) sites -> (n, *shape)."""
        return t * x

    @property
    def constant(self) -> float | Tensor:
        """What -ln weight has beside the sums over bonds and sites, the whole lattice."""
        return 0.0

    @property
    @abstractmethod
    def bond(self) -> Tensor:
        """K, so that a site is in the field t = K Σ_neighbours x; 0-d."""

    @abstractmethod
    def on_site(self, x: Tensor) -> Tensor:
        """V at every site, the shape of x."""

    @abstractmethod
    def log_z_site(self, t: Tensor) -> Tensor:
        """ln z(t), the logarithm of the sum or integral of exp(t·x - V(x)) over x at every site, differentiable."""

    @abstractmethod
    def draw_site(self, t: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """One exact draw from p(x|t) for the field t of each site, the dtype of t."""

    def decimate(self) -> Decimated:
        """The same physics on the even sites alone, the odd ones integrated out; see :class:`Decimated`."""
        return Decimated(self)


class Decimated(Representation):
    """A nearest-neighbour system on its even sites (even sum of coordinates), the odd ones integrated out exactly.

        log_weight(x) = Σ_odd ln z(t) - Σ_even V(x) - constant,    t = K Σ x over the neighbours of the odd site,

    so that ln Z is the parent's. The last side is halved: element [y, k] of an (L, L/2) configuration is the parent's
    site (y, 2k + y mod 2), and likewise in one and three dimensions.

    Args:
        parent: the system, Ising, Potts, Phi4 or FreeField, all of its sides even.

    Raises:
        TypeError: for a system that has other couplings than those to nearest neighbours.
        ValueError: for odd sides, around which even and odd sites cannot alternate, or open ones.

    >>> from flowlab.systems.ising import Ising
    >>> ising = Ising((4, 4), T=2.0)
    >>> decimated = ising.decimate()
    >>> decimated.shape, decimated.title
    ((4, 2), 'Ising 4 × 4, T = 2, even sites')
    >>> x = torch.ones(1, 4, 2, dtype=torch.float64)
    >>> spins, log_p = decimated.restore(x, generator=torch.Generator().manual_seed(0))
    >>> bool(torch.isclose(decimated.log_weight(x) + log_p, ising.log_weight(spins)))
    True
    >>> torch.equal(decimated.reduce(spins), x)
    True
    """

    parent: NearestNeighbour
    sublattice = True
    _even: Tensor
    _place: Tensor
    _shifted: Tensor

    def __init__(self, parent: NearestNeighbour) -> None:
        super().__init__()
        if not isinstance(parent, NearestNeighbour):
            raise TypeError(
                "decimation needs a parent with couplings between nearest neighbours on a lattice of even and odd "
                f"sites (Ising, Potts, Phi4, FreeField), got {type(parent).__name__}"
            )
        if not parent.periodic:
            raise ValueError(f"decimation needs a periodic lattice, got {parent.title}")
        self.shape = _halved(parent.shape)
        self.parent, self.dims, self.variables = parent, parent.dims, parent.variables
        self.couplings, self.disordered = dict(parent.couplings), parent.disordered
        even, odd = even_sites(parent.shape), odd_sites(parent.shape)
        self.register_buffer("_even", even, persistent=False)
        # where each site of the parent is among its even and then its odd sites
        self.register_buffer("_place", torch.cat((even, odd)).argsort(), persistent=False)
        self.register_buffer("_shifted", _row_parity(parent.shape).bool(), persistent=False)

    @property
    def title(self) -> str:
        return f"{self.parent.title}, even sites"

    @property
    def flip_symmetric(self) -> bool:
        return self.parent.flip_symmetric

    def neighbour_sum(self, x: Tensor) -> Tensor:
        """(n, *shape, ...) -> Σ x over the neighbours of every odd site, arranged as the even ones, of that shape."""
        last = len(self.shape)
        shifted = self._shifted.reshape(*self._shifted.shape, *[1] * (x.ndim - 1 - last))
        total = x + torch.where(shifted, x.roll(1, last), x.roll(-1, last))
        for side in range(1, last):
            total = total + x.roll(1, side) + x.roll(-1, side)
        return total

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,): Σ_odd ln z(t) - Σ_even V(x) - constant."""
        x = self.batch(x)
        fields = self.parent.bond.to(x.dtype) * self.neighbour_sum(self.parent.vectors(x))
        sites = self.parent.log_z_site(fields) - self.parent.on_site(x)
        return sites.flatten(1).sum(1) - self.parent.constant

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """``even_magnetization`` and ``even_squared``, the means of x and x² over the even sites, each (n,).

        Sites that are no numbers have the order parameter alone. What the whole lattice has are the parent's
        observables, of configurations that :meth:`restore` gives.
        """
        x = self.batch(x)
        if not self.variables.signed:
            return {"even_magnetization": self.variables.magnetization(x)}
        sites = x.flatten(1)
        return {"even_magnetization": sites.mean(1), "even_squared": sites.square().mean(1)}

    def restore(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(n, *shape) even sites -> parent configurations, odd sites drawn exactly, and ln p(odd | even), (n,).

        Both are differentiable in x with the odd sites held. ln p belongs to the odd sites as they are returned: with
        log_weight it makes the parent's.

        Raises:
            ValueError: for fields that are not finite, or of another shape.
        """
        x = self.batch(x)
        fields = self.parent.bond * self.neighbour_sum(self.parent.vectors(x.double()))
        odd = self.parent.draw_site(fields.detach(), generator=generator).to(x.dtype)
        held = odd.double()
        log_p = self.parent.dot(fields, held) - self.parent.on_site(held) - self.parent.log_z_site(fields)
        sites = torch.cat((x.flatten(1), odd.flatten(1)), 1).index_select(1, self._place)
        return sites.reshape(len(x), *self.parent.shape), log_p.flatten(1).sum(1).to(x.dtype)

    def embed(self, x: Tensor) -> Tensor:
        """(n, *shape) even sites at their places in the parent's lattice, NaN at the odd ones: (n, *parent.shape)."""
        sites = torch.cat((x.flatten(1), x.new_full((len(x), self.n_sites), math.nan)), 1).index_select(1, self._place)
        return sites.reshape(len(x), *self.parent.shape)

    def physical_order(self, order: Tensor) -> Tensor:
        """The even sites in this order, then the odd ones: (N,) raster numbers of the parent's sites."""
        return torch.cat([even_sites(self.parent.shape)[order.cpu()], odd_sites(self.parent.shape)])

    def reduce(self, s: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Parent configurations (n, *parent.shape) -> their even sites (n, *shape)."""
        s = self.parent.batch(s)
        return s.flatten(1).index_select(1, self._even).reshape(len(s), *self.shape)


def even_sites(shape: tuple[int, ...]) -> Tensor:
    """(N/2,) raster numbers of the sites with an even sum of coordinates, ascending.

    >>> even_sites((2, 4)).tolist(), odd_sites((2, 4)).tolist()
    ([0, 2, 5, 7], [1, 3, 4, 6])
    """
    return _of_parity(shape, 0)


def odd_sites(shape: tuple[int, ...]) -> Tensor:
    """(N/2,) raster numbers of the sites with an odd sum of coordinates, ascending."""
    return _of_parity(shape, 1)


def odd_neighbours(shape: tuple[int, ...]) -> Tensor:
    """(N/2, 2d) positions among :func:`even_sites` of each odd site's neighbours: before and after, side by side.

    On a side of length 2 a neighbour appears twice, as the bond does.

    >>> odd_neighbours((4, 4))[0].tolist()  # of site (0, 1): (3, 1), (1, 1), (0, 0), (0, 2)
    [6, 2, 0, 1]
    """
    _halved(shape)
    sites = torch.arange(math.prod(shape)).reshape(shape)
    columns = [sites.roll(step, side).flatten() for side in range(len(shape)) for step in (1, -1)]
    return torch.stack(columns, 1)[odd_sites(shape)] // 2


def _of_parity(shape: tuple[int, ...], parity: int) -> Tensor:
    half = torch.arange(math.prod(_halved(shape)))
    return 2 * half + (_row_parity(shape).expand(_halved(shape)).flatten() + parity) % 2


def _row_parity(shape: tuple[int, ...]) -> Tensor:
    """(*shape[:-1], 1): the sum of all coordinates but the last, modulo 2."""
    rows = torch.zeros((*shape[:-1], 1), dtype=torch.long)
    for side, length in enumerate(shape[:-1]):
        rows = rows + torch.arange(length).reshape([length if i == side else 1 for i in range(len(shape))])
    return rows % 2


def _halved(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the even sites: the last side halved, once all sides are even."""
    if any(side % 2 for side in shape):
        raise ValueError(f"decimation needs even sides, around which even and odd sites alternate, got {tuple(shape)}")
    return (*shape[:-1], shape[-1] // 2)
