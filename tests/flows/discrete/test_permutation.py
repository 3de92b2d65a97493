"""Permutation couplings: exact bijections of q states, their surrogate gradient, what a short training gains."""

from __future__ import annotations

import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.core.one_hot import one_hot, states
from flowlab.densities.autoregressive.independent import IndependentPotts
from flowlab.exact.potts import potts_configurations
from flowlab.flows.discrete.partitions import blocks, halves, partitions
from flowlab.flows.discrete.permutation import PermutationCoupling, group_of_permutations
from flowlab.systems.potts import Potts

SHAPE = (2, 4)
FLOWS = {
    "even": lambda: permutation("even"),
    "from identity": lambda: permutation("odd", start="identity"),
    "cyclic": lambda: permutation("even", group="cyclic"),
    "patterns": lambda: permutation(blocks(SHAPE, 1)[0], kernel=5, hidden=(8, 8)),
    "graph": lambda: permutation(halves(SHAPE, 1)[0], network="mlp"),
    "composed": lambda: fl.Composed([permutation(mask, i) for i, mask in enumerate(partitions("blocks", SHAPE, 4))]),
}


def permutation(reads: object, name: int = 0, **options: object) -> PermutationCoupling:
    return PermutationCoupling(SHAPE, reads, generator=named_generator(1, name), **{"start": "random"} | options)


@pytest.fixture(params=FLOWS)
def flow(request):
    flow, generator = FLOWS[request.param](), named_generator(2, "shaken")
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return flow


def every_configuration() -> torch.Tensor:
    return potts_configurations(SHAPE, 3, dtype=torch.float32)


def test_a_bijection_of_all_states(flow):
    z = every_configuration()
    with torch.no_grad():
        x, log_det = flow(z)
        back, log_det_back = flow.inverse(x)
    numbers = (x.flatten(1).long() @ 3 ** torch.arange(8)).sort().values
    assert torch.equal(numbers, torch.arange(3**8)) and not torch.equal(x, z)
    assert torch.equal(back, z)
    assert not log_det.any() and not log_det_back.any()


def test_the_value_is_the_hard_map_with_gradients_too(flow):
    z = every_configuration()[::5]
    with torch.no_grad():
        quiet = flow(z)[0]
    x = flow(z)[0]
    assert torch.equal(quiet, x.detach()) and torch.equal(one_hot(x, 3).detach(), one_hot(quiet, 3))
    assert torch.equal(flow.inverse(x)[0].detach(), z)


def test_gradient_reaches_every_parameter(flow):
    z = every_configuration()[::5]
    for x in (flow(z)[0], flow.inverse(z)[0]):
        flow.zero_grad()
        (one_hot(x, 3) * torch.randn(*z.shape, 3, generator=named_generator(3))).sum().backward()
        unmoved = {name for name, parameter in flow.named_parameters() if not parameter.grad.abs().max() > 0}
        assert unmoved == set()


def test_the_surrogate_is_the_softmax_mean_over_permutations():
    layer = permutation("even")
    z = every_configuration()[:50]
    weight = torch.randn(*z.shape, 3, generator=named_generator(3))
    wanted = layer.network.biases[-1]
    (found,) = torch.autograd.grad((one_hot(layer(z)[0], 3) * weight).sum(), wanted)
    scores = layer.network(one_hot(z, 3).flatten(1, 2).permute(2, 1, 0).flatten(0, 1)).view(6, 4, 50)
    e = one_hot(z, 3).flatten(1, 2)[:, layer.updated]
    images = torch.stack([e[..., p.argsort()] for p in group_of_permutations(3, "all")])  # state p(j) where j was
    mean = (scores.softmax(0).permute(0, 2, 1)[..., None] * images).sum(0)
    (expected,) = torch.autograd.grad((mean * weight.flatten(1, 2)[:, layer.updated]).sum(), wanted)
    torch.testing.assert_close(found, expected)


def test_a_gradient_passes_through_to_the_latent():
    layer, z = permutation("even"), every_configuration()[:50]
    e = one_hot(z, 3).requires_grad_()
    one_hot(layer(states(e))[0], 3)[..., 0].sum().backward()
    changed = ~layer.deciding
    assert torch.equal(e.grad[:, changed].sum(-1), torch.ones(50, 4))  # 1 at the state that becomes 0
    assert e.grad[:, layer.deciding].abs().sum() > 50


def test_identity_start_and_groups():
    z = every_configuration()
    assert torch.equal(permutation("even", start="identity")(z)[0], z)
    assert len(permutation("even").matrices) == 6 and len(permutation("even", q=6).matrices) == 6
    assert len(group_of_permutations(4, "all").unique(dim=0)) == 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q": 1}, "q must be a number of states of at least 2, got 1"),
        ({"q": 6, "group": "all"}, "group='all' takes q up to 5, since it scores all q! permutations, got q=6"),
        ({"group": "swaps"}, "group must be 'all' or 'cyclic', got 'swaps'"),
        ({"start": "local_field"}, "start must be 'identity' or 'random', got 'local_field'"),
        ({"network": "conv"}, "network must be 'window', 'mlp' or None, got 'conv'"),
        ({"shape": (3, 4)}, r"shape must be two even sides for a checkerboard, got \(3, 4\)"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PermutationCoupling(**{"shape": (4, 4)} | options)


def test_spins_are_refused():
    with pytest.raises(ValueError, match=r"states must be 0, \.\.\., 2, got -1\.0"):
        permutation("even")(-torch.ones(2, *SHAPE))
    with pytest.raises(ValueError, match=r"states must be 0, \.\.\., 2, got 3\.0"):
        permutation("even")(torch.full((2, *SHAPE), 3.0))


def test_a_trained_layer_lowers_the_bound_over_independent_states():
    """4 x 4 at T = 1.5, above the transition: mean field misses every correlation, one layer takes up over half."""
    system, bounds = Potts((4, 4), T=1.5), {}
    for name, layers in {"mean field": 0, "flow": 1}.items():
        base = IndependentPotts((4, 4), 3, bias=0.1)
        flow = fl.Composed([PermutationCoupling((4, 4), start="random")][:layers])
        density = fl.Pushforward(flow, base)
        density.bind(system)
        groups = [{"params": base.parameters(), "lr": 4e-2}, {"params": list(flow.parameters()), "lr": 1e-2}]
        optimiser, generator = torch.optim.Adam(groups[: 1 + layers]), named_generator(0, "train")
        for step in range(120):
            target = system.at(T=1.5 / min(1.0, 0.2 + step / 60))
            optimiser.zero_grad()
            fl.ReverseKL().loss(density, target, 200, generator=generator).value.backward()
            optimiser.step()
        x, log_q = density.sample(4000, generator=named_generator(0, "evaluate"))
        bounds[name] = fl.estimators.log_z_bound((system.log_weight(x) - log_q).double().numpy())
    exact = fl.exact.log_z(system)
    gaps = {name: (exact - bound.value, bound.error) for name, bound in bounds.items()}
    assert gaps["flow"][0] > -4 * gaps["flow"][1]
    assert gaps["flow"][0] + 4 * gaps["flow"][1] < 0.6 * gaps["mean field"][0]
