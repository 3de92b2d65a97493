"""One configuration has one ln q: on every path, with gradients and without, in every density and every wrapper."""

import io
import math

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from tests.laws.registry import REAL_DENSITIES, SPIN_DENSITIES, shaken
from tests.laws.wrapped import CASES, OTHERS

N = 12


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def assert_one_likelihood(density, atol):
    """ln q of sample, of draw with and without gradients and of the last stage is what log_prob gives."""
    with torch.no_grad():
        silent = density.draw(N, generator=generator())
        last = list(density.stages(N, generator=generator(1)))[-1]
    draw = density.draw(N, generator=generator())
    found = {"sample": density.sample(N, generator=generator()), "stages": (last.x, last.log_q)}
    found |= {"draw": draw[:2], "draw without gradients": silent[:2]}
    for where, (x, log_q) in found.items():
        with torch.no_grad():
            expected = density.log_prob(x.detach())
        assert torch.isfinite(expected).all(), where
        off = float((log_q.detach() - expected).abs().max())
        assert off <= atol, f"ln q of {where} is off by up to {off:.3g} nats"
    torch.testing.assert_close(draw.score.detach(), silent.score, atol=atol, rtol=0)
    assert not silent.log_q.requires_grad and not silent.score.requires_grad


def saved_and_loaded(make, density):
    file = io.BytesIO()
    torch.save(density.state_dict(), file)
    file.seek(0)
    fresh = make()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    return fresh


@pytest.mark.parametrize("name", CASES)
def test_a_configuration_has_one_likelihood(name):
    make = CASES[name]
    density = shaken(make(), 0.3)
    listed = [id(p) for group in density.parameter_groups().values() for p in group]
    assert sorted(listed) == sorted(id(p) for p in density.parameters()), "every parameter is trained, once"
    x, _ = density.sample(N, generator=generator(2))
    with torch.no_grad():
        before = density.log_prob(x)
        single = 2e-3 + 1e-5 * float(before.abs().max())
    assert_one_likelihood(density, single)

    loaded = saved_and_loaded(make, density)
    warm = make()
    warm.warm_start(density)
    for other in (loaded, warm):
        with torch.no_grad():
            torch.testing.assert_close(other.log_prob(x), before, atol=single, rtol=0)
        assert_one_likelihood(other, single)

    integrated = "continuous" in name or "upscaled" in name  # there and back agree to the error of the integration
    assert_one_likelihood(density.to(torch.float64), 2e-3 if integrated else 1e-8)
    assert density.iid in (True, False) and (density.log_norm is None or math.isfinite(density.log_norm))


@pytest.mark.parametrize("name", SPIN_DENSITIES | REAL_DENSITIES | OTHERS)
def test_configurations_of_any_type_have_the_same_likelihood(name):
    density = CASES[name]()
    x = density.sample(3, generator=generator(4))[0].half()  # the same numbers at every width
    arrays = [x, x.float(), x.double(), x.numpy(), x.double().numpy(), xr.DataArray(x.numpy()), x.tolist()]
    if bool((x == x.round()).all()):
        arrays += [x.to(torch.int8), x.long(), x.numpy().astype(np.int16)]
    with torch.no_grad():
        found = [density.log_prob(array) for array in arrays]
    for log_q in found[1:]:
        torch.testing.assert_close(log_q.double(), found[0].double(), atol=1e-4, rtol=1e-5)
    with pytest.raises(TypeError, match=r"floats or integers, got torch\.bool"):
        density.log_prob(x > 0)


def test_runs_take_what_their_datasets_hold():
    run = fl.Training(
        fl.Ising((4, 2), T=2.0), fl.MADE((4, 2)), fl.ReverseKL(), steps=1, batch=4, learning_rate={"base": 1e-3}
    )
    drawn = run.sample(6).configuration
    layers = [run.layers(x=x) for x in (torch.tensor(drawn.values), drawn, drawn.values.astype(np.int8))]
    for one in layers[1:]:
        xr.testing.assert_identical(one, layers[0])
    chains = drawn.values.reshape(2, 3, 4, 2)
    reference = xr.DataArray(chains, dims=("chain", "draw", "y", "x"))
    found = [run.evaluate(200, reference=x) for x in (torch.tensor(drawn.values), drawn, reference)]
    for one in found[1:]:
        xr.testing.assert_identical(one, found[0])
    with pytest.raises(TypeError, match="one variable, got a whole Dataset: give one of configuration, log_q"):
        run.layers(x=run.sample(2))


def test_the_law_covers_every_wrapper_on_its_bases():
    assert len(CASES) > 250
