import itertools

import pytest
import torch

from flowlab.flows.discrete.multiscale import MultiscaleXor


def every_configuration(shape):
    states = itertools.product([1.0, -1.0], repeat=shape[0] * shape[1])
    return torch.tensor(list(states)).reshape(-1, *shape)


@pytest.mark.parametrize("packets", [False, True])
@pytest.mark.parametrize("shape", [(2, 2), (2, 4), (8, 2)])
def test_is_a_linear_bijection_over_bits(shape, packets):
    flow = MultiscaleXor(shape, packets=packets)
    z = every_configuration(shape) if shape != (8, 2) else every_configuration((4, 2)).repeat(1, 2, 1)
    x, log_det = flow(z)
    assert torch.equal(flow.inverse(x)[0], z) and len(x.flatten(1).unique(dim=0)) == len(z)
    assert not log_det.any()
    a, b = z[: len(z) // 2], z[len(z) // 2 :]
    assert torch.equal(flow(a * b)[0], flow(a)[0] * flow(b)[0])


def test_uniform_spins_are_one_coarse_bit():
    bits = MultiscaleXor((8, 8)).inverse(-torch.ones(1, 8, 8))[0]
    assert bits[0, 0, 0] == -1 and int((bits == -1).sum()) == 1


def test_a_flipped_block_is_differences_at_its_own_scale():
    s = torch.ones(1, 8, 8)
    s[0, 4:, 4:] = -1
    bits = MultiscaleXor((8, 8)).inverse(s)[0][0]
    assert (bits == -1).nonzero().tolist() == [[4, 4]]


def test_packets_are_their_own_inverse():
    flow, z = MultiscaleXor((4, 4), packets=True), every_configuration((2, 4)).repeat(1, 2, 1)
    assert torch.equal(flow(z)[0], flow.inverse(z)[0])


@pytest.mark.parametrize("shape", [(6, 8), (8, 3), (16,), (1, 4)])
def test_refuses_other_sides(shape):
    with pytest.raises(ValueError, match=r"powers of two|two sides of at least 2"):
        MultiscaleXor(shape)
