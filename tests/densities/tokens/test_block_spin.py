import itertools
import math

import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities.tokens.block_spin import BlockSpins
from flowlab.systems import Ising, Potts


def every_configuration(shape):
    states = itertools.product([1.0, -1.0], repeat=math.prod(shape))
    return torch.tensor(list(states), dtype=torch.float64).reshape(-1, *shape)


def shaken(q):
    generator = named_generator(0, "shaken")
    with torch.no_grad():
        for parameter in q.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    return q.double()


@pytest.mark.parametrize(("shape", "block"), [((2, 4), (2, 2)), ((3, 3), (1, 3)), ((4, 2), (1, 1)), ((2, 4), (2, 4))])
def test_tokens_name_every_configuration_once(shape, block):
    q, x = shaken(BlockSpins(shape, block=block, width=4)), every_configuration(shape)
    tokens = q.encode(x)
    assert torch.equal(q.decode(tokens), x)
    assert float(tokens.max()) == 2 ** math.prod(block) - 1
    with torch.no_grad():
        assert abs(float(q.log_prob(x).logsumexp(0))) < 1e-12


def test_first_token_has_no_condition_and_later_ones_see_it():
    q = shaken(BlockSpins((2, 4)))
    x = every_configuration((2, 4))
    with torch.no_grad():
        conditionals = q.tokens.log_conditionals(q.encode(x))
    first = q.encode(x)[:, 0, 0]
    assert len(conditionals[:, 0].round(decimals=9).unique()) == len(first.unique()) == 16
    second = q.encode(x)[:, 0, 1] == 3
    assert len(conditionals[second, 1].round(decimals=9).unique()) == 16


def test_one_block_is_any_distribution():
    """A single token has a free logit for each state: the Boltzmann distribution itself is within reach."""
    q, x, target = BlockSpins((2, 2)).double(), every_configuration((2, 2)), Ising((2, 2), 3.0)
    with torch.no_grad():
        q.tokens.output.weight.zero_()
        q.tokens.output.bias[q.encode(x).flatten().long()] = target.log_weight(x)
        torch.testing.assert_close(q.log_prob(x), target.log_weight(x).log_softmax(0))


def test_bad_input():
    with pytest.raises(ValueError, match="divisible by the 2 x 2 block"):
        BlockSpins((4, 5))
    with pytest.raises(ValueError, match="at most 8 spins"):
        BlockSpins((8, 8), block=(4, 4))
    q = BlockSpins((2, 4))
    with pytest.raises(ValueError, match="spins must be -1 or"):
        q.log_prob(torch.zeros(1, 2, 4))
    with pytest.raises(ValueError, match=r"shape \(n, 2, 4\)"):
        q.log_prob(torch.ones(1, 4, 2))
    with pytest.raises(ValueError, match="cannot fit Potts"):
        q.bind(Potts((2, 4), T=1.0))
