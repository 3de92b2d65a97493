"""Glasses have overlaps under the names that ferromagnets have for their magnetization."""

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.analysis import evaluation
from flowlab.exact.enumeration import configurations, distribution

FERROMAGNETIC = ("abs_magnetization", "susceptibility_connected")
T = 0.7


@pytest.fixture(scope="module")
def glass():
    return fl.SpinGlass.sherrington_kirkpatrick(10, T=T, seed=3)


@pytest.fixture(scope="module")
def exact(glass):
    """<q²> and <q⁴> of two independent configurations, from every configuration."""
    x = configurations((10,), 0, 2**10).double()
    p = glass.log_weight(x).softmax(0)
    q = (x @ x.T / 10).numpy()
    both = np.outer(p, p)
    second, fourth = (both * q**2).sum(), (both * q**4).sum()
    return {"susceptibility": 10 * second, "binder": 1.5 - fourth / (2 * second**2)}


class Hotter(fl.Density):
    """The glass at 4/3 of its temperature."""

    shape = (10,)

    def __init__(self, log_p) -> None:
        super().__init__()
        self.register_buffer("table", (0.75 * log_p).log_softmax(0))

    def draw(self, n, *, generator=None):
        chosen = torch.multinomial(self.table.exp(), n, replacement=True, generator=generator)
        return fl.core.Draw(configurations((10,))[chosen].float(), self.table[chosen].float(), torch.zeros(n))

    def log_prob(self, x):
        return self.table[((x > 0).long() * 2 ** torch.arange(10)).sum(1)].float()


def check(found, exact):
    for name, value in exact.items():
        assert "q²" in found[name].formula
        assert abs(float(found[name]) - value) < 4 * float(found[f"{name}_error"]) < value, name
    assert not [name for name in FERROMAGNETIC if name in found]


def test_an_evaluation_has_those_of_the_target(glass, exact):
    density = Hotter(distribution(glass))
    found = evaluation.evaluate(density, glass, 5000, torch.Generator().manual_seed(0), {"T": T})
    check(found, exact)
    assert float(found.energy_per_site) < 0 and "magnetization" in found


def test_chains_have_those_of_different_chains(glass, exact):
    chain = fl.mcmc.IndependenceMetropolis(fl.IndependentSpins((10,)), glass)
    run = fl.ChainRun(glass, chain, chains=100, steps=40, every=40, keep_every=4)
    run.run(progress=False)
    check(run.evaluate(), exact)
    assert run.data.abs_magnetization.isnull().all() and "|m|" not in run.headline()


def test_a_collapsed_model_is_not_called_ordered(glass):
    """All in one valley and its mirror image, with weights that cannot be trusted: no error."""
    rng = np.random.default_rng(0)
    valley = rng.choice([-1.0, 1.0], 10) * rng.choice([-1.0, 1.0], (200, 1))
    found = fl.estimators.glass_observables(valley, log_w=rng.normal(0, 4, 200), rng=rng)
    assert found["susceptibility"].value == pytest.approx(10) and np.isnan(found["susceptibility"].error)
