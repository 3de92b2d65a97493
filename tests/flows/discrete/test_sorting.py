import itertools
import math

import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities import IndependentSpins, Pushforward, Z2Symmetrized
from flowlab.flows import Composed
from flowlab.flows.discrete.sorting import SortingCoupling, coarse_to_fine
from flowlab.systems import Ising
from flowlab.systems.lattice import checkerboard


def every_configuration(shape):
    states = itertools.product([1.0, -1.0], repeat=shape[0] * shape[1])
    return torch.tensor(list(states)).reshape(-1, *shape)


FLOWS = {
    "checkerboard": lambda: SortingCoupling((4, 2), checkerboard((4, 2))),
    "any two sets": lambda: SortingCoupling((4, 2), torch.arange(8).view(4, 2) > 5, torch.arange(8).view(4, 2) < 4),
    "coarse to fine": lambda: Composed(coarse_to_fine((4, 2))),
}


@pytest.mark.parametrize("name", FLOWS)
def test_is_a_bijection_with_its_flip(name):
    flow, z = FLOWS[name](), every_configuration((4, 2))
    x, log_det = flow(z)
    assert torch.equal(flow.inverse(x)[0], z) and len(x.flatten(1).unique(dim=0)) == 256
    assert not log_det.any()
    pulled = flow.pull_flip(-torch.ones(4, 2))
    assert torch.equal(flow(z * pulled)[0], -x)


def test_quiet_bits_go_to_strong_fields():
    even = checkerboard((8, 8))
    flow = SortingCoupling((8, 8), even)
    z = torch.randn(500, 8, 8, generator=named_generator(0, "z")).sign()
    z[:, ~even] = 1
    last = (~even).flatten().nonzero().flatten()[16:]
    z.view(500, 64)[:, last] = -1  # the second half of the bits goes against the field
    x = flow(z)[0]
    around = sum(x.roll(shift, axis) for shift, axis in [(1, 1), (-1, 1), (1, 2), (-1, 2)])
    along = (x * around)[:, ~even]
    for h, a in zip(around[:, ~even].abs(), along, strict=True):
        assert int((a > 0).sum()) <= 16 and int((a < 0).sum()) <= 16
        if (a > 0).any() and (a < 0).any():
            assert h[a < 0].max() <= h[a > 0].min()


def test_sorting_lowers_the_bound_of_independent_bits():
    """With the noise that a heat bath has at each rank, independent bits behind a uniform sublattice at high T."""
    T, shape = 4.0, (8, 8)
    even = checkerboard(shape)
    flow, target = SortingCoupling(shape, even), Ising(shape, T)
    plain = -T * math.log(2) - T / 2 * math.log(math.cosh(1.5 / T))  # the best of masks with equal noise, per site
    base = IndependentSpins(shape)
    z = torch.randn(4000, 64, generator=named_generator(1, "z")).sign()
    h = sum(z.view(-1, 8, 8).roll(shift, axis) for shift, axis in [(1, 1), (-1, 1), (1, 2), (-1, 2)])
    strength = h[:, ~even].abs().sort(dim=1, descending=True).values
    p = (2 * strength / T).sigmoid().mean(0)
    with torch.no_grad():
        base.bias.view(-1)[(~even).flatten().nonzero().flatten()] = p.logit()
    q = Pushforward(flow, Z2Symmetrized(base, flow.pull_flip(-torch.ones(shape))))
    x, log_q = q.sample(20_000, generator=named_generator(2, "draw"))
    F = T * (log_q - target.log_weight(x)) / 64
    error = float(F.std()) / math.sqrt(len(F))
    assert float(F.mean()) < plain - 5 * error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4, 4), torch.ones(4, 4)), "neither of them empty"),
        (((4, 4), torch.eye(4), torch.eye(4)), "none in common"),
        (((4, 4), torch.eye(3)), r"must have shape \(4, 4\)"),
    ],
)
def test_refuses_sites_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        SortingCoupling(*arguments)


def test_refuses_odd_weights_and_levels():
    with pytest.raises(ValueError, match="even whole number"):
        SortingCoupling((4, 4), torch.eye(4), second=3)
    with pytest.raises(ValueError, match="levels must be 1 to 1"):
        coarse_to_fine((6, 4), levels=2)
    with pytest.raises(ValueError, match="levels must be 1 to 0"):
        coarse_to_fine((5, 4))
