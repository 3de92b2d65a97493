"""Affine couplings: closed forms, inverses, starts, masks, refusals."""

from __future__ import annotations

import pytest
import torch

from flowlab.core import named_generator
from flowlab.flows.composed import Composed
from flowlab.flows.real.affine import AffineCoupling, checkerboard_masks, complementary_masks
from tests.laws.registry import shaken


def fields(n: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(n, *shape, dtype=dtype, generator=named_generator(0, "fields"))


@pytest.mark.parametrize("learned_scale", [False, True])
@pytest.mark.parametrize("shape", [(6,), (4, 6)])
def test_formula(shape, learned_scale):
    mask = complementary_masks(shape, 1, generator=named_generator(1))[0]
    layer = shaken(AffineCoupling(mask, hidden=5, layers=2, learned_scale=learned_scale))
    z = fields(9, *shape)
    x, log_det = layer(z)
    s, t = layer.network(z[:, ~mask])
    s = s.tanh() * (layer.scale if learned_scale else 1.0)
    assert torch.equal(x[:, ~mask], z[:, ~mask])
    torch.testing.assert_close(x[:, mask], t + z[:, mask] * s.exp())
    torch.testing.assert_close(log_det, s.sum(1))
    assert s.std() > 0.1 and t.std() > 0.1


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
def test_eight_layers_are_inverted(dtype, tolerance):
    generator = named_generator(2, "masks")
    masks = complementary_masks((16,), 8, generator=generator)
    flow = shaken(Composed([AffineCoupling(mask, generator=generator) for mask in masks]), 0.15).to(dtype)
    z = fields(50, 16, dtype=dtype)
    with torch.no_grad():
        x, log_det = flow(z)
        back, log_det_back = flow.inverse(x)
    assert x.dtype == dtype and (x - z).abs().mean() > 0.3
    assert (back - z).abs().max() < tolerance * float(x.abs().max())
    torch.testing.assert_close(log_det_back, -log_det, rtol=0, atol=100 * tolerance)


def test_starts_near_the_identity_with_a_gradient_for_every_parameter():
    mask = checkerboard_masks((4, 4), 1)[0]
    layer = AffineCoupling(mask, learned_scale=True)
    z = fields(20, 4, 4)
    x, log_det = layer(z)
    assert 0 < (x - z).abs().max() < 0.1
    (x.square().sum() - log_det.sum()).backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_networks_are_of_the_paper_by_default_and_see_only_what_they_read():
    mask = torch.arange(10) < 3
    assert AffineCoupling(mask).network.sizes == (7, 10, 10, 10, 3)
    assert AffineCoupling(mask, hidden=4, layers=1).network.sizes == (7, 4, 3)


def test_same_generator_same_layer():
    one, again = (AffineCoupling(torch.arange(4) < 2, generator=named_generator(3)) for _ in range(2))
    assert torch.equal(one(fields(3, 4))[0], again(fields(3, 4))[0])


def test_complementary_masks_pair_up_and_are_fair():
    masks = complementary_masks((40, 50), 5, generator=named_generator(0, "masks"))
    assert len(masks) == 5 and masks[0].shape == (40, 50) and masks[0].dtype == torch.bool
    assert torch.equal(masks[1], ~masks[0]) and torch.equal(masks[3], ~masks[2])
    assert not torch.equal(masks[2], masks[0])
    assert abs(float(masks[0].float().mean()) - 0.5) < 4 * 0.5 / 2000**0.5


def test_no_mask_is_empty_or_full_even_for_two_sites():
    masks = complementary_masks((2,), 400, generator=named_generator(0, "masks"))
    assert all(int(mask.sum()) == 1 for mask in masks)


def test_checkerboard_masks_alternate():
    even, odd, again = checkerboard_masks((4, 6), 3)
    assert torch.equal(even, again) and torch.equal(odd, ~even)
    assert int(even.sum()) == 12 and not even[0, 1]


def test_refusals():
    with pytest.raises(ValueError, match=r"got torch\.bool with 4 of 4 sites to change"):
        AffineCoupling(torch.ones(4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"got torch\.bool with 0 of 4 sites to change"):
        AffineCoupling(torch.zeros(4, dtype=torch.bool))
    with pytest.raises(ValueError, match="mask must be boolean"):
        AffineCoupling(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"at least two sites, got shape \(1,\)"):
        complementary_masks((1,), 2)
    with pytest.raises(ValueError, match="two even sides"):
        checkerboard_masks((3, 4), 2)
