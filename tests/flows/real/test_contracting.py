import pytest
import torch

from flowlab.core import named_generator
from flowlab.flows import ContractingCoupling, SplineCoupling

MASK = torch.arange(6) % 2 == 0


def test_scale_and_shift_are_those_of_the_published_formula() -> None:
    layer = ContractingCoupling(MASK, hidden=5, generator=named_generator(1))
    z = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    hidden = [(z[:, ~MASK] @ w).tanh() for w in layer.network.weights[0]]
    s, t = (h @ w for h, w in zip(hidden, layer.network.weights[1], strict=True))
    x, log_det = layer(z)
    torch.testing.assert_close(x[:, MASK], (z[:, MASK] - t) * (-s.abs()).exp())
    torch.testing.assert_close(log_det, -s.abs().sum(1))
    assert not len(layer.network.biases) and len(ContractingCoupling(MASK, odd=False).network.biases) == 2


def test_a_network_of_ones_own_gives_both_numbers() -> None:
    layer = ContractingCoupling(MASK, network=lambda inputs, outputs: torch.nn.Linear(inputs, outputs, bias=False))
    z = torch.ones(2, 6)
    torch.testing.assert_close(layer.inverse(layer(z)[0])[0], z)
    with pytest.raises(ValueError, match="layers must be at least 1"):
        ContractingCoupling(MASK, layers=0)


def test_knots_without_limits_are_a_softmax_and_slopes_a_softplus() -> None:
    layer = SplineCoupling(MASK, bins=3, bound=2.0, limited=False, hidden=2)
    widths, heights, slopes = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.0, 3.0, 1.0]), torch.tensor([-1.0, 2.0])
    numbers = torch.cat([widths, heights, slopes])[:, None, None].expand(-1, 3, 1)
    knots = torch.cat([torch.zeros(1), widths.softmax(0).cumsum(0)]) * 4 - 2
    wanted = torch.cat([torch.zeros(1), heights.softmax(0).cumsum(0)]) * 4 - 2
    slope = torch.nn.functional.softplus(slopes)
    for k in (1, 2):
        at = knots[k].clone().requires_grad_()
        moved, log_slope = layer._plain(at.expand(3, 1), numbers, numbers[:0], False)
        torch.testing.assert_close(moved, wanted[k].expand(3, 1))
        torch.testing.assert_close(log_slope, slope[k - 1].log().expand(3, 1))
    with pytest.raises(ValueError, match="limited=False is for layers that are not odd"):
        SplineCoupling(MASK, bins=2, odd=True, limited=False)
