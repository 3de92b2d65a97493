"""Chains of coarse fields: at equilibrium before they are handed out, and on the CPU wherever the density is."""

import json
from pathlib import Path

import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities.refined import coarse_chain
from flowlab.densities.refined.coarse_chain import (
    CoarseHMC,
    CoarseLangevin,
    PathwiseGradientWarning,
    ThermalisationWarning,
    enough_steps,
    equilibrium,
    kept_shares,
)
from flowlab.systems.phi4 import Phi4

SLOW = Phi4((8, 8), kappa=0.28, lam=0.02)


def generator(name="coarse chain"):
    return named_generator(0, name)


def test_slow_chains_are_given_the_time_they_need():
    """One leapfrog a trajectory: after the shortest warm-up the susceptibility is half of what it should be."""
    path = Path(__file__).parents[2] / "data" / "public_phi4_mc.json"
    cases = json.loads(path.read_text())["cases"]
    case = next(c for c in cases if (c["form"], c["L"], c.get("kappa")) == ("kappa", 8, 0.28))
    sampler = CoarseHMC(SLOW, chains=200, steps=1)
    with torch.no_grad():
        chi = sampler(SLOW, 200, generator()).sum((1, 2)).square() / 64
    assert abs(float(chi.mean()) - case["chi"]) < 4 * float(chi.std()) / 200**0.5 < 0.1 * case["chi"]
    assert int(sampler.done[0]) > 300


def test_chains_that_remember_their_start_are_told(monkeypatch):
    monkeypatch.setattr(coarse_chain, "LONGEST", 100)
    with pytest.warns(ThermalisationWarning, match=r"after 100 trajectories the chains of φ⁴ 8 × 8.*standard errors"):
        CoarseHMC(SLOW, chains=4, steps=1)(SLOW, 1, generator())  # few chains have others beside them to be judged by


def test_quick_chains_take_the_shortest_time():
    quick = Phi4((4, 4), kappa=0.2, lam=0.02)
    sampler = CoarseHMC(quick, chains=64)
    assert sampler(quick, 64, generator()).shape == (64, 4, 4) and int(sampler.done[0]) == 100 + sampler.trajectories


@pytest.mark.parametrize("kind", [CoarseHMC, CoarseLangevin])
def test_chains_go_where_they_are_sent_in_double_precision(kind):
    sampler = kind(SLOW, chains=4).to("meta").float()
    assert sampler.fields.device.type == "meta" and sampler.fields.dtype == torch.float64


@pytest.mark.parametrize("kappa", [0.0, 0.15, 0.2])
def test_the_share_of_a_gradient_that_langevin_steps_keep(kappa):
    """Free fields, mode by mode: O = Σ_p c_p |φ_p|², and the step 1 - ε m_p of each mode is taken ``steps`` times."""
    step, steps = 0.01, 50
    modes = torch.cos(2 * torch.pi * torch.arange(4, dtype=torch.float64) / 4)
    c = (modes[:, None] + modes).flatten()
    rate = 2 * (1 - 2 * kappa * c)
    whole = (c / rate).square()
    expected = float((whole * (1 - (1 - step * rate) ** (2 * steps))).sum() / whole.sum())
    found = kept_shares(equilibrium(Phi4((4, 4), kappa, 0.0), 2048), ["kappa"], step, steps)["kappa"]
    assert found == pytest.approx(expected, abs=0.12)


def test_a_gradient_that_is_cut_off_is_told_and_more_steps_keep_it():
    near = Phi4((4, 4), 0.24, 0.02)
    with pytest.warns(
        PathwiseGradientWarning, match=r"20 Langevin steps of 0.02 keeps only \d+% of that in kappa: take"
    ):
        CoarseLangevin(near, chains=4, step_size=0.02, steps=20).warn(near, ["kappa"])
    assert 200 <= enough_steps(near, ["kappa"], 0.02) <= 800
