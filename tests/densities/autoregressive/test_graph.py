"""Spins that see what surrounds the part of a graph still to be drawn: exact ln q, fast draws, local parameters."""

import numpy as np
import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities import GraphAutoregressive
from flowlab.densities.autoregressive.autoregressive import Autoregressive
from flowlab.densities.autoregressive.dissection import dissected
from flowlab.exact.enumeration import configurations
from flowlab.systems import Ising, SpinGlass
from tests.laws.registry import shaken


class Naive(GraphAutoregressive):
    """Samples as the definition says: one evaluation of the network per site."""

    choose = Autoregressive.choose


def plane(h=None, T=0.7, kind="gaussian"):
    glass = SpinGlass.edwards_anderson((2, 4), T, 3, kind)
    return SpinGlass(glass.J, T, h, shape=(2, 4))


HOW = [{}, {"reach": 1}, {"order": "raster", "hidden": 2}, {"order": [3, 1, 4, 0, 5, 2, 7, 6]}]
FIELDS = [None, np.linspace(-0.5, 0.7, 8)]


@pytest.mark.parametrize("h", FIELDS, ids=["no field", "fields"])
@pytest.mark.parametrize("how", HOW)
def test_probabilities_sum_to_one_and_know_the_flip(h, how):
    density, x = shaken(GraphAutoregressive(plane(h), **how).double()), configurations((2, 4))
    with torch.no_grad():
        log_q, flipped = density.log_prob(x), density.log_prob(-x)
    assert abs(float(log_q.logsumexp(0))) < 1e-12
    assert (float((log_q - flipped).abs().max()) < 1e-12) == (h is None)
    assert (density.flip_action() is None) == (h is not None)


@pytest.mark.parametrize("h", FIELDS, ids=["no field", "fields"])
def test_groups_drawn_together_choose_what_site_after_site_does(h):
    fast, naive = (shaken(kind(plane(h), hidden=3).double()) for kind in (GraphAutoregressive, Naive))
    u = torch.rand(100, 8, generator=named_generator(0, "uniforms"), dtype=torch.float64)
    x, log_q = fast.from_uniforms(u)
    assert torch.equal(x, naive.from_uniforms(u)[0])
    torch.testing.assert_close(log_q, fast.log_prob(x).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", ["raster", [0, 2, 4, 6, 1, 3, 5, 7], [6, 4, 2, 0, 5, 1, 3, 7]])
def test_a_chain_whose_gaps_are_of_one_spin_is_exact_at_the_start(order):
    J = np.diag([0.7, -1.2, 0.4, 0.9, -0.6, 1.1, 0.3], 1)
    glass, x = SpinGlass(J + J.T, 0.6), configurations((8,))
    found = GraphAutoregressive(glass, order=order).double().log_prob(x).detach()
    torch.testing.assert_close(found, torch.log_softmax(glass.log_weight(x), 0), rtol=0, atol=1e-5)


def test_what_one_spin_to_come_answers_is_exact():
    """A star: two leaves, then another leaf, which sees the two through the centre."""
    J = np.zeros((4, 4))
    J[0, 1:] = J[1:, 0] = [0.8, -0.5, 1.3]
    glass, x = SpinGlass(J, 0.9, [0.3, 0.1, -0.2, 0.4]), configurations((4,))
    density = GraphAutoregressive(glass, order=[1, 2, 3, 0]).double()
    weight = glass.log_weight(x).exp()
    last = {}
    for row, w in zip(x, weight, strict=True):
        key = tuple(row[1:].tolist())
        last[key] = last.get(key, 0.0) + w
    place = density.places[3]
    found = density.log_conditionals(x)[:, place].detach()
    for row, value in zip(x.tolist(), found, strict=True):
        this, other = tuple(row[1:]), (*row[1:3], -row[3])
        assert abs(float(value.exp()) - float(last[this] / (last[this] + last[other]))) < 1e-6


def test_a_site_sees_what_is_drawn_around_the_rest_and_nothing_else():
    glass = SpinGlass.edwards_anderson((6, 6), 1.0, 1, "pm1", boundary="open")
    density = GraphAutoregressive(glass, order="raster")
    for place in range(36):
        y, x = divmod(place, 6)
        seen = sorted(density.sites[density.seen[place][density.seen[place] < 36]].tolist())
        if y < 5:  # what is to come joins all of the last six
            assert seen == list(range(max(0, place - 6), place))
        else:
            assert seen == [*range(place - 6, 30), *([place - 1] if x else [])]
    near = GraphAutoregressive(glass, order="raster", reach=2)
    assert int((near.seen < 36).sum(1).max()) <= 4


def test_parameters_grow_with_the_sites_and_draws_with_less():
    found = {L: GraphAutoregressive(SpinGlass.edwards_anderson((L, L), 1.0, 0), reach=4) for L in (8, 16)}
    weights = {L: sum(p.numel() for p in density.parameters()) for L, density in found.items()}
    assert weights[16] < 8 * weights[8]
    assert found[16].depth < 100 < found[16].n_sites


@pytest.mark.parametrize("shape", [(8, 8), (4, 4, 4)])
def test_dissection_names_every_site_once_and_leaves_small_parts(shape):
    glass = SpinGlass.edwards_anderson(shape, 1.0, 0)
    order = dissected(*glass.neighbours())
    assert sorted(order.tolist()) == list(range(glass.n_sites))
    small, raster = (GraphAutoregressive(glass, order=o) for o in (order, "raster"))
    assert float((small.seen < glass.n_sites).sum()) < 0.8 * float((raster.seen < glass.n_sites).sum())


def test_binding_changes_the_temperature_and_nothing_that_is_saved():
    cold, x = plane(T=0.5), configurations((2, 4))
    density = shaken(GraphAutoregressive(cold).double())
    before, saved = density.log_prob(x), {k: v.clone() for k, v in density.state_dict().items()}
    density.bind(cold.at(T=2.0))
    assert float((density.log_prob(x) - before).detach().abs().max()) > 0.1
    density.bind(cold)
    torch.testing.assert_close(density.log_prob(x), before)
    assert set(saved) == {"inner", "outer", "skip"}
    assert all(torch.equal(saved[k], v) for k, v in density.state_dict().items())


def test_unsuitable_targets_are_refused():
    density = GraphAutoregressive(plane())
    with pytest.raises(ValueError, match="built without fields"):
        density.bind(plane(0.1))
    with pytest.raises(ValueError, match="no bond between"):
        density.bind(SpinGlass(SpinGlass.sherrington_kirkpatrick(8, 1.0).J, 1.0, shape=(2, 4)))
    with pytest.raises(TypeError, match="needs a SpinGlass"):
        GraphAutoregressive(Ising((2, 4), T=2.0))
    with pytest.raises(ValueError, match="reach must be at least 1"):
        GraphAutoregressive(plane(), reach=0)
