"""Runs and names of earlier versions: kept directories go on, old constructors build the same runs."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import xarray as xr

import flowlab as fl
from flowlab.core import named_generator
from flowlab.densities import CoarseFields, Upscaled
from flowlab.densities.refined.coarse_chain import CoarseHMC
from flowlab.flows.continuous.continuous import ContinuousFlow
from flowlab.systems import Phi4
from flowlab.training import IntegrationCheck, IRMatching, Stage, UVMatching
from flowlab.training.earlier import ContinuousTraining, Grown, UVTraining

KEPT = Path(__file__).parents[1] / "data" / "runs_in_stages.tar.xz"
"""Written by version 0.1.0 of November 2026: in a first stage (grown, uv), in the last one after rolling back."""
HOW = {"batch": 8, "learning_rate": {"base": 1e-2, "flow": 1e-2, "couplings": 1e-3}}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    path = tmp_path_factory.mktemp("kept")
    with tarfile.open(KEPT) as archive:
        archive.extractall(path, filter="data")
    return path


def refined() -> tuple[fl.System, fl.Density, fl.Objective]:
    coarse = CoarseFields(Phi4((2,), 0.3, 0.02), CoarseHMC(Phi4((2,), 0.3, 0.02), chains=8), learned=["kappa"])
    flow = ContinuousFlow((4,), kernel=3, steps=4, generator=named_generator(0, "flow"))
    return Phi4((4,), 0.3, 0.02), Upscaled(coarse, (4,), flow, sigma=1.0), IRMatching()


def by_hand() -> fl.Training:
    """As ``ContinuousTraining`` with another one before it was, of which the directory is."""
    small = Stage(*refined(), steps=3, integration=IntegrationCheck(2), **HOW)
    return fl.Training(*refined(), steps=6, stages=[small], integration=IntegrationCheck(2, 1e-12), **HOW)


@pytest.mark.parametrize(("name", "step"), [("grown", 2), ("uv", 3), ("by_hand", 6)])
def test_a_kept_run_goes_on_as_it_would_have(kept, name, step):
    path = kept / name
    if name == "by_hand":
        run = by_hand()
        run.restore(path)
    else:
        run = fl.load(path)
    assert run.step == step and run.state == "stopped"
    whole = json.loads((path / "whole.json").read_text())
    run.run(progress=False)
    assert len(run.data.step) == len(whole) == run.steps
    for found, expected in zip(run.data.to_dataframe().to_dict("records"), whole, strict=True):
        for column, value in expected.items():
            if column != "step" and value is not None:
                assert found[column] == pytest.approx(value, rel=1e-3), column  # bit for bit on one machine
    if name == "by_hand":
        assert float(run.data.rolled_back[-1]) == 3


def test_old_names_build_the_same_runs():
    with pytest.warns(DeprecationWarning, match="IntegrationCheck"):
        small = ContinuousTraining(*refined(), steps=3, check_every=2, **HOW)
    how = {"before": [small], "steps": 6, "check_every": 2, "largest_error": 1e-12} | HOW
    with pytest.warns(DeprecationWarning, match="IntegrationCheck"):
        old = ContinuousTraining(*refined(), **how)
    xr.testing.assert_identical(*(run.run(progress=False).drop_vars("wall_time") for run in (old, by_hand())))


def test_grown_takes_trainings_that_have_not_begun():
    def independent(L: int) -> tuple[fl.System, fl.Density, fl.Objective]:
        return fl.Ising((L, L), T=3.0), fl.IndependentSpins((L, L)), fl.ReverseKL()

    how = {"steps": 2, "batch": 10, "learning_rate": 0.1}
    small = fl.Training(*independent(2), **how)
    with pytest.warns(DeprecationWarning, match=r"stages=\[Stage\(...\), ...\]\) now"):
        run = Grown([small], *independent(4), hand_on=lambda *_: None, **how)
    assert run.steps == 4 and run.before[0].density is small.density and run.data.attrs["stages"] == "2 × 2, 4 × 4"
    small.run(1, progress=False)
    with pytest.raises(ValueError, match="must not have begun"), pytest.warns(DeprecationWarning, match="now"):
        Grown([small], *independent(4), **how)


def test_a_target_with_learned_couplings_needs_no_training_of_its_own():
    fine, density, _ = refined()
    with pytest.warns(DeprecationWarning, match="now"):
        run = UVTraining(fine, density, UVMatching(fine, method="scan"), steps=2, **HOW)
    assert type(run) is fl.Training and run.log_z_exact is None
    with_fixed = fl.Training(*refined(), steps=2, **HOW)
    assert with_fixed.target is with_fixed.system is with_fixed.target
