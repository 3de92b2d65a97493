"""The transformer over a window of spins."""

import pytest
import torch

from flowlab.core import named_generator
from flowlab.nn.window_transformer import WindowTransformer


def network(positions=6, **keys):
    keys = {"hidden": (8, 8)} | keys
    return WindowTransformer(positions, generator=named_generator(0, "transformer"), **keys).double()


def windows(k=6, m=40, known=1.0):
    u = torch.rand(2, k, m, generator=named_generator(1, "windows"), dtype=torch.float64)
    return torch.where(u[0] < 0.5, 1.0, -1.0).double() * (u[1] < known)


def test_exactly_odd_and_no_linear_function():
    net, v = network(), windows(known=0.7)
    with torch.no_grad():
        out = net(v)
        assert torch.equal(net(-v), -out) and float(out.std()) > 0.05
        fit = torch.linalg.lstsq(v.T, out.T).solution.T @ v
    assert float((out - fit).std()) > 0.1 * float(out.std())


def test_unknown_sites_are_not_there():
    net, v = network(), windows()
    v[[1, 4]] = 0
    seen = torch.tensor([0, 2, 3, 5])
    torch.testing.assert_close(net(v), net(v[seen], seen), rtol=0, atol=1e-12)
    mixed = v.clone()
    mixed[1, ::2] = 1.0  # known in some windows
    torch.testing.assert_close(net(mixed)[:, 1::2], net(v)[:, 1::2], rtol=0, atol=1e-12)
    assert float((net(mixed) - net(v))[:, ::2].detach().abs().min()) > 1e-6
    assert not net(torch.zeros(6, 3).double()).any()


def test_positions_matter_beyond_their_linear_weights():
    net, v = network(), windows()
    with torch.no_grad():
        net.skip.zero_()
    assert float((net(v.roll(1, 0)) - net(v)).detach().abs().max()) > 0.01


def test_starts_near_its_linear_part():
    start = torch.linspace(0, 1, 6)
    net, v = network(start=start), windows()
    assert float((net(v) - start.double() @ v).detach().abs().max()) < 0.6
    assert float((network(heads=4)(v)).detach().std()) < 0.3


@pytest.mark.parametrize("keys", [{"hidden": ()}, {"hidden": (4, 0)}, {"heads": 0}, {"head": 0}])
def test_impossible_sizes_are_refused(keys):
    with pytest.raises(ValueError, match="at least one block, with one head and one unit or more, got"):
        network(**keys)
