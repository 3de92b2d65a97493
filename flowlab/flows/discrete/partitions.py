"""Who decides and who is changed: partitions of the sites for coupling layers.

A partition is a boolean mask ``reads`` of the lattice's shape, True on the sites that a layer reads, which stay as they
are; the layer changes the rest. Each function gives one mask for each of ``layers`` layers, the one next to the latent
first, so that enough layers change every site.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from flowlab.core import named_generator
from flowlab.systems.lattice import checkerboard, window

Partition = Literal["checkerboard", "pairs", "blocks", "large_blocks", "hierarchical", "sublattices", "halves"]
PARTITIONS = ("checkerboard", "pairs", "blocks", "large_blocks", "hierarchical", "sublattices", "halves")
QUARTERS = ((0, 0), (1, 1), (0, 1), (1, 0))
MAX_PATTERNS = 16


def partitions(
    kind: Partition, shape: tuple[int, ...], layers: int, *, generator: torch.Generator | None = None
) -> list[Tensor]:
    """Masks by name, one a layer.

    Args:
        kind: "checkerboard", "pairs", "blocks" (2 x 2), "large_blocks" (4 x 4), "hierarchical" (4 x 4 blocks, 2 x 2
            blocks and pairs in turns), "sublattices" (three, of a triangular lattice) or "halves" (random, any shape).
        shape: sides of one configuration.
        layers: how many masks.
        generator: for random halves.

    Returns:
        Boolean masks (*shape), True on the sites that decide.

    Raises:
        ValueError: for an unknown kind, or sides that the blocks do not divide.

    >>> [int(mask.sum()) for mask in partitions("hierarchical", (4, 8), 3)]
    [24, 24, 16]
    """
    if layers < 0:
        raise ValueError(f"layers must be 0 or more, got {layers}")
    if kind == "halves":
        return halves(shape, layers, generator=generator)
    known = {
        "checkerboard": checkerboards,
        "pairs": pairs,
        "blocks": blocks,
        "large_blocks": lambda shape, layers: blocks(shape, layers, size=4),
        "hierarchical": hierarchical,
        "sublattices": sublattices,
    }
    if kind not in known:
        raise ValueError(f"kind must be one of {', '.join(PARTITIONS)}, got {kind!r}")
    return known[kind](shape, layers)


def checkerboards(shape: tuple[int, ...], layers: int) -> list[Tensor]:
    """The even and the odd sublattice in turns; both sides must be even.

    >>> [bool(mask[0, 0]) for mask in checkerboards((4, 4), 3)]
    [True, False, True]
    """
    even = checkerboard(shape)
    return [even if layer % 2 == 0 else ~even for layer in range(layers)]


def pairs(shape: tuple[int, ...], layers: int) -> list[Tensor]:
    """Nearest pairs, one site of which decides: the left ones, the upper, the right, the lower; both sides even.

    >>> [mask.int().tolist() for mask in pairs((2, 2), 2)]
    [[[1, 0], [1, 0]], [[1, 1], [0, 0]]]
    """
    y, x = _sites(shape, 2, "pairs")
    return [((x if layer % 2 == 0 else y) + layer // 2) % 2 == 0 for layer in range(layers)]


def blocks(shape: tuple[int, ...], layers: int, *, size: int = 2) -> list[Tensor]:
    """Square blocks, one quarter of which is changed given the three others; the quarters take turns.

    Args:
        shape: (n, m), both sides divisible by ``size``.
        layers: how many masks.
        size: side of a block, even: 2 changes one site of four, 4 a square of four sites given the twelve around it.

    Raises:
        ValueError: for an odd size, or sides that it does not divide.

    >>> blocks((2, 4), 1)[0].int().tolist()
    [[0, 1, 0, 1], [1, 1, 1, 1]]
    """
    if size < 2 or size % 2:
        raise ValueError(f"size must be an even side of a block, got {size}")
    y, x = _sites(shape, size, f"{size} x {size} blocks")
    half = size // 2
    quarters = [(y % size // half == a) & (x % size // half == b) for a, b in QUARTERS]
    return [~quarters[layer % 4] for layer in range(layers)]


def hierarchical(shape: tuple[int, ...], layers: int) -> list[Tensor]:
    """From coarse to fine, again and again: a layer on 4 x 4 blocks, one on 2 x 2 blocks, one on nearest pairs.

    Raises:
        ValueError: for sides that are not divisible by 4.
    """
    rounds = -(-layers // 3)
    levels = [blocks(shape, rounds, size=4), blocks(shape, rounds), pairs(shape, rounds)]
    return [levels[layer % 3][layer // 3] for layer in range(layers)]


def sublattices(shape: tuple[int, ...], layers: int) -> list[Tensor]:
    """The three sublattices of a triangular lattice take turns: each is changed given the two others, its neighbours.

    The lattice is a square one with the diagonals along (1, 1); both sides must be divisible by 3.

    >>> sublattices((3, 3), 1)[0].int().tolist()
    [[0, 1, 1], [1, 1, 0], [1, 0, 1]]
    """
    y, x = _sites(shape, 3, "three sublattices")
    return [(x + y) % 3 != layer % 3 for layer in range(layers)]


def halves(shape: tuple[int, ...], layers: int, *, generator: torch.Generator | None = None) -> list[Tensor]:
    """Random halves of any set of sites, in pairs: half decides in one layer, the other half in the next.

    Args:
        shape: sides of one configuration, at least two sites in all.
        layers: how many masks.
        generator: for the choice of sites.

    Raises:
        ValueError: for fewer than two sites.

    >>> first, second = halves((8,), 2)
    >>> int(first.sum()), bool((first == ~second).all())
    (4, True)
    """
    n_sites = math.prod(shape)
    if n_sites < 2:
        raise ValueError(f"a partition needs at least two sites, got shape {tuple(shape)}")
    generator = generator if generator is not None else named_generator(0, "halves")
    masks: list[Tensor] = []
    while len(masks) < layers:
        order = torch.randperm(n_sites, generator=generator, device=generator.device).cpu()
        chosen = (order < n_sites // 2).reshape(tuple(shape))
        masks += [chosen, ~chosen]
    return masks[:layers]


def deciding_sites(reads: str | Tensor, shape: tuple[int, ...]) -> Tensor:
    """(*shape) booleans, True on the sites that decide, from "even", "odd" or such a mask.

    Raises:
        ValueError: for another word, another shape or type, or a mask where all or no sites decide.
    """
    if isinstance(reads, Tensor):
        if reads.dtype != torch.bool or tuple(reads.shape) != tuple(shape):
            raise ValueError(
                f"reads must be booleans of shape {tuple(shape)}, got {reads.dtype} of shape {tuple(reads.shape)}"
            )
        if reads.all() or not reads.any():
            raise ValueError(
                f"reads must leave sites that decide and sites that are changed, got {int(reads.sum())} of "
                f"{reads.numel()} sites that decide"
            )
        return reads.clone()
    if reads not in ("even", "odd"):
        raise ValueError(f"reads must be 'even' or 'odd', got {reads!r}: or booleans, True on the sites that decide")
    even = checkerboard(shape)
    return even if reads == "even" else ~even


def patterns(deciding: Tensor, kernel: int) -> list[tuple[Tensor, Tensor]]:
    """What each changed site of a lattice sees: the deciding sites in a square window around it, nearest first.

    Changed sites that see the same pattern of deciding sites belong together: one function can serve them all.

    Args:
        deciding: (n, m) booleans.
        kernel: side of the window, an odd number of at least 3.

    Returns:
        For each pattern (M,) changed sites and (M, k) the deciding sites around them, at the same k offsets for all.

    Raises:
        ValueError: for an even or too small kernel, no lattice of two sides, a changed site that sees no deciding one,
            or more than 16 patterns.

    >>> [(len(sites), around.shape[1]) for sites, around in patterns(blocks((8, 8), 1, size=4)[0], 3)]
    [(4, 5), (4, 5), (4, 5), (4, 5)]
    """
    if deciding.ndim != 2:
        raise ValueError(f"windows need a lattice of two sides, got shape {tuple(deciding.shape)}: use network='mlp'")
    changed = (~deciding).flatten().nonzero().flatten()
    table = window(tuple(deciding.shape), offsets(kernel))[changed]
    seen, which = deciding.flatten()[table].unique(dim=0, return_inverse=True)
    if len(seen) > MAX_PATTERNS:
        raise ValueError(
            f"a window mask is the same function of the same surroundings, but the changed sites of this partition see "
            f"{len(seen)} different ones (at most {MAX_PATTERNS}): use network='mlp'"
        )
    if not bool(seen.any(1).all()):
        raise ValueError(f"kernel={kernel} is too small: some changed sites see no site that decides")
    return [(changed[which == i], table[which == i][:, pattern]) for i, pattern in enumerate(seen)]


def everything(deciding: Tensor) -> tuple[Tensor, Tensor]:
    """(M,) changed sites and (1, k) deciding sites, which all of them see."""
    return (~deciding).flatten().nonzero().flatten(), deciding.flatten().nonzero().flatten()[None]


def offsets(kernel: int) -> list[tuple[int, int]]:
    """(dy, dx) of a square window without its centre, nearest first.

    Raises:
        ValueError: for an even or too small kernel.
    """
    if kernel < 3 or kernel % 2 == 0:
        raise ValueError(f"kernel must be an odd number of at least 3, got {kernel}")
    reach = range(-(kernel // 2), kernel // 2 + 1)
    around = [(dy, dx) for dy in reach for dx in reach if (dy, dx) != (0, 0)]
    return sorted(around, key=lambda offset: offset[0] ** 2 + offset[1] ** 2)


def _sites(shape: tuple[int, ...], divisor: int, what: str) -> tuple[Tensor, Tensor]:
    """y and x of every site, (n, m) each, of a lattice whose sides are divisible."""
    if len(tuple(shape)) != 2 or any(int(side) != side or side < 1 or side % divisor for side in shape):
        sides = "even sides" if divisor == 2 else f"sides divisible by {divisor}"
        raise ValueError(f"shape must be two {sides} for {what}, got {tuple(shape)}")
    y, x = torch.meshgrid(torch.arange(shape[0]), torch.arange(shape[1]), indexing="ij")
    return y, x
