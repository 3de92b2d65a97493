"""Samples of any representation: the configuration, its ln q and its log weight belong together."""

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.analysis import evaluation
from tests.laws.registry import SHAPE, couplings, shaken

HALF = (4, 2)


def glass(h=None):
    return fl.ContinuousSpinGlass(fl.SpinGlass(couplings(4), T=1.2, h=h))


class Doubled(fl.core.Representation):
    """A representation of one's own: every field is twice the physical one."""

    def __init__(self, parent):
        super().__init__()
        self.parent, self.shape, self.dims, self.domain = parent, parent.shape, parent.dims, parent.domain
        self.couplings = dict(parent.couplings)
        self.log_z_offset = -parent.n_sites * np.log(2.0)

    def log_weight(self, x):
        return self.parent.log_weight(x / 2)

    def observables(self, x):
        return self.parent.observables(x / 2)

    def restore(self, x, *, generator=None):
        return x / 2, x.new_zeros(len(x)) - self.log_z_offset  # a density in s, where x has one too

    def reduce(self, s, *, generator=None):
        return 2 * s


CASES = {
    "ising": lambda: (fl.Ising((4, 4), T=2.0).decimate(), fl.Multilevel(HALF, hidden=(8,))),
    "ising in a field": lambda: (fl.Ising((4, 4), T=2.0, h=0.3).decimate(), fl.MADE(HALF)),
    "potts": lambda: (fl.Potts((4, 4), T=1.0).decimate(), fl.densities.MultilevelStates(HALF, 3, hidden=(8, 8))),
    "xy": lambda: (fl.XY((4, 4), T=0.9).decimate(), fl.densities.MultilevelAngles(HALF, hidden=(8, 8))),
    "phi4": lambda: (fl.Phi4((4, 4), 0.2, 0.5).decimate(), fl.densities.MultilevelFields(HALF, hidden=(8, 8))),
    "phi4 in the form of beta": lambda: (fl.Phi4.from_beta((4, 4), 0.4, 0.5).decimate(), fl.Normal(HALF)),
    "free field": lambda: (fl.FreeField((4, 4), 0.7).decimate(), fl.Normal(HALF)),
    "ising of two sides of 2": lambda: (fl.Ising((2, 2), T=2.0).decimate(), fl.MADE((2, 1))),
    "spin glass": lambda: (glass(), fl.Normal((4,))),
    "spin glass in fields": lambda: (glass(torch.linspace(-0.5, 0.9, 4)), fl.Normal((4,))),
    "one's own": lambda: (Doubled(fl.Phi4(SHAPE, 0.2, 0.5)), fl.Normal(SHAPE)),
}


def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture(params=CASES)
def pair(request):
    target, density = CASES[request.param]()
    return target, shaken(density, 0.1)


@pytest.mark.filterwarnings("ignore")
def test_weights_recomputed_from_the_configurations_are_those_of_the_evaluation(pair):
    target, density = pair
    n, attrs = 400, {name: float(value) for name, value in target.couplings.items()}
    drawn = evaluation.sample(density, target, n, generator(), {})
    configurations = torch.from_numpy(drawn.configuration.values)
    assert tuple(configurations.shape[1:]) == target.parent.shape
    log_weight = target.parent.log_weight(configurations).numpy()
    np.testing.assert_allclose(drawn.log_weight, log_weight, atol=1e-5)

    by_hand = log_weight - drawn.log_q.values
    x, log_q = density.sample(n, generator=generator())
    with torch.no_grad():
        own = (target.log_weight(x) - log_q).double().numpy() + float(target.log_z_offset)
    np.testing.assert_allclose(by_hand, own, atol=1e-4)
    evaluated = evaluation.evaluate(density, target, n, generator(), attrs)
    assert float(evaluated.log_z) == pytest.approx(float(fl.estimators.log_z(by_hand).value), abs=1e-4)
    assert float(evaluated.log_z_bound) == pytest.approx(by_hand.mean(), abs=1e-4)


def test_ln_q_of_a_whole_lattice_is_that_of_both_halves():
    target, density = CASES["ising"]()
    drawn = evaluation.sample(density, target, 50, generator(), {})
    x = torch.from_numpy(drawn.configuration.values)
    even = target.reduce(x)
    odd = (target.parent.log_weight(x) - target.log_weight(even)).numpy()
    with torch.no_grad():
        np.testing.assert_allclose(drawn.log_q, density.log_prob(even.float()).numpy() + odd, atol=1e-5)


def test_layers_say_whose_likelihood_they_have():
    target, density = CASES["ising"]()
    own = evaluation.layers(density, target, generator(), {}, n=4)
    whole = evaluation.layers(fl.MADE((4, 4)), target.parent, generator(), {}, n=4)
    for name in ("log_q", "log_weight"):
        assert own[name].attrs["of"] == "field"
        assert whole[name].attrs["of"] == "configuration"
    last = torch.from_numpy(own.field.values[-1])
    np.testing.assert_allclose(own.log_weight[-1], target.log_weight(last), atol=1e-5)
