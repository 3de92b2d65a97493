import itertools
import math

import pytest
import torch

from flowlab.analysis import evaluation
from flowlab.analysis.vqvae_bounds import latent_bounds
from flowlab.core import named_generator
from flowlab.densities.tokens.vqvae import VQVAE
from flowlab.exact.partition_function import log_z
from flowlab.systems import Ising
from flowlab.training import ReverseKL, Training

SHAPE, CODES = (2, 4), 3


@pytest.fixture(scope="module")
def q():
    found = VQVAE(SHAPE, codes=CODES, features=2, hidden=4, width=2).double()
    generator = named_generator(0, "shaken")
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return found


def every(values, shape):
    states = itertools.product(values, repeat=math.prod(shape))
    return torch.tensor(list(states), dtype=torch.float64).reshape(-1, *shape)


@pytest.fixture(scope="module")
def tables(q):
    """ln q(σ, z) and ln r(z|σ) of all spins (rows) and codes (columns)."""
    x, z = every([1.0, -1.0], SHAPE), every(range(CODES), (1, 2))
    both = x.repeat_interleave(len(z), 0), z.repeat(len(x), 1, 1)
    with torch.no_grad():
        return (
            x,
            q.log_joint(both[1], both[0]).view(len(x), len(z)),
            q.log_encoder(both[1], both[0]).view(len(x), len(z)),
        )


def test_joint_and_encoder_are_normalised(tables):
    _, joint, encoder = tables
    assert abs(float(joint.flatten().logsumexp(0))) < 1e-12
    torch.testing.assert_close(encoder.logsumexp(1), torch.zeros(256, dtype=torch.float64), atol=1e-12, rtol=0)


def test_draws_follow_the_joint(q, tables):
    x, joint, _ = tables
    drawn = q.draw_joint(20_000, generator=named_generator(1, "draw"))
    torch.testing.assert_close(drawn.log_prior + drawn.log_decoder, q.log_joint(drawn.z, drawn.x))
    torch.testing.assert_close(drawn.log_encoder, q.log_encoder(drawn.z, drawn.x))
    p = joint.logsumexp(1).exp()
    number = (x.flatten(1) > 0).double() @ 2.0 ** torch.arange(8, dtype=torch.float64)
    place = torch.empty(256, dtype=torch.long)
    place[number.long()] = torch.arange(256)
    drawn_number = (drawn.x.flatten(1) > 0).double() @ 2.0 ** torch.arange(8, dtype=torch.float64)
    counts = torch.bincount(place[drawn_number.long()], minlength=256).double()
    likely = p * 20_000 > 5
    chi2 = float(((counts - 20_000 * p).square() / (20_000 * p))[likely].sum())
    assert abs(chi2 - int(likely.sum())) < 4 * math.sqrt(2 * int(likely.sum()))


def test_bounds_and_information_against_enumeration(q, tables):
    x, joint, encoder = tables
    T, N = 2.5, 8
    target = Ising(SHAPE, T)
    log_q = joint.logsumexp(1)
    p, E = joint.exp(), -target.log_weight(x)[:, None]
    log_prior = joint.logsumexp(0)
    mean = {
        "joint_bound": (p * (E + joint - log_prior)).sum(),
        "encoder_bound": (p * (E + joint - encoder)).sum(),
        "elbo": (log_q.exp() * (E[:, 0] + (encoder.exp() * (joint - encoder)).sum(1))).sum(),
    }
    F_var = float((log_q.exp() * (E[:, 0] + log_q)).sum()) * T / N
    information = float((p * (joint - log_prior - log_q[:, None])).sum()) * T / N
    found = latent_bounds(q, target, 4000, k=8, generator=named_generator(2, "bounds"))
    for name, value in mean.items():
        assert abs(float(found[name]) - float(value) * T / N) < 4 * float(found[f"{name}_error"]), name
    assert found.joint_bound.bound == found.encoder_bound.bound == found.importance_bound.bound == "upper bound"
    assert found.elbo.bound == found.importance_estimate.bound == "not a bound"
    # between what is above and what is below, each up to its error; in the exact means strictly
    F = -T * log_z(target) / N
    assert float(mean["elbo"]) * T / N < F_var < float(mean["encoder_bound"]) * T / N and F_var > F
    assert F_var - 4 * float(found.importance_estimate_error) < float(found.importance_bound)
    assert float(found.importance_estimate) < F_var + 4 * float(found.importance_estimate_error)
    assert float(found.information_lower) - 4 * float(found.information_lower_error) < information
    assert information < float(found.information_upper) + 4 * float(found.information_upper_error)
    assert abs(float(mean["joint_bound"]) * T / N - F_var - information) < 1e-12


def test_weights_of_the_joint_have_the_mean_z(q, tables):
    x, joint, encoder = tables
    target = Ising(SHAPE, 2.5)
    log_w = target.log_weight(x)[:, None] + encoder - joint
    assert abs(float((joint + log_w).flatten().logsumexp(0)) - log_z(target)) < 1e-9


def test_trains_and_evaluates_as_a_bound():
    target = Ising((4, 4), 3.5)
    q = VQVAE((4, 4), codes=4, hidden=8, generator=named_generator(0, "start"))
    run = Training(target, q, ReverseKL(), steps=25, batch=100, learning_rate={"base": 1e-2}, seed=1, threads=1)
    first = latent_bounds(q, target, 1000, generator=named_generator(0, "first"))
    run.run(progress=False)
    found = evaluation.evaluate(q, target, 2000, named_generator(0, "evaluate"), {"T": 3.5})
    better = 16 * -float(first.encoder_bound) / 3.5
    assert better < float(found.log_z_bound) < log_z(target) + 4 * float(found.log_z_bound_error)
    for name, parameter in q.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_refuses_what_it_cannot_know():
    q = VQVAE((4, 4))
    with pytest.raises(TypeError, match="no exact ln q"):
        q.log_prob(torch.ones(1, 4, 4))
    with pytest.raises(ValueError, match="two even sides"):
        VQVAE((4, 5))
    with pytest.raises(ValueError, match="codes must be at least 2"):
        VQVAE((4, 4), codes=1)
    with pytest.raises(ValueError, match="k at least 1"):
        latent_bounds(q, Ising((4, 4), 2.0), 10, k=0)
