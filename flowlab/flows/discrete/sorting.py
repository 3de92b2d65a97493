"""Coupling layers that sort: noise bits go to the sites in the order of the strength of their local fields."""

from __future__ import annotations

import torch
from torch import Tensor

from flowlab.core import Flow
from flowlab.core.arguments import checked
from flowlab.systems.lattice import plane

NEAREST = 8
"""Weight of the nearest deciding sites in a field; whole numbers keep sums, and so the order of sites, exact."""


class SortingCoupling(Flow):
    """σ_A = z_A; the bits z_B, first to last, go to the sites of B by falling |h(z_A)|, times sign h: a bijection.

    Given A, a heat bath draws the spins of B with a noise that depends on |h|: rare where four neighbours agree, a
    coin where they cancel. A mask z_B ⊙ m(z_A) of independent bits has the same noise everywhere. Here bits of unequal
    bias lie sorted in the latent, and each configuration of A sends the quiet ones to the strong fields: what is left
    to approximate is how the number of sites at each |h| fluctuates, which vanishes per site on large lattices.

    With r_k the k-th site of B by falling |h| (of equal ones, the first in raster order) and b_k the k-th in raster
    order, σ[r_k] = z[b_k] sign h[r_k]. The field h is a sum over the nearest deciding sites, plus ``second`` / 8 times
    that over the next nearest. One of the nearest weighs 9/8: h is never 0, and h(-z_A) = -h(z_A). The layer
    turns a flip of A alone into the flip of A and B. There is nothing to train.

    Args:
        shape: (n, m).
        reads: booleans (*shape), the sites A that decide.
        changes: booleans (*shape), the sites B; None is all the others. What is in neither stays as it is.
        second: an even whole number, the weight of the next nearest sites in eighths.

    Raises:
        ValueError: for sites that both decide and change, none of either, or an odd ``second``.

    >>> from flowlab.systems.lattice import checkerboard
    >>> layer = SortingCoupling((4, 4), checkerboard((4, 4)))
    >>> z = torch.ones(1, 4, 4)
    >>> z[0, 1, 1] = z[0, 3, 2] = -1         # a deciding site, and the last of the bits, which goes next to it
    >>> (layer(z)[0] == -1).nonzero()[:, 1:].tolist()
    [[1, 1], [2, 1]]
    """

    label = "sorting"
    deciding: Tensor
    changed: Tensor
    around: Tensor
    weights: Tensor

    @checked
    def __init__(
        self, shape: tuple[int, ...], reads: Tensor, changes: Tensor | None = None, *, second: int = 0
    ) -> None:
        super().__init__()
        self.shape, self.second = plane(shape), int(second)
        if second < 0 or second % 2:
            raise ValueError(f"second must be an even whole number of eighths, got {second}")
        reads = reads.bool()
        changes = ~reads if changes is None else changes.bool()
        if tuple(reads.shape) != self.shape or tuple(changes.shape) != self.shape:
            raise ValueError(
                f"reads and changes must have shape {self.shape}, got {tuple(reads.shape)} and {tuple(changes.shape)}"
            )
        if bool((reads & changes).any()) or not bool(reads.any()) or not bool(changes.any()):
            raise ValueError("reads and changes must be two sets of sites with none in common, neither of them empty")
        changed = changes.flatten().nonzero().flatten()
        around, weights = _fields(self.shape, changed, reads.flatten().nonzero().flatten(), self.second)
        self.register_buffer("deciding", reads, persistent=False)
        self.register_buffer("changed", changed, persistent=False)
        self.register_buffer("around", around, persistent=False)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        flat = z.flatten(1)
        sign, order = self._sorted(flat)
        spins = (flat[:, self.changed]).scatter(1, order, flat[:, self.changed] * sign)
        return flat.index_copy(1, self.changed, spins).view_as(z), z.new_zeros(len(z))

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(1)
        sign, order = self._sorted(flat)
        bits = flat[:, self.changed].gather(1, order) * sign
        return flat.index_copy(1, self.changed, bits).view_as(x), x.new_zeros(len(x))

    def _sorted(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """sign h of the sites of B by falling |h|, and which of them these are, both (n, |B|)."""
        h = torch.zeros_like(flat[:, self.changed])
        for sites, weight in zip(self.around.T, self.weights.T, strict=True):
            h += flat.detach()[:, sites] * weight.to(h.dtype)
        order = h.abs().argsort(dim=1, descending=True, stable=True)
        return h.gather(1, order).sign(), order

    def pull_flip(self, action: Tensor) -> Tensor | None:
        decided = action[self.deciding]
        changed = action.flatten()[self.changed]
        if not bool((changed == changed[0]).all()) or not bool((decided == decided[0]).all()):
            return None
        return action.flatten().index_copy(0, self.changed, changed * decided[0]).view_as(action)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, {len(self.changed)} sites changed, second={self.second}"


def _fields(shape: tuple[int, int], changed: Tensor, deciding: Tensor, second: int) -> tuple[Tensor, Tensor]:
    """(|B|, k) sites that each changed site sees and their whole-number weights, the sum of each row odd."""
    n, m = shape
    dy = (changed[:, None] // m - deciding // m).abs()
    dx = (changed[:, None] % m - deciding % m).abs()
    distance = torch.minimum(dy, n - dy).square() + torch.minimum(dx, m - dx).square()
    first = distance.amin(1, keepdim=True)
    beyond = distance.masked_fill(distance == first, n * n + m * m).amin(1, keepdim=True)
    weights = NEAREST * (distance == first) + second * (distance == beyond)
    k = int((weights > 0).sum(1).max())
    weights, places = weights.sort(dim=1, descending=True, stable=True)
    weights = weights[:, :k].clone()
    weights[:, 0] += 1
    return deciding[places[:, :k]], weights


@checked
def coarse_to_fine(shape: tuple[int, ...], *, levels: int | None = None, second: int = 2) -> list[SortingCoupling]:
    """Sorting layers that fill a lattice from coarse to fine, the coarsest first, next to the latent.

    At spacing s the sites at multiples of 2s decide those at the middles of the squares, and both together those at the
    middles of the edges. The last layer is the heat bath of one sublattice, whose fields are those of four neighbours.

    Args:
        shape: (n, m).
        levels: how many spacings 1, 2, 4, ...; None is as many as halve both sides.
        second: of all layers but the last, see :class:`SortingCoupling`.

    Returns:
        Two layers a level.

    Raises:
        ValueError: for odd sides, or more levels than halve them.

    >>> [len(layer.changed) for layer in coarse_to_fine((8, 8))]
    [1, 2, 4, 8, 16, 32]
    """
    n, m = plane(shape)
    most = min((side & -side).bit_length() - 1 for side in (n, m))
    levels = most if levels is None else levels
    if not 1 <= levels <= most:
        raise ValueError(f"levels must be 1 to {most} for shape {(n, m)}, whose sides halve {most} times, got {levels}")
    y, x = torch.arange(n)[:, None], torch.arange(m)
    layers = []
    for s in (2**level for level in range(levels - 1, -1, -1)):
        on_grid = (y % s == 0) & (x % s == 0)
        odd_y, odd_x = y // s % 2 == 1, x // s % 2 == 1
        coarse, centres = on_grid & ~odd_y & ~odd_x, on_grid & odd_y & odd_x
        layers.append(SortingCoupling((n, m), coarse, centres, second=second))
        edges = on_grid & (odd_y ^ odd_x)
        layers.append(SortingCoupling((n, m), coarse | centres, edges, second=second if s > 1 else 0))
    return layers
