import itertools

import numpy as np
import pytest
import torch

from flowlab.densities import IndependentSpins, Pushforward, Z2Symmetrized
from flowlab.estimators.observables.domain_walls import domain_walls
from flowlab.flows.discrete.domain_walls import DomainWalls


def every_configuration(shape):
    states = itertools.product([1.0, -1.0], repeat=shape[0] * shape[1])
    return torch.tensor(list(states)).reshape(-1, *shape)


@pytest.mark.parametrize("bonds", ["right", "down"])
def test_latents_are_the_kramers_wannier_variables(bonds):
    s = every_configuration((2, 5))
    w, log_det = DomainWalls((2, 5), bonds).inverse(s)
    np.testing.assert_array_equal(w.numpy(), domain_walls(s.numpy(), bonds))
    assert torch.equal(DomainWalls((2, 5), bonds)(w)[0], s)
    assert not log_det.any()


def test_a_flip_is_the_last_bit_alone():
    flow = DomainWalls((3, 4))
    action = flow.pull_flip(-torch.ones(3, 4))
    assert int((action == -1).sum()) == 1 and action[-1, -1] == -1


def test_independent_walls_are_a_symmetric_density_of_spins():
    flow = DomainWalls((3, 3))
    base = Z2Symmetrized(IndependentSpins((3, 3), bias=1.0), flow.pull_flip(-torch.ones(3, 3)))
    q = Pushforward(flow, base).double()
    s = every_configuration((3, 3)).double()
    with torch.no_grad():
        log_q = q.log_prob(s)
    assert abs(float(log_q.logsumexp(0))) < 1e-12
    torch.testing.assert_close(log_q, q.log_prob(-s))
    assert torch.equal(q.flip_action(), -torch.ones(3, 3))
    # ln q counts the walls of the comb: 8 bonds, and a fair coin
    up = q.log_prob(torch.ones(1, 3, 3, dtype=torch.float64))
    torch.testing.assert_close(up, 8 * torch.nn.functional.logsigmoid(torch.ones(1, dtype=torch.float64)) - np.log(2))


def test_refuses_what_is_no_lattice():
    with pytest.raises(ValueError, match="two sides of at least 2"):
        DomainWalls((8,))
    with pytest.raises(ValueError, match="bonds must be 'right' or 'down'"):
        DomainWalls((4, 4), "left")
