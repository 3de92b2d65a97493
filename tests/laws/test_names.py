"""One table of names; what runs that train show is held against it in the laws of experiments."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.analysis import measure_overlaps, measure_proposals, measure_triangles, measure_two_point
from flowlab.core.names import COORDINATES, NAMES, about, known, labelled
from flowlab.core.system import measured
from flowlab.studies.ising.sweep import exact_values
from tests.laws.named import assert_named
from tests.laws.registry import SYSTEMS

CHAINS = {
    "sk-pt": {"N": 8, "seed_J": 1, "temperatures": "0.5,2", "samples": 40, "steps": 60},
    "phi4-hmc": {"L": 4, "beta": 0.4, "chains": 4, "steps": 40, "samples": 40, "tuning": 20},
    "ising-chain": {"L": 4, "chains": 4, "every": 2, "steps": 20, "samples": 40},
    "ising-cluster-ais": {"L": 4, "steps": 4, "chains": 20, "samples": 40},
}


@pytest.mark.parametrize("study", CHAINS)
def test_chains_name_what_they_measure_as_the_table_does(study):
    keys = {key: value for key, value in CHAINS[study].items() if key in fl.runs.registry.find(study).defaults}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = fl.experiment(study, **keys)
        run.run(progress=False)
        found = {"data": run.data, "evaluate": run.evaluate(100), "sample": run.sample(20)}
    if isinstance(run, fl.ChainRun):
        found["measured"] = run.measured
    if isinstance(run, fl.runs.TemperingRun):
        found["reference"] = run.reference()
    for method, data in found.items():
        assert_named(data, f"{study} {method}")


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_observable_of_every_system_is_in_the_table(name):
    system = SYSTEMS[name]()
    for observable in measured(system, torch.ones(2, *system.shape, dtype=torch.float64)):
        assert known(observable) is not None, observable


def test_what_is_measured_for_figures_is_named_as_in_the_table():
    rng = np.random.default_rng(0)
    spins = xr.Dataset(
        {"configuration": (("layer", "sample", "site"), rng.choice([-1.0, 1.0], (2, 60, 12)))}, attrs={"n_sites": 12}
    )
    assert_named(measure_overlaps(spins), "measure_overlaps")
    assert_named(measure_triangles(spins), "measure_triangles")
    fields = rng.normal(size=(50, 2, 2))
    weight = ("sample", -(fields**2).sum((1, 2)))
    drawn = xr.Dataset({"configuration": (("sample", "y", "x"), fields), "log_q": weight, "log_weight": weight})
    assert_named(measure_proposals(drawn), "measure_proposals")
    assert_named(measure_two_point(drawn.expand_dims("layer")), "measure_two_point")
    assert_named(xr.Dataset(exact_values(4, [2.0])), "exact values")


def test_a_sweep_keeps_the_names(tmp_path):
    keys = {"L": 4, "layers": 1, "width": 1, "batch": 20, "steps": 3, "device": "cpu"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fl.sweep("ising-xor", {"T": [3.0]}, out=tmp_path, evaluate=50, progress=False, **keys)
    names = assert_named(found, "sweep")
    assert {"log_z", "log_z_exact", "state", "T"} <= names


def test_one_name_has_one_meaning():
    for name in ("log_z", "log_z_bound", "log_z_exact", "forward_log_z", "log_q", "loss"):
        assert known(name)[1] == "nats"
    assert known("log_z_bound_error") == ("standard error of lower bound on ln Z", "nats")
    long_names = [text for name, (text, _) in NAMES.items() if name not in COORDINATES]
    assert len(set(long_names)) == len(long_names), "two names for one thing"
    assert not [text for text in long_names if "magnetis" in text.lower()]


def test_labels_do_not_change_what_was_given_and_keep_other_attributes():
    given = xr.Dataset({"ess": ((), 0.5, {"reason": "few"})}, {"T": [1.0]})
    found = labelled(given)
    assert found.ess.attrs == about("ess", reason="few") and given.ess.attrs == {"reason": "few"}
    assert found["T"].attrs == about("T") and given["T"].attrs == {}
    assert about("thickness_error") == {"long_name": "standard error of thickness", "units": "1"}
