"""Multilevel densities of planar spins: their integral, their symmetries, and what they learn."""

import math

import pytest
import torch

import flowlab as fl
from flowlab.core import von_mises
from flowlab.densities.multilevel import MultilevelAngles
from flowlab.densities.multilevel.angles import draw_angles, log_density
from tests.laws.registry import shaken


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_density_of_the_last_group_integrates_to_one():
    density = shaken(MultilevelAngles((4, 2), colours=1, hidden=(8, 8)).double())
    x, _ = density.sample(1, generator=generator())
    *_, before, _ = density.stages(x=x)
    free = before.x.isnan()[0].flatten()
    z = 2 * math.pi * torch.arange(16, dtype=torch.float64) / 16
    grid = torch.cartesian_prod(*[z] * int(free.sum())).view(-1, int(free.sum()))
    every = x.flatten(1).repeat(len(grid), 1)
    every[:, free] = grid
    with torch.no_grad():
        total = density.log_prob(every.view(-1, 4, 2)).exp().sum() * (2 * math.pi / 16) ** int(free.sum())
    assert float(total) == pytest.approx(float(before.log_q.exp()), rel=1e-3)


def test_rotations_and_mirror_images_are_exact():
    density = shaken(MultilevelAngles((8, 4), hidden=(8, 8)).double())
    x, log_q = density.sample(20, generator=generator())
    for image in (x + 1.1, -x, 2.0 - x):
        torch.testing.assert_close(density.log_prob(image), log_q)
    other = x.clone()
    other[:, 0, 0] += 1.0
    assert (density.log_prob(other) - log_q).abs().min() > 1e-3


def test_draws_have_the_density_that_is_said():
    fields = torch.tensor([[2.0, 0.5], [-1.0, 1.0]], dtype=torch.float64)[:, None, :, None].expand(2, 1, 2, 50_000)
    logits = torch.tensor([0.3, -0.2], dtype=torch.float64)[:, None, None].expand(2, 1, 50_000)
    x = draw_angles(fields, logits, generator=generator())
    z = torch.linspace(-math.pi, math.pi, 1001, dtype=torch.float64)
    vectors = torch.stack([z.cos(), z.sin()])[None]
    q = log_density(fields[..., :1].expand(-1, -1, -1, 1001), logits[..., :1].expand(-1, -1, 1001), vectors).exp()[0]
    assert float(torch.trapezoid(q, z)) == pytest.approx(1, abs=1e-9)
    for k in (1, 2, 3):
        for wave in (torch.cos, torch.sin):
            assert abs(float(wave(k * x).mean()) - float(torch.trapezoid(q * wave(k * z), z))) < 0.015


def test_concentrated_and_free_angles():
    k = torch.tensor([0.0, 1e-7, 1e7]).repeat(4000, 1)
    x = von_mises.draw(k, generator=generator()).double()
    assert x[:, :2].std(0) == pytest.approx([math.pi / math.sqrt(3)] * 2, rel=0.05)
    assert float(x[:, 2].std()) == pytest.approx(1e-7**0.5, rel=0.05)


def test_it_learns_a_small_lattice():
    run = fl.experiment("xy-coloured", L=4, T=1.0, steps=120, batch=100, hidden=16, device="cpu")
    run.run(progress=False)
    found = run.evaluate(4000)
    assert found.ess > 0.85 and abs(float(found.log_z - found.log_z_exact)) < 4 * float(found.log_z_error)
    assert found.attrs["verdict"].startswith("consistent")


def test_refused():
    with pytest.raises(ValueError, match="components must be at least 1 density, got 0"):
        MultilevelAngles((4, 2), components=0)
    with pytest.raises(ValueError, match="shape must be"):
        MultilevelAngles((8,))
    with pytest.raises(ValueError, match="angles must be finite, got inf"):
        MultilevelAngles((4, 2)).log_prob(torch.full((1, 4, 2), math.inf))
