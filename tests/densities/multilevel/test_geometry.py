"""Levels, colours and windows of the even sublattice."""

import numpy as np
import pytest

from flowlab.densities.multilevel import geometry


def every_group(side, coarsest, colours):
    groups = geometry.one_by_one(side, coarsest)
    for level in reversed(range(geometry.doublings((side, side // 2), coarsest))):
        groups += geometry.doubling(side, level, colours=colours, window=32)
    return groups


def coordinates(positions, side):
    y, k = np.divmod(positions, side // 2)
    return y, 2 * k + y % 2


@pytest.mark.parametrize(("side", "coarsest"), [(4, 2), (6, 3), (8, 2), (8, 4), (10, 5), (12, 3), (16, 2), (20, 5)])
@pytest.mark.parametrize("colours", [1, 2, 4, 8])
def test_every_even_site_is_drawn_once_and_sees_only_what_came_before(side, coarsest, colours):
    known = set()
    for group in every_group(side, coarsest, colours):
        assert set(group.window.flatten().tolist()) <= known
        known |= set(group.sites.tolist())
    assert sorted(known) == list(range(side**2 // 2))
    assert sum(len(group.sites) for group in every_group(side, coarsest, colours)) == side**2 // 2


@pytest.mark.parametrize("colours", [2, 4])
def test_windows_are_the_offsets_around_each_site(colours):
    side = 16
    for group in every_group(side, 2, colours):
        y, x = coordinates(group.sites, side)
        v, u = coordinates(group.window, side)
        a = 1 if group.name.startswith("site") else 2**group.level
        dy, dx = np.array(group.offsets, dtype=int).reshape(-1, 2).T * (side // 2 if a == 1 and group.level else a)
        assert np.array_equal(v, (y[:, None] + dy) % side) and np.array_equal(u, (x[:, None] + dx) % side)


def test_groups_look_alike_at_all_sizes_and_levels():
    large = {group.key: group.offsets for group in every_group(32, 2, 4)}
    for group in every_group(8, 2, 4):
        if not group.name.startswith("site"):
            assert large[group.key] == group.offsets
    for kind in ("centre 0", "centre 1", "edge 2"):
        assert large[f"1 {kind}"] == large[f"3 {kind}"]


@pytest.mark.parametrize(("cells", "colours", "least"), [(4, 2, 2), (4, 4, 4), (8, 8, 8), (3, 2, 2), (5, 4, 5)])
def test_sites_of_one_colour_are_far_from_each_other(cells, colours, least):
    colour = geometry.colouring(cells, colours)
    y, x = np.divmod(np.arange(cells**2), cells)
    dy, dx = (np.minimum(d % cells, -d % cells) for d in (y[:, None] - y, x[:, None] - x))
    same = (colour.flatten()[:, None] == colour.flatten()) & (dy + dx > 0)
    assert (dy**2 + dx**2)[same].min() >= least


def test_last_group_sees_exactly_what_it_interacts_with():
    *_, last = geometry.doubling(16, 0, colours=4, window=32)
    assert sorted(y * y + x * x for y, x in last.offsets) == [2] * 4 + [4] * 4


@pytest.mark.parametrize(("side", "coarsest", "dims"), [(8, 2, 1), (12, 3, 1), (4, 2, 3), (8, 2, 3), (6, 3, 3)])
@pytest.mark.parametrize("colours", [1, 2, 4, 8])
def test_lines_and_cubes_are_drawn_once_too_and_see_only_what_came_before(side, coarsest, dims, colours):
    groups = geometry.one_by_one(side, coarsest, dims)
    half = (*[side] * (dims - 1), side // 2)
    for level in reversed(range(geometry.doublings(half, coarsest))):
        groups += geometry.doubling(side, level, colours=colours, window=32, dims=dims)
    known = set()
    for group in groups:
        assert set(group.window.flatten().tolist()) <= known
        known |= set(group.sites.tolist())
    assert sorted(known) == list(range(side**dims // 2)) == sorted(np.concatenate([g.sites for g in groups]).tolist())


def test_the_last_group_of_a_cube_sees_exactly_what_it_interacts_with():
    *_, last = geometry.doubling(8, 0, colours=4, window=32, dims=3)
    assert last.exact and sorted(sum(one * one for one in d) for d in last.offsets) == [2] * 12 + [4] * 6
    *_, last = geometry.doubling(8, 0, colours=2, window=32, dims=3)
    assert not last.exact  # sites of one colour are 2 apart


def test_raster_sites_see_what_came_before_in_their_window():
    groups = geometry.raster(8, 1, reach=3)
    known = set(geometry.coarsest_sites(8, 2).tolist())
    assert [group.name for group in groups] == ["centre"] * 4 + ["edge"] * 8
    for group in groups:
        assert group.window.shape == (1, 49)
        assert set(group.window[group.window >= 0].tolist()) == known  # the window is larger than the coarse lattice
        known |= set(group.sites.tolist())


@pytest.mark.parametrize(
    ("shape", "coarsest", "message"),
    [
        ((12, 6), 2, r"L must be 2 · 2\^k"),
        ((4, 2), 4, r"L must be 4 · 2\^k"),
        ((8, 8), 2, r"shape must be \(L, L//2\)"),
        ((8, 4), 1, "side of at least 2, got 1"),
    ],
)
def test_sizes_that_cannot_be_halved_are_refused(shape, coarsest, message):
    with pytest.raises(ValueError, match=message):
        geometry.doublings(shape, coarsest)


@pytest.mark.parametrize(
    ("colours", "window", "message"), [(3, 32, "colours must be 1, 2, 4"), (2, 3, "at least the 4")]
)
def test_colours_and_windows_that_do_not_exist_are_refused(colours, window, message):
    with pytest.raises(ValueError, match=message):
        geometry.doubling(8, 0, colours=colours, window=window)
