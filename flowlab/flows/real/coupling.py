"""What all couplings of real fields share: a mask, a network of the sites that stay, and parity."""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from flowlab.core import Flow
from flowlab.core.arguments import checked
from flowlab.nn.field_network import FieldNetwork
from flowlab.nn.given_network import GivenNetwork
from flowlab.nn.mlp import Activation
from flowlab.nn.stacked import StackedConvolutions

Network = Literal["mlp", "conv", "stack"] | nn.Module | Callable[[int, int], nn.Module]


class Coupling(Flow):
    """x_A = C(z_A; z_B), x_B = z_B: the sites A are moved one by one, in ways that a network reads off the rest, B.

    To write one: call ``_network`` in the constructor and give ``_move``.

    ``network="mlp"``, "conv" and "stack" are networks of flowlab's. Any other is a module that maps the sites that
    stay, (n, |B|), to k numbers for each that is changed, (n, k, |A|) or flat, or a function that makes it from the
    numbers of its inputs and outputs, e.g. ``lambda inputs, outputs: nn.Linear(inputs, outputs)``. Layers that are
    ``odd`` take the even or the odd part of what it gives.

    Args:
        mask: (*shape) booleans, True on A, the sites that are changed; B is the rest.
        odd: whether the layer is odd under a flip of all fields, f(-z) = -f(z).

    Raises:
        ValueError: for a mask that is not boolean, or that leaves A or B empty.
    """

    def __init__(self, mask: Tensor, *, odd: bool) -> None:
        super().__init__()
        if mask.dtype != torch.bool or mask.all() or not mask.any():
            raise ValueError(
                f"mask must be boolean with sites to change (True) and sites to read (False), got {mask.dtype} with "
                f"{int((mask != 0).sum())} of {mask.numel()} sites to change"
            )
        self.shape, self.odd = tuple(mask.shape), odd
        changed, read = mask.flatten().nonzero().flatten(), (~mask).flatten().nonzero().flatten()
        self.register_buffer("changed", changed, persistent=False)
        self.register_buffer("read", read, persistent=False)

    changed: Tensor
    read: Tensor

    @abstractmethod
    def _move(self, own: Tensor, sites: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        """(n, |A|) fields of A, given all (n, N) -> where they go and the log-determinant of that direction, (n,)."""

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return self._map(z, inverse=False)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._map(x, inverse=True)

    def _map(self, x: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"expected fields of shape (n, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}")
        sites = x.flatten(1)
        moved, log_det = self._move(sites.index_select(1, self.changed), sites, inverse=inverse)
        return sites.index_copy(1, self.changed, moved).view_as(x), log_det

    def pull_flip(self, action: Tensor) -> Tensor | None:
        return action if self.odd and bool((action == -1).all()) else None

    def extra_repr(self) -> str:
        return f"shape={self.shape}, {len(self.changed)} sites changed, odd={self.odd}"

    def _network(
        self,
        network: Network,
        windows: Tensor | None,
        *,
        even: int,
        odd: int,
        hidden: int | None,
        layers: int,
        activation: Activation,
        generator: torch.Generator,
    ) -> FieldNetwork | GivenNetwork:
        """Gives every site of A ``even`` and ``odd`` numbers, so named for layers that are ``odd``."""
        if not isinstance(network, str):
            count = len(self.changed)
            return GivenNetwork(network, self.read, even=even * count, odd=odd * count, parity=self.odd)
        if network not in ("mlp", "conv", "stack"):
            raise ValueError(f"network must be 'mlp', 'conv' or 'stack', got {network!r}; or a module, or a function")
        if layers < 1:
            raise ValueError(f"layers must be at least 1 hidden layer, got {layers}")
        if network == "stack":
            count = len(self.changed)
            stack = self._stack(even + odd, hidden=hidden, layers=layers, biases=True, generator=generator)
            return GivenNetwork(stack, self.read, even=even * count, odd=odd * count, parity=self.odd)
        outputs, n_sites = len(self.changed), math.prod(self.shape)
        if network == "mlp":
            if windows is not None:
                raise ValueError("windows are for network='conv'; network='mlp' reads every site that stays")
            table, even, odd = self.read[None], even * outputs, odd * outputs
        else:
            table = self._check_windows(windows)
        width = hidden if hidden is not None else n_sites if network == "mlp" else 16
        return FieldNetwork(
            table,
            hidden=(width,) * layers,
            even=even,
            odd=odd,
            parity=self.odd,
            activation=activation,
            generator=generator,
        )

    def _stack(
        self, outputs: int, *, hidden: int | None, layers: int, biases: bool, generator: torch.Generator
    ) -> StackedConvolutions:
        mask = torch.zeros(math.prod(self.shape), dtype=torch.bool, device=self.changed.device)
        mask[self.changed] = True
        channels = (8 if hidden is None else hidden,) * layers
        return StackedConvolutions(
            mask.view(self.shape), channels=channels, outputs=outputs, biases=biases, generator=generator
        )

    def _check_windows(self, windows: Tensor | None) -> Tensor:
        mask = torch.zeros(math.prod(self.shape), dtype=torch.bool, device=self.changed.device)
        mask[self.changed] = True
        if windows is None:
            return coupling_windows(mask.view(self.shape))
        if windows.ndim != 2 or len(windows) != len(self.changed) or not windows.shape[1]:
            raise ValueError(
                f"windows must be site numbers ({len(self.changed)}, k), a row for each site that changes, "
                f"got shape {tuple(windows.shape)}"
            )
        if windows.is_floating_point() or windows.min() < 0 or windows.max() >= len(mask) or mask[windows].any():
            raise ValueError("windows must be numbers of sites that the mask leaves alone (False)")
        return windows

    def _heads(self, network: FieldNetwork | GivenNetwork, sites: Tensor) -> tuple[Tensor, Tensor]:
        """All (n, N) fields -> numbers for the sites of A: (even, |A|, n) and (odd, |A|, n)."""
        even, odd = (head.flatten(0, 1) for head in network(sites.T.contiguous()))
        count, n = len(self.changed), len(sites)
        return even.view(len(even) // count, count, n), odd.view(len(odd) // count, count, n)


def staggered_masks(shape: tuple[int, ...]) -> list[Tensor]:
    """The even sublattice of a square or cubic lattice in parts whose sites do not act on each other.

    Where the odd sites are integrated out, even sites one diagonal step or two straight steps apart are coupled. In two
    dimensions four parts have no such pair, if all sides of the whole lattice are multiples of four; in one two, in
    three eight. Other lattices are parted by the parities of their coordinates alone: rows of even and of odd y.

    Args:
        shape: (..., M), M half of the last side; element (..., y, k) is the site (..., y, 2k + (... + y) % 2).

    Returns:
        Boolean masks (*shape), which together hold every site once.

    Raises:
        ValueError: for odd sides, or one part that would be all (a chain of other than a multiple of four sites).

    >>> [mask.int().tolist() for mask in staggered_masks((4, 2))[:2]]
    [[[1, 0], [0, 0], [0, 1], [0, 0]], [[0, 1], [0, 0], [1, 0], [0, 0]]]
    >>> len(staggered_masks((6, 3)))
    2
    """
    sides, sites = lattice_coordinates(shape, staggered=True)
    colour = torch.zeros(len(sites), dtype=torch.long)
    for coordinate in (sites % 2).unbind(1):
        colour = 2 * colour + coordinate
    if all(side % 4 == 0 for side in sides):
        colour = 2 * colour + (sites // 2).sum(1) % 2
    values = colour.unique()
    if len(values) < 2:
        raise ValueError(f"the side of a chain must be a multiple of four, got {sides[0]}")
    return [(colour == value).view(shape).to(torch.get_default_device()) for value in values]


@checked
def coupling_windows(mask: Tensor, kernel: int = 5, *, staggered: bool = False) -> Tensor:
    """For each site that ``mask`` changes, the sites in a window around it that it leaves alone, nearest first.

    Only those offsets count that lead from every changed site to one that stays, e.g. those of odd length on
    a checkerboard, so that a network of the window is the same function everywhere. Offsets that the torus makes
    equal appear once.

    Args:
        mask: (*shape) booleans, in one, two or three dimensions.
        kernel: side of the square window in lattice spacings, an odd number of at least 3.
        staggered: the array holds the even sublattice of a lattice whose last side is twice as long: element
            (..., y, k) is the site (..., y, 2k + (... + y) % 2). The window is one of that lattice.

    Returns:
        (|A|, k) site numbers, in raster order of the changed sites.

    Raises:
        ValueError: for an even kernel, a mask that no offset suits, or a staggered array with an odd side before its
            last.

    >>> from flowlab.systems.lattice import checkerboard
    >>> coupling_windows(checkerboard((6, 6)), 3)[0].tolist()
    [30, 5, 1, 6]
    >>> rows = (torch.arange(6) % 2 == 0)[:, None].expand(6, 3)
    >>> coupling_windows(rows, 3, staggered=True)[0].tolist()
    [17, 15, 5, 3]
    """
    if kernel < 3 or kernel % 2 == 0:
        raise ValueError(f"kernel must be an odd number of at least 3, got {kernel}")
    if mask.dtype != torch.bool or not 1 <= mask.ndim <= 3:
        raise ValueError(f"mask must be booleans in one to three dimensions, got {mask.dtype} in {mask.ndim}")
    sides, sites = lattice_coordinates(tuple(mask.shape), staggered=staggered)
    stays = ~mask.flatten().to(sites.device)
    sites = sites[~stays]
    reach = range(-(kernel // 2), kernel // 2 + 1)
    offsets = sorted(itertools.product(reach, repeat=len(sides)), key=lambda o: sum(i * i for i in o))
    columns: dict[int, Tensor] = {}
    for offset in offsets:
        if staggered and sum(offset) % 2:
            continue
        at = (sites + torch.tensor(offset)) % torch.tensor(sides)
        number = torch.zeros(len(sites), dtype=torch.long)
        for axis, side in enumerate(mask.shape):
            last = staggered and axis == mask.ndim - 1
            number = number * side + (at[:, axis] // 2 if last else at[:, axis])
        if stays[number].all():
            columns.setdefault(int(number[0]), number)
    if not columns:
        raise ValueError(f"mask must leave the same sites alone around every site that it changes, within {kernel}")
    return torch.stack(list(columns.values()), 1).to(mask.device)


def lattice_coordinates(shape: tuple[int, ...], *, staggered: bool) -> tuple[tuple[int, ...], Tensor]:
    """The sides of the lattice that an array of fields lives on, and (N, d) coordinates of its elements there.

    Raises:
        ValueError: for no side, or a staggered array with an odd side before its last.

    >>> lattice_coordinates((2, 2), staggered=True)[1].tolist()
    [[0, 0], [0, 2], [1, 1], [1, 3]]
    """
    if not shape or min(shape) < 1 or (staggered and any(side % 2 for side in shape[:-1])):
        even = ", even ones before the last for a staggered array" if staggered else ""
        raise ValueError(f"shape must be positive sides{even}, got {tuple(shape)}")
    sites = torch.cartesian_prod(*[torch.arange(side) for side in shape]).view(-1, len(shape))
    if not staggered:
        return shape, sites
    sites[:, -1] = 2 * sites[:, -1] + sites[:, :-1].sum(1) % 2
    return (*shape[:-1], 2 * shape[-1]), sites
