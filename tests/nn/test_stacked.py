import pytest
import torch

from flowlab.nn.stacked import StackedConvolutions
from flowlab.systems.lattice import checkerboard


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_stack_shifts_with_its_input_and_sees_as_far_as_its_layers_reach() -> None:
    mask = checkerboard((8, 8))
    network = StackedConvolutions(mask, channels=(3, 2), outputs=2, biases=False, generator=generator())
    v = torch.randn(1, 64, generator=generator())

    def given(lattice: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(2, 64)
        out[:, mask.flatten()] = network(lattice.view(1, 64)[:, ~mask.flatten()])[0]
        return out.view(2, 8, 8)

    there = given(v.view(8, 8).roll((1, 1), (0, 1)))
    torch.testing.assert_close(there, given(v).roll((1, 1), (1, 2)))
    torch.testing.assert_close(given(-v), -given(v))
    moved = v.view(8, 8).clone()
    moved[0, 1] += 1.0  # a site that stays
    changed = (given(moved) - given(v)).abs().sum(0) > 0
    assert changed[0, 4] and changed[3, 1] and changed[0, 6] and not changed[4].any() and not changed[:, 5].any()


def test_what_makes_no_stack_is_said() -> None:
    with pytest.raises(ValueError, match="kernel must be odd"):
        StackedConvolutions(checkerboard((4, 4)), channels=(2,), outputs=1, kernel=2, generator=generator())
    with pytest.raises(ValueError, match="channels must name"):
        StackedConvolutions(checkerboard((4, 4)), channels=(), outputs=1, generator=generator())
    with pytest.raises(ValueError, match="two sides"):
        StackedConvolutions(torch.arange(4) > 1, channels=(2,), outputs=1, generator=generator())
