"""The Kramers-Wannier map: a bijection whose bits are walls, found again under relabelings and only there."""

import json
from pathlib import Path

import numpy as np
import pytest

from flowlab.estimators.observables.domain_walls import domain_walls, spins_from_walls, wall_overlap

CASES = json.loads((Path(__file__).parents[2] / "data" / "public_kramers_wannier.json").read_text())["cases"]
NAMED = [case for case in CASES if "spins" in case]


def spins(n: int, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(n, *shape))


@pytest.mark.parametrize("case", NAMED, ids=lambda c: f"{c['name']}-{c['n']}x{c['m']}")
def test_bits_are_the_walls_of_named_configurations(case):
    s, right, down = (np.array([[int(c) for c in row] for row in case[name]]) for name in ("spins", "right", "down"))
    s = 2.0 * s - 1
    w = domain_walls(s)
    np.testing.assert_array_equal(w[:, :-1] < 0, right[:, :-1] == 1)
    np.testing.assert_array_equal(w[:-1, -1] < 0, down[:-1, 0] == 1)
    assert w[-1, -1] == s[0, 0]
    np.testing.assert_array_equal(domain_walls(s, "down")[:-1] < 0, down[:-1] == 1)


@pytest.mark.parametrize("bonds", ["right", "down"])
def test_it_is_a_bijection(bonds):
    states = ((np.arange(2**12)[:, None] >> np.arange(12)) & 1).reshape(-1, 3, 4) * 2.0 - 1
    w = domain_walls(states, bonds)
    assert len(np.unique(w.reshape(-1, 12), axis=0)) == 2**12
    np.testing.assert_array_equal(spins_from_walls(w, bonds), states)


@pytest.mark.parametrize(
    "relabeled",
    [
        lambda s: domain_walls(s),
        lambda s: domain_walls(s, "down"),
        lambda s: np.roll(domain_walls(s), (2, 3), (1, 2)),
        lambda s: -domain_walls(s)[:, ::-1],
        lambda s: domain_walls(np.roll(s, (1, 2), (1, 2))),
        lambda s: np.rot90(domain_walls(s), 1, (1, 2)),
        lambda s: domain_walls(s, "down").swapaxes(1, 2),
    ],
)
def test_the_exact_map_scores_one_under_every_relabeling(relabeled):
    s = spins(400, (6, 6))
    found = wall_overlap(relabeled(s), s)
    assert found.agreement.value == 1 and found.agreement.error == 0
    assert found.information.value > 0.9 * np.log(2)
    assert found.chance == pytest.approx(0.5, abs=0.05)


def test_rectangles():
    s = spins(300, (4, 8))
    assert wall_overlap(domain_walls(s, "down"), s).agreement.value == 1


def test_what_knows_nothing_of_the_walls_scores_chance():
    s = spins(4000, (6, 6))
    for z in (s, spins(4000, (6, 6), seed=1), np.roll(domain_walls(s), 1000, axis=0)):
        found = wall_overlap(z, s)
        assert abs(found.agreement.value - found.chance) < 4 * found.agreement.error + 1e-3
        assert abs(found.information.value) < 4 * found.information.error + 1e-4
    rare = np.where(np.random.default_rng(2).random((1000, 6, 6)) < 0.02, -1.0, 1.0)
    found = wall_overlap(np.ones_like(rare), rare)
    assert found.agreement.value > 0.9 and found.agreement.value == pytest.approx(found.chance)
    assert found.information.value == pytest.approx(0, abs=1e-3)


def test_half_the_latents_being_walls_is_seen_site_by_site():
    s = spins(2000, (6, 6))
    even = np.indices((6, 6)).sum(0) % 2 == 0
    found = wall_overlap(np.where(even, s, s * np.roll(s, -1, 2)), s)
    assert found.agreement.value == pytest.approx(0.75, abs=0.1)
    np.testing.assert_allclose(found.site_information.value[~even], np.log(2), atol=0.01)
    assert np.abs(found.site_information.value[even]).max() < 0.01


def test_refused():
    with pytest.raises(ValueError, match='bonds must be "right" or "down", got \'left\''):
        domain_walls(np.ones((4, 4)), "left")
    with pytest.raises(ValueError, match=r"one shape \(k, n, m\) with k >= 8, got \(4, 4, 4\)"):
        wall_overlap(np.ones((4, 4, 4)), np.ones((4, 4, 4)))
