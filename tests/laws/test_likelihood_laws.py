"""One configuration has one ln q: on every path, with gradients and without, in every density and every wrapper."""

import io
import math

import pytest
import torch

from tests.laws.registry import shaken
from tests.laws.wrapped import CASES

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


def test_the_law_covers_every_wrapper_on_its_bases():
    assert len(CASES) > 250
