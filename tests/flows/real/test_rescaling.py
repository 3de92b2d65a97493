"""One learned factor: both directions, and what it must not depend on."""

from __future__ import annotations

import math

import pytest
import torch

from flowlab.core import named_generator
from flowlab.flows.real.rescaling import Rescaling


def test_both_directions():
    flow = Rescaling((3, 2), scale=0.4).double()
    z = torch.randn(5, 3, 2, dtype=torch.float64, generator=named_generator(0))
    x, log_det = flow(z)
    back, log_det_back = flow.inverse(x)
    torch.testing.assert_close(x, 0.4 * z, rtol=1e-6, atol=0)
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(log_det, torch.full((5,), 6 * math.log(0.4), dtype=torch.float64), rtol=1e-6, atol=0)
    assert torch.equal(log_det_back, -log_det)


def test_is_odd_and_has_one_parameter_that_learns_the_width():
    flow = Rescaling((4, 4))
    assert [p.numel() for p in flow.parameters()] == [1]
    action = torch.where(torch.arange(16).view(4, 4) < 3, -1.0, 1.0)
    assert torch.equal(flow.pull_flip(action), action)
    x = 3 * torch.randn(200, 4, 4, generator=named_generator(1))
    with torch.no_grad():
        flow.log_scale.copy_(x.square().mean().sqrt().log())
    z, log_det = flow.inverse(x)
    (0.5 * z.square().flatten(1).sum(1) - log_det).mean().backward()
    assert abs(float(flow.log_scale.grad)) < 1e-3  # the likelihood is largest at the width of the samples


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_refused_scales(scale):
    with pytest.raises(ValueError, match=r"scale must be (positive|a finite number), got"):
        Rescaling((2,), scale=scale)


def test_refused_shape():
    with pytest.raises(ValueError, match=r"expected fields of shape \(n, 2\), got \(1, 3\)"):
        Rescaling((2,))(torch.zeros(1, 3))
