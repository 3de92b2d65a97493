import math

import numpy as np
import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities.autoregressive.autoregressive import Autoregressive
from flowlab.densities.autoregressive.coupled import CoupledMADE, leading_sites_first
from flowlab.densities.autoregressive.made import MADE
from flowlab.exact.enumeration import configurations
from flowlab.systems import Ising
from flowlab.systems.spin_glass import SpinGlass
from flowlab.training import ReverseKL, Training


class NaiveCoupledMADE(CoupledMADE):
    """Samples as the definition says: one evaluation of the network per site."""

    choose = Autoregressive.choose


def instance(n=8, T=0.7, h=None, seed=0, shape=None):
    glass = SpinGlass.sherrington_kirkpatrick(n, T, seed)
    return SpinGlass(glass.J, T, h, shape=shape)


def every_configuration(n=8):
    return configurations((n,), 0, 2**n).double()


def shaken(density, scale=0.5):
    generator = named_generator(1, "shaken")
    density = density.double()
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return density


def exact_log_prob(glass, x):
    return torch.log_softmax(glass.log_weight(x), 0)


FIELDS = [None, np.linspace(-0.5, 0.7, 8)]


@pytest.mark.parametrize("h", FIELDS, ids=["no field", "fields"])
@pytest.mark.parametrize("order", ["leading", "raster", [3, 1, 4, 0, 5, 2, 7, 6]])
@pytest.mark.parametrize("layers", [1, 2])
def test_probabilities_sum_to_one_and_know_the_flip(h, order, layers):
    density = shaken(CoupledMADE(instance(h=h), order=order, layers=layers))
    x = every_configuration()
    with torch.no_grad():
        log_q = density.log_prob(x)
        flipped = density.log_prob(-x)
    assert abs(float(log_q.logsumexp(0))) < 1e-12
    assert (float((log_q - flipped).abs().max()) < 1e-12) == (h is None)
    assert (density.flip_action() is None) == (h is not None)


@pytest.mark.parametrize("h", FIELDS, ids=["no field", "fields"])
@pytest.mark.parametrize("shape", [None, (4, 2)])
def test_the_fast_sampler_chooses_what_the_naive_one_chooses(h, shape):
    glass = instance(h=h, shape=shape)
    fast, naive = (shaken(kind(glass, layers=2)) for kind in (CoupledMADE, NaiveCoupledMADE))
    u = torch.rand(100, 8, generator=named_generator(0, "uniforms"), dtype=torch.float64)
    x, log_q = fast.from_uniforms(u)
    assert torch.equal(x, naive.from_uniforms(u)[0])
    torch.testing.assert_close(log_q, fast.log_prob(x).detach(), rtol=0, atol=1e-12)
    assert x.shape == (100, *glass.shape)


def test_log_q_of_a_large_sample_in_single_precision():
    glass = SpinGlass.sherrington_kirkpatrick(64, 0.5)
    density = CoupledMADE(glass)
    x, log_q = density.sample(200, generator=named_generator(0, "draw"))
    exact = CoupledMADE(glass).double().log_prob(x.double()).detach()
    torch.testing.assert_close(log_q.double(), exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("order", ["raster", [0, 2, 1, 4, 5, 3, 7, 6]])
def test_a_forest_drawn_from_its_roots_is_exact_at_the_start(order):
    J, rng = np.zeros((8, 8)), np.random.default_rng(3)
    for child, parent in {1: 0, 2: 0, 3: 1, 4: 2, 5: 2, 7: 4}.items():
        J[child, parent] = J[parent, child] = rng.normal()
    glass = SpinGlass(J, T=0.6)
    x = every_configuration()
    log_q = CoupledMADE(glass, order=order).double().log_prob(x).detach()
    torch.testing.assert_close(log_q, exact_log_prob(glass, x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("h", FIELDS, ids=["no field", "fields"])
def test_the_last_conditional_is_exact_at_the_start(h):
    glass = instance(h=h)
    x = every_configuration()
    density = CoupledMADE(glass).double()
    last = density.sites[-1]
    other = x.clone()
    other[:, last] *= -1
    expected = torch.nn.functional.logsigmoid(glass.log_weight(x) - glass.log_weight(other))
    torch.testing.assert_close(density.log_conditionals(x)[:, -1].detach(), expected, rtol=0, atol=1e-6)


def test_binding_changes_the_temperature_and_nothing_that_is_saved():
    cold, x = instance(T=0.5), every_configuration()
    density = shaken(CoupledMADE(cold))
    before, saved = density.log_prob(x), {k: v.clone() for k, v in density.state_dict().items()}
    density.bind(cold.at(T=2.0))
    logits = density.logits(x)
    density.bind(cold)
    torch.testing.assert_close(density.log_prob(x), before)
    torch.testing.assert_close(density.logits(x), 4 * logits)
    assert set(saved) == set(MADE((8,)).state_dict())
    assert all(torch.equal(saved[k], v) for k, v in density.state_dict().items())


def test_unsuitable_targets_are_refused():
    density = CoupledMADE(instance())
    with pytest.raises(ValueError, match=r"shape \(8,\)"):
        density.bind(instance(9))
    with pytest.raises(ValueError, match="built without fields"):
        density.bind(instance(h=0.1))
    with pytest.raises(TypeError, match="needs a SpinGlass"):
        CoupledMADE(Ising((2, 4), T=2.0))


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 6], torch.arange(8.0), "spiral"])
def test_orders_that_are_none(order):
    with pytest.raises(ValueError, match="order must"):
        CoupledMADE(instance(), order=order)


def test_an_order_given_as_numbers_is_the_order_by_name():
    by_name = MADE((4, 4), order="checkerboard")
    by_number = MADE((4, 4), order=by_name.sites.tolist())
    x = by_name.sample(50, generator=named_generator(0, "draw"))[0]
    assert torch.equal(by_name.log_prob(x), by_number.log_prob(x))


def test_the_order_leaves_what_orders_least():
    J = SpinGlass.sherrington_kirkpatrick(64, 1.0).J
    sites = leading_sites_first(J)
    assert sorted(sites.tolist()) == list(range(64))
    rest, raster = sites[16:], torch.arange(64)[16:]
    largest, largest_of_raster = (float(torch.linalg.eigvalsh(J[s][:, s])[-1]) for s in (rest, raster))
    assert largest < largest_of_raster - 0.1


@pytest.mark.parametrize("h", FIELDS, ids=["no field", "fields"])
def test_training_finds_the_free_energy(h):
    glass = instance(T=0.5, h=h)
    x = every_configuration()
    log_z = float(glass.log_weight(x).logsumexp(0))

    def annealing(progress):
        return {"T": 0.5 / min(1.0, 0.4 + progress)}

    density = CoupledMADE(glass)
    run = Training(
        glass,
        density,
        ReverseKL(),
        steps=120,
        batch=200,
        learning_rate={"base": 2e-2},
        annealing=annealing,
        clip=10.0,
        threads=1,
    )
    before = {name: parameter.clone() for name, parameter in density.named_parameters()}
    run.run(progress=False)
    moved = [name for name, parameter in density.named_parameters() if not torch.equal(parameter, before[name])]
    assert moved == list(before)
    log_weight = glass.log_weight(x)
    log_q = density.log_prob(x.float()).double().detach()
    kl = float((log_q.exp() * (log_q - log_weight)).sum()) + log_z
    assert 0 <= kl < 0.01
    assert math.isclose(float(log_q.exp().sum()), 1.0, abs_tol=1e-5)
