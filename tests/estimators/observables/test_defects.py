"""Defects have the walls that their names say, and distances between them are told by topology."""

import numpy as np
import pytest

from flowlab.estimators.observables.defects import TOPOLOGY, defects, placements, topology_distance
from flowlab.estimators.observables.walls import wall_clusters, wall_length


@pytest.mark.parametrize("shape", [(4, 4), (8, 8), (8, 12), (9, 9)])
def test_every_defect_has_its_walls(shape):
    n, m = shape
    made = defects(shape)
    lengths = {name: int(wall_length(s)) for name, s in made.items()}
    expected = {"uniform": 0, "single flip": 4, "island": 8, "large island": 2 * (n // 2 + m // 2), "two islands": 10,
                "flat wall pair": 2 * n, "stepped wall pair": 2 * n + 4}  # fmt: skip
    assert {name: lengths[name] for name in expected} == expected
    assert ("checkerboard" in made) == (n % 2 == 0 and m % 2 == 0)
    assert set(made) <= set(TOPOLOGY)
    clusters = {name: len(wall_clusters(s[None])[1]) for name, s in made.items()}
    for name, count in (("uniform", 0), ("island", 1), ("two islands", 2), ("flat wall pair", 2), ("staircase", 2)):
        assert clusters[name] == count, name


def test_the_staircase_winds_both_ways():
    s = defects((8, 8))["staircase"]
    assert wall_length(s) == 32
    assert (np.roll(s, (1, 1), (0, 1)) == s).all() and s.sum() == 0


def test_a_map_that_reads_the_topology_brings_its_kind_together():
    made = defects((8, 8))
    topology = [TOPOLOGY[name] for name in made]
    placed = placements(list(made.values()), 40, rng=np.random.default_rng(0))
    raw = topology_distance(placed, topology)
    code = np.random.default_rng(1).choice([-1.0, 1.0], size=(len(set(topology)), 64))
    images = np.stack([code[sorted(set(topology)).index(kind)] for kind in topology])
    found = topology_distance(np.broadcast_to(images, (40, *images.shape)), topology)
    assert found.equal.value == 0 and found.different.value > 0.3
    assert 0 < raw.equal.value < raw.different.value and 0 < raw.equal.error < 0.05
    i, j = list(made).index("uniform"), list(made).index("single flip")
    assert raw.matrix.value[i, j] == 1 / 64 and raw.matrix.value[i, i] == 0


def test_refused():
    with pytest.raises(ValueError, match=r"two sides of at least 4 for defects, got \(2, 8\)"):
        defects((2, 8))
    with pytest.raises(ValueError, match=r"images must have shape \(R >= 4, 2, \*shape\)"):
        topology_distance(np.ones((3, 2, 4)), ["a", "b"])
