"""Orders of the sites: permutations with the geometry that their names promise."""

from __future__ import annotations

import pytest
import torch

from flowlab.densities.autoregressive.made import MADE
from flowlab.systems.orders import hierarchical, hilbert, site_order

NAMES = ["raster", "checkerboard", "hierarchical", "hilbert"]


def coordinates(sites, shape):
    return torch.stack([sites // shape[1], sites % shape[1]], dim=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(2, 2), (4, 4), (8, 8), (4, 8), (16, 4), (6, 2)])
def test_a_named_order_names_every_site_once(shape, name):
    sites = site_order(shape, name)
    assert sites.dtype == torch.long
    assert sites.sort().values.tolist() == list(range(shape[0] * shape[1]))


@pytest.mark.parametrize("shape", [(3, 5), (7,), (2, 3, 4), (1, 1)])
def test_the_hierarchical_order_exists_on_every_lattice(shape):
    sites = hierarchical(shape)
    assert sites[0] == 0
    assert sites.sort().values.tolist() == list(range(torch.Size(shape).numel()))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (8, 8), (16, 16), (4, 8), (8, 4), (12, 4), (1, 5)])
def test_a_hilbert_curve_steps_from_neighbour_to_neighbour(shape):
    steps = coordinates(hilbert(shape), shape).diff(dim=0).abs().sum(1)
    assert bool((steps == 1).all())


def test_a_hilbert_curve_fills_block_after_block():
    blocks = coordinates(hilbert((8, 8)), (8, 8)).reshape(16, 4, 2) // 2
    assert bool((blocks == blocks[:, :1]).all())


def test_coarse_lattices_come_first():
    at = coordinates(hierarchical((8, 8)), (8, 8))
    for spacing, sites in ((8, 1), (4, 4), (2, 16)):
        assert bool((at[:sites] % spacing == 0).all())
    centres, edges = at[16:32], at[32:]
    assert bool((centres % 2 == 1).all())
    assert bool((edges.sum(1) % 2 == 1).all())


@pytest.mark.parametrize("shape", [(8, 8), (4, 16)])
def test_every_site_of_the_last_half_has_its_neighbours_drawn(shape):
    made = MADE(shape, order="hierarchical")
    last = set(made.sites[made.n_sites // 2 :].tolist())
    for y, x in coordinates(torch.tensor(sorted(last)), shape).tolist():
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            assert (y + dy) % shape[0] * shape[1] + (x + dx) % shape[1] not in last


def test_a_given_permutation_is_taken_as_it_is():
    assert site_order((2, 2), [3, 1, 0, 2]).tolist() == [3, 1, 0, 2]
    assert MADE((2, 2), order=torch.tensor([3, 1, 0, 2])).sites.tolist() == [3, 1, 0, 2]


@pytest.mark.parametrize(
    ("shape", "order", "message"),
    [
        ((4, 4), "spiral", "order must be 'raster', 'checkerboard', 'hierarchical', 'hilbert' or .* got 'spiral'"),
        ((3, 4), "checkerboard", r"shape must be two even sides for a checkerboard, got \(3, 4\)"),
        ((6, 6), "hilbert", r"the shorter a power of two that divides the longer, got \(6, 6\)"),
        ((4, 6), "hilbert", r"the shorter a power of two that divides the longer, got \(4, 6\)"),
        ((8,), "hilbert", r"two sides for a Hilbert curve, .* got \(8,\)"),
        ((2, 2), [0, 1, 1, 2], "order must name each of the 4 sites once"),
        ((2, 2), [0, 1, 2], "order must name each of the 4 sites once"),
    ],
)
def test_impossible_orders_are_refused(shape, order, message):
    with pytest.raises(ValueError, match=message):
        MADE(shape, order=order)
