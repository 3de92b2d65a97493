"""The PixelCNN of real fields."""

import math

import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities import MultilevelFields
from flowlab.densities.autoregressive.field_pixelcnn import FieldPixelCNN
from flowlab.densities.multilevel.reals import Mixtures
from flowlab.systems import Ising, Phi4
from flowlab.training import PathGradient
from tests.laws.registry import shaken

KINDS = {
    "three components": {},
    "one component": {"components": 1, "layers": 1, "kernel": 5},
    "four components": {"components": 4, "residual": False},
    "far": {"kernel": 13},
}


def generator(seed=0):
    return named_generator(seed, "fields")


def density(shape, **keys):
    return shaken(FieldPixelCNN(shape, **{"channels": 5, "layers": 3, "kernel": 3} | keys), 0.2).double()


@pytest.mark.parametrize("keys", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("shape", [(4, 4), (2, 5)])
def test_draws_with_and_without_gradients_agree_with_log_prob_and_are_even(shape, keys):
    q = density(shape, **keys)
    x, log_q, score = q.draw(30, generator=generator())
    assert x.requires_grad and not score.any()
    plain, its_log_q = q.sample(30, generator=generator())
    assert torch.equal(plain, x) and float(log_q.detach().std()) > 0.1
    for found in (its_log_q, q.log_prob(x), q.log_prob(-x)):
        torch.testing.assert_close(found, log_q, atol=1e-10, rtol=0)


def test_integrates_to_one_over_two_by_two_sites():
    """By the trapezoidal rule, which is exact to rounding for smooth functions that vanish at both ends."""
    q = shaken(FieldPixelCNN((2, 2), channels=4, layers=2, kernel=3), 0.1).double()
    step = 0.6
    axis = torch.arange(-6.0, 6.0 + step / 2, step, dtype=torch.float64)
    total, mean_square = 0.0, 0.0
    with torch.no_grad():
        for first in axis[:, None]:  # one slice of the grid at a time
            x = torch.cartesian_prod(first, axis, axis, axis).view(-1, 2, 2)
            weight = q.log_prob(x).exp() * step**4
            total += float(weight.sum())
            mean_square += float((weight * x[:, 1, 1].square()).sum())
    assert total == pytest.approx(1.0, abs=1e-4)
    x, _ = q.sample(20_000, generator=generator())
    squares = x[:, 1, 1].square()
    assert abs(float(squares.mean()) - mean_square) < 4 * float(squares.std()) / math.sqrt(20_000)


def test_a_site_sees_those_before_it_only():
    q = density((3, 4), kernel=5)
    x, _ = q.sample(1, generator=generator())

    def numbers(x):
        h = q.network(x).transpose(0, 1).flatten(1)
        return q.numbers.at_once(h)

    jacobian = torch.autograd.functional.jacobian(numbers, x).reshape(-1, 12, 12)
    assert not jacobian.triu().any() and bool(jacobian[:, 5, [0, 1, 2, 3, 4]].any(0).all())


def test_the_gradient_along_draws_is_that_of_the_score():
    q, n, parts = density((2, 3), layers=2), 3000, 50
    parameter = q.numbers.constants
    x = q.draw(n, generator=generator()).x
    measured = x.square().flatten(1).sum(1)
    (path,) = torch.autograd.grad(measured.mean(), parameter)
    weighed = (measured - measured.mean()).detach() * q.log_prob(x.detach())
    score = torch.stack(
        [torch.autograd.grad(part.mean(), parameter, retain_graph=True)[0] for part in weighed.split(n // parts)]
    )
    error = score.std(0) / math.sqrt(parts)
    assert bool(((score.mean(0) - path).abs() < 4 * error).all())
    assert float((path.abs() / error).max()) > 10


def test_a_path_gradient_lowers_the_loss():
    target, q = Phi4((2, 4), 0.25, 0.5), FieldPixelCNN((2, 4), channels=6, layers=2, kernel=3)
    q.bind(target)
    adam, losses = torch.optim.Adam(q.parameters(), 1e-2), []
    for step in range(25):
        loss = PathGradient().loss(q, target, 64, generator=generator(step))
        adam.zero_grad()
        loss.value.backward()
        adam.step()
        losses.append(float(loss.loss))
    assert sum(losses[-5:]) / 5 < losses[0] - 0.6


def test_a_warm_start_and_a_coarsest_lattice():
    small, large = density((4, 4)), FieldPixelCNN((6, 8), channels=5, layers=3, kernel=3).double()
    assert sorted(large.warm_start(small)) == sorted(small.state_dict())
    levels = MultilevelFields((8, 4), coarsest=4, base=small.float(), hidden=(4, 4))
    x, log_q = levels.sample(9, generator=generator())
    torch.testing.assert_close(log_q, levels.log_prob(-x).detach(), atol=1e-4, rtol=0)
    assert levels.flip_action() is not None


def test_a_mixture_of_any_number_of_components_is_flipped_with_its_odd_numbers():
    for components in range(1, 6):
        family = Mixtures(components)
        numbers = torch.randn(family.odd + len(family.constants), 7, generator=generator(), dtype=torch.float64)
        flipped = torch.cat([-numbers[: family.odd], numbers[family.odd :]])
        x = torch.randn(7, generator=generator(1), dtype=torch.float64)
        assert len(family.components(numbers)[0]) == components
        torch.testing.assert_close(family.log_prob(flipped, -x), family.log_prob(numbers, x))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"components": 0}, "components must be at least 1 normal density, got 0"),
        ({"channels": 0}, "channels and layers must be at least 1, got 0 and 6"),
        ({"kernel": 4}, "kernel must be odd, .* got 4"),
        ({"shape": (4,)}, "shape must be two sides of at least 2, got"),
    ],
)
def test_refuses(keys, message):
    with pytest.raises(ValueError, match=message):
        FieldPixelCNN(**{"shape": (4, 4)} | keys)


def test_refuses_other_targets():
    q = FieldPixelCNN((4, 4), channels=2, layers=1, kernel=3)
    with pytest.raises(ValueError, match="a density of real fields cannot fit"):
        q.bind(Ising((4, 4), 2.0))
    with pytest.raises(ValueError, match=r"configurations must have shape \(n, 4, 4\), got \(3, 2, 2\)"):
        q.log_prob(torch.zeros(3, 2, 2))
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        q.draw(0)
