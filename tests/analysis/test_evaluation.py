"""What is read off a density that misses half of the target, and on the device asked for."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.analysis import evaluation
from flowlab.core import named_generator
from flowlab.exact.enumeration import configurations, distribution


def one_sector(T: float = 1.2, bias: float = 4.5) -> fl.Training:
    """Independent spins that point up, against an ordered lattice that is up or down."""
    return fl.Training(
        fl.Ising((4, 4), T), fl.IndependentSpins((4, 4), bias=bias), fl.ReverseKL(), steps=1, batch=10,
        learning_rate={"base": 1e-3},
    )  # fmt: skip


def test_a_lost_sector_costs_ln_2_and_emdm_the_forward_check_and_the_verdict_see_it():
    run = one_sector()
    p = distribution(run.system).exp()
    chosen = torch.multinomial(p, 2000, replacement=True, generator=named_generator(0, "reference"))
    result = run.evaluate(20_000, reference=configurations((4, 4), 0, 2**16).float()[chosen])
    assert result.ess > 0.5
    assert float(result.log_z_exact - result.log_z) == pytest.approx(math.log(2), abs=0.05)
    assert float(result.emdm) == pytest.approx(0.5, abs=4 * float(result.emdm_error) + 0.02)
    assert float(result.forward_ess) < 0.01
    assert float(result.forward_kl) > 10
    assert result.attrs["verdict"].startswith("not to be trusted") and "M > 0 in 100" in result.attrs["reasons"]


def test_four_calls_of_sample_are_four_draws():
    run = one_sector(T=3.0, bias=0.0)
    drawn = [run.sample(500) for _ in range(4)]
    apart = len({rows.tobytes() for found in drawn for rows in found.configuration.values})
    once = len({rows.tobytes() for rows in drawn[0].configuration.values})
    assert apart > 2 * once and len({found.attrs["seed"] for found in drawn}) == 4
    for found in drawn:
        xr.testing.assert_identical(run.sample(500, seed=found.attrs["seed"]), found)


@pytest.mark.parametrize("iid", [True, False])
def test_many_samples_are_drawn_part_by_part(monkeypatch, iid):
    run, sizes = one_sector(), []

    def watched(self: fl.IndependentSpins, n: int, **options: object) -> tuple[torch.Tensor, torch.Tensor]:
        sizes.append(n)
        return fl.Density.sample(self, n, **options)

    monkeypatch.setattr(fl.IndependentSpins, "sample", watched, raising=False)
    monkeypatch.setattr(fl.IndependentSpins, "iid", iid)
    monkeypatch.setattr(evaluation, "CHUNK", 7)
    found = run.sample(20, seed=1)
    assert sizes == [7, 7, 6 if iid else 7] and found.sizes["sample"] == 20
    spins = torch.as_tensor(found.configuration.values, dtype=torch.float32)
    np.testing.assert_allclose(found.log_q, run.density.log_prob(spins).detach(), rtol=1e-5)
    np.testing.assert_allclose(found.log_weight, run.system.log_weight(spins), rtol=1e-5)
    monkeypatch.setattr(evaluation, "AT_ONCE", 3 * 16)  # a lattice of 16 sites
    sizes.clear()
    run.sample(6)
    assert sizes == [3, 3]


def test_a_seed_is_a_whole_number_and_gives_another_evaluation():
    run = one_sector(T=3.0)
    for read in (run.sample, run.evaluate, run.diagnose):
        with pytest.raises(ValueError, match=r"seed must be a whole number, got 1\.5"):
            read(100, seed=1.5)
    default, other = run.evaluate(200), run.evaluate(200, seed=8)
    assert default.attrs["seed"] == run.seed and other.attrs["seed"] == 8
    assert float(default.log_z) != float(other.log_z)
    xr.testing.assert_identical(run.evaluate(200, seed=run.seed), default)
    pairs = [run.diagnose(200, parts=["walls"], seed=seed) for seed in (None, run.seed, 8)]
    assert pairs[0].identical(pairs[1]) and not pairs[0].equals(pairs[2]) and pairs[2].attrs["seed"] == 8


def test_reference_must_be_configurations():
    with pytest.raises(ValueError, match=r"configurations must have shape \(n, 4, 4\)"):
        one_sector().evaluate(100, reference=torch.ones(5, 4, 2))
    with pytest.raises(ValueError, match="spins must be -1 or \\+1, got 0"):
        one_sector().evaluate(100, reference=torch.zeros(5, 4, 4))


def test_study_on_the_device_asked_for(device):
    run = fl.experiment("ising-xor", L=4, T=2.5, steps=3, batch=50, device=str(device))
    run.run(progress=False)
    assert all(parameter.device.type == device.type for parameter in run.density.parameters())
    assert run.data.attrs["device"].startswith(device.type)
    assert set(np.unique(run.layers(3).configuration)) <= {-1.0, 1.0}
    assert np.isfinite(float(run.evaluate(2000).log_z))


def test_layers_of_a_single_configuration_have_a_bound_without_an_error():
    run = fl.experiment("ising-xor", L=4, T=2.5, steps=1, batch=20, layers=2, device="cpu")
    layers = run.layers(x=torch.ones(1, 4, 4))
    assert layers.sizes["sample"] == 1
    assert np.isfinite(layers.log_z_bound).all() and np.isnan(layers.log_z_bound_error).all()


def test_the_equation_of_motion_holds_with_the_weights_and_only_with_them():
    target, density = fl.Phi4((2, 2), 0.1, 0.1), fl.Normal((2, 2))
    found = fl.analysis.evaluation.evaluate(density, target, 4000, named_generator(0, "motion"), {})
    error = float(found.equation_of_motion_error)
    assert abs(float(found.equation_of_motion) - 1) < 4 * error < 0.2
    x, _ = density.sample(4000, generator=named_generator(0, "motion"))
    assert float(-(x * target.force(x)).mean()) > 1 + 8 * error
    assert found.equation_of_motion.attrs["long_name"] == "φ ∂S/∂φ per site, exactly 1"
    assert "equation_of_motion" not in one_sector().evaluate(100)
