"""The Potts model: energies by plain loops, its Ising case, gradients through states and their one-hot form."""

from __future__ import annotations

import math

import pytest
import torch

from flowlab.core import named_generator
from flowlab.core.one_hot import one_hot, states
from flowlab.systems import Ising
from flowlab.systems.potts import Potts


def configurations(n: int, shape: tuple[int, int], q: int = 3) -> torch.Tensor:
    return torch.randint(0, q, (n, *shape), generator=named_generator(0, "potts")).double()


@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (3, 4)], ids=str)
@pytest.mark.parametrize(("q", "J"), [(2, 1.0), (3, -0.7), (5, 1.3)])
def test_energy(shape, q, J):
    potts, x = Potts(shape, 1.7, q, J), configurations(9, shape, q)
    n, m = shape
    equal = [
        sum(
            float(c[i, j] == c[(i + 1) % n, j]) + float(c[i, j] == c[i, (j + 1) % m])
            for i in range(n)
            for j in range(m)
        )
        for c in x
    ]
    expected = -J * torch.tensor(equal, dtype=torch.float64)
    torch.testing.assert_close(potts.energy(x), expected)
    torch.testing.assert_close(potts.energy(x.clone().requires_grad_()).detach(), expected)
    torch.testing.assert_close(potts.log_weight(x), -expected / 1.7)
    torch.testing.assert_close(potts.observables(x)["energy_per_site"], expected / (n * m))


def test_two_states_are_ising_spins():
    x = configurations(20, (4, 6), 2)
    ising = Ising((4, 6), T=1.0, J=0.5)
    torch.testing.assert_close(Potts((4, 6), 1.0, q=2).energy(x), ising.energy(2 * x - 1) - 24)
    torch.testing.assert_close(Potts((4, 6), 1.0, q=2).observables(x)["magnetization"], (2 * x - 1).mean((1, 2)).abs())


def test_magnetization_and_critical_temperature():
    x = torch.tensor([[[0.0, 0], [0, 0]], [[1, 1], [1, 0]], [[0, 1], [2, 2]]])
    torch.testing.assert_close(Potts((2, 2), 1.0).observables(x)["magnetization"], torch.tensor([1.0, 0.625, 0.25]))
    assert Potts((2, 2), 1.0).critical_temperature == pytest.approx(1 / math.log(1 + math.sqrt(3)))
    assert Potts((2, 2), 1.0, q=2, J=2.0).critical_temperature == pytest.approx(2 / math.log(1 + math.sqrt(2)))


def test_gradient_reaches_the_one_hot_form_and_the_couplings():
    potts, x = Potts((3, 4), 1.3), configurations(5, (3, 4))
    e = one_hot(x, 3).requires_grad_()
    T = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    potts.at(T=T).log_weight(states(e)).sum().backward()
    around = sum(one_hot(x, 3).roll(step, axis) for step in (1, -1) for axis in (1, 2))
    torch.testing.assert_close(e.grad, around / 1.3)  # the neighbours in each state
    torch.testing.assert_close(T.grad, potts.energy(x).sum() / 1.3**2)


def test_one_hot_forms_agree():
    x = torch.arange(5.0, dtype=torch.float64)
    assert torch.equal(one_hot(x, 5), torch.eye(5, dtype=torch.float64))
    torch.testing.assert_close(one_hot(x.clone().requires_grad_(), 5), torch.eye(5, dtype=torch.float64))
    made = states(torch.eye(5).requires_grad_())
    assert made.tolist() == [0, 1, 2, 3, 4] and one_hot(made, 5).requires_grad
    assert not one_hot(made.detach(), 5).requires_grad
    with pytest.raises(ValueError, match="expected states of q = 3, got states of q = 5"):
        one_hot(made, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q": 1}, "q must be a number of states of at least 2, got 1"),
        ({"q": 2.5}, "q must be a whole number, got 2.5"),
        ({"T": 0.0}, "T must be positive, got 0.0"),
        ({"J": math.inf}, "J must be a finite number, got inf"),
        ({"shape": (4,)}, r"shape must be 2 whole numbers, got \(4,\)"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Potts(**{"shape": (4, 4), "T": 1.0} | options)


@pytest.mark.parametrize("bad", [-1.0, 3.0, 0.5, math.nan])
def test_configurations_are_checked(bad):
    potts, x = Potts((3, 4), 1.0), configurations(2, (3, 4))
    potts.check_configurations(x)
    x[1, 2, 3] = bad
    with pytest.raises(ValueError, match=f"states must be 0, ..., 2, got {bad}"):
        potts.check_configurations(x)
    with pytest.raises(ValueError, match="configurations must have shape"):
        potts.check_configurations(x[0])
