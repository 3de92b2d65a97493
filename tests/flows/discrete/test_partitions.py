"""Partitions: every site gets its turn, and what the changed sites see."""

from __future__ import annotations

import pytest
import torch

from flowlab.core import named_generator
from flowlab.flows.discrete.partitions import (
    PARTITIONS,
    blocks,
    checkerboards,
    deciding_sites,
    halves,
    hierarchical,
    pairs,
    partitions,
    patterns,
    sublattices,
)
from flowlab.flows.discrete.xor import windows
from flowlab.systems.lattice import checkerboard

SHAPE = (12, 24)
TURNS = {
    "checkerboard": 2,
    "pairs": 2,
    "blocks": 4,
    "large_blocks": 4,
    "hierarchical": 3,
    "sublattices": 3,
    "halves": 2,
}


@pytest.mark.parametrize("kind", PARTITIONS)
def test_in_turn_every_site_is_changed_and_every_site_decides(kind):
    masks = partitions(kind, SHAPE, 12)
    assert len(masks) == 12 and all(mask.dtype == torch.bool and mask.shape == SHAPE for mask in masks)
    assert torch.stack(masks).any(0).all() and (~torch.stack(masks)).any(0).all()
    assert partitions(kind, SHAPE, 0) == []
    changed = {"checkerboard": 1 / 2, "pairs": 1 / 2, "halves": 1 / 2, "sublattices": 1 / 3}.get(kind)
    if changed is not None:
        assert all(float((~mask).double().mean()) == pytest.approx(changed) for mask in masks)
    if kind not in ("hierarchical", "pairs", "halves"):
        turns = torch.stack(masks[: TURNS[kind]])
        assert ((~turns).sum(0) == 1).all()  # once a round


def test_a_pair_and_a_block_have_one_that_is_changed():
    for (step, axis), mask in zip([(-1, 1), (-1, 0), (1, 1), (1, 0)], pairs((4, 6), 4), strict=True):
        assert torch.equal(mask.roll(step, axis), ~mask)
    for mask in blocks((4, 6), 4):
        assert (mask.view(2, 2, 3, 2).int().sum((1, 3)) == 3).all()
    for mask in blocks((8, 4), 4, size=4):
        quarters = mask.view(2, 2, 2, 1, 2, 2).permute(0, 3, 1, 4, 2, 5).flatten(2, 3).flatten(3)
        assert (quarters.all(3).sum(2) == 3).all() and ((~quarters).all(3).sum(2) == 1).all()


def test_hierarchical_goes_from_coarse_to_fine():
    found = hierarchical((8, 8), 6)
    for layer, mask in enumerate([*blocks((8, 8), 1, size=4), *blocks((8, 8), 1), *pairs((8, 8), 1)]):
        assert torch.equal(found[layer], mask)
    assert torch.equal(found[4], blocks((8, 8), 2)[1])


def test_halves_follow_their_generator_and_complete_each_other():
    one, other, third = halves((5, 3), 3, generator=named_generator(0, "graph"))
    assert torch.equal(one, ~other) and int(one.sum()) == 7
    assert not torch.equal(one, third)
    assert torch.equal(one, halves((5, 3), 1, generator=named_generator(0, "graph"))[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: checkerboards((4, 5), 1), r"two even sides for a checkerboard, got \(4, 5\)"),
        (lambda: pairs((4, 5), 1), r"shape must be two even sides for pairs, got \(4, 5\)"),
        (lambda: pairs((6,), 1), r"shape must be two even sides for pairs, got \(6,\)"),
        (lambda: blocks((6, 8), 1, size=4), r"shape must be two sides divisible by 4 for 4 x 4 blocks, got \(6, 8\)"),
        (lambda: blocks((6, 9), 1, size=3), "size must be an even side of a block, got 3"),
        (lambda: hierarchical((6, 8), 1), "sides divisible by 4 for 4 x 4 blocks"),
        (lambda: sublattices((6, 8), 1), r"sides divisible by 3 for three sublattices, got \(6, 8\)"),
        (lambda: halves((1,), 1), r"a partition needs at least two sites, got shape \(1,\)"),
        (lambda: partitions("stripes", (4, 4), 1), "kind must be one of checkerboard, .*, got 'stripes'"),
        (lambda: partitions("pairs", (4, 4), -1), "layers must be 0 or more, got -1"),
        (lambda: deciding_sites(torch.ones(4, 4), (4, 4)), r"booleans of shape \(4, 4\), got torch.float32"),
        (
            lambda: deciding_sites(torch.ones(3).bool(), (4,)),
            r"booleans of shape \(4,\), got torch.bool of shape \(3,\)",
        ),
        (lambda: deciding_sites(torch.ones(4).bool(), (4,)), "got 4 of 4 sites that decide"),
        (lambda: patterns(checkerboard((4, 4)), 4), "kernel must be an odd number of at least 3, got 4"),
        (lambda: patterns(halves((8,), 1)[0], 3), r"windows need a lattice of two sides, got shape \(8,\)"),
        (lambda: patterns(halves((8, 8), 1)[0], 3), "different ones .* use network='mlp'"),
        (lambda: patterns(blocks((16, 16), 1, size=8)[0], 3), "kernel=3 is too small: some changed sites see no site"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_a_checkerboard_sees():
    even = checkerboard((6, 8))
    ((sites, around),) = patterns(even, 5)
    assert torch.equal(sites, (~even).flatten().nonzero().flatten())
    assert torch.equal(around, windows((6, 8), sites, 5))


def test_changed_sites_see_deciding_sites_at_the_same_offsets():
    for kind in ("pairs", "blocks", "large_blocks", "sublattices"):
        deciding = partitions(kind, SHAPE, 1)[0]
        found = patterns(deciding, 5)
        sites = torch.cat([sites for sites, _ in found])
        assert torch.equal(sites.sort().values, (~deciding).flatten().nonzero().flatten())
        for sites, around in found:
            assert deciding.flatten()[around].all()
            y, x = (around // 24 - sites[:, None] // 24) % 12, (around % 24 - sites[:, None] % 24) % 24
            assert (y == y[0]).all() and (x == x[0]).all()
