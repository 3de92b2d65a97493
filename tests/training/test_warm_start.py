"""Runs elsewhere in the phase diagram, from the weights of another."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.storage.store import StoreError
from tests.runs.small_runs import by_hand, records, study


def test_at_is_a_warm_start_at_other_couplings(tmp_path):
    run = study(steps=10, anneal=0.5, seed=3)
    run.run(progress=False)
    other = run.at(T=2.5, steps=6)
    assert other.state == "ready" and other.step == 0 and other.steps == 6 and other.path is None
    assert float(other.target.couplings["T"]) == other.data.attrs["T"] == 2.5
    assert other.parent == {"study": "ising-xor", "keys": run.keys, "seed": 3, "step": 10, "copied": 1.0}
    assert other.annealing is None and run.annealing is not None
    for name, value in run.density.state_dict().items():
        assert torch.equal(value, other.density.state_dict()[name]), name
    assert run.at(beta=0.4, steps=6).seed == run.at(T="2.5", steps=6).seed == other.seed
    assert len({run.seed, other.seed, run.at(T=2.6, steps=6).seed, study(seed=4).at(T=2.5, steps=6).seed}) == 4
    other.attach(tmp_path / "at")
    loaded = fl.load(tmp_path / "at")  # before its first step: the weights are the copied ones
    assert torch.equal(loaded.density.base.density.output.weight, run.density.base.density.output.weight)
    for _ in other.stream():
        pass
    assert (other.data.inverse_temperature == 1 / 2.5).all()


def test_a_warm_started_run_resumes_bit_for_bit(tmp_path):
    run = study(steps=5)
    run.run(progress=False)
    straight, other = run.at(T=2.5, steps=8), run.at(T=2.5, steps=8)
    straight.run(progress=False)
    other.attach(tmp_path / "at")
    other.run(3, progress=False)
    resumed = fl.load(tmp_path / "at")
    assert resumed.parent == other.parent and resumed.seed == other.seed
    resumed.run(progress=False)
    xr.testing.assert_identical(records(resumed), records(straight))


def test_a_start_from_some_weights_says_how_many_and_one_from_next_to_none_anneals(tmp_path):
    few = study(base="independent", width=4, construction="xor", layers=2, anneal=0.5).at(layers=6)
    assert few.annealing is None and 0.3 < few.parent["copied"] < 0.4 and " % of the weights" in few._repr_html_()
    with pytest.warns(RuntimeWarning, match=r"only 1.9 % of the weights with L=8 are taken over"):
        larger = study(anneal=0.5).at(L=8)
    assert larger.annealing is not None
    larger.attach(tmp_path / "larger")
    again = fl.load(tmp_path / "larger")
    assert again.annealing is not None and again.parent == larger.parent
    with pytest.raises(ValueError, match="no weights of this run fit one with L=8, layers=0"):
        study(layers=0).at(L=8, layers=0)


def test_weights_or_records_that_are_missing_are_not_made_up(tmp_path):
    run = study(steps=4, out=tmp_path / "run")
    run.run(progress=False)
    journal = tmp_path / "run" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:3]))
    with pytest.raises(StoreError, match=r"records .* are missing: journal.jsonl has 3 of the 4 steps"):
        fl.load(tmp_path / "run")
    journal.unlink()
    with pytest.raises(StoreError, match=r"has 0 of the 4 steps"):
        fl.load(tmp_path / "run")
    journal.write_text("".join(lines))
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(StoreError, match=r"the weights of .* are missing: it has 4 records and no checkpoint"):
        fl.load(tmp_path / "run")
    run.at(T=2.5).attach(tmp_path / "warm")
    shutil.rmtree(tmp_path / "warm" / "checkpoints")
    with pytest.raises(StoreError, match="it has a parent and no checkpoint"):
        fl.load(tmp_path / "warm")
    described = tmp_path / "warm" / "experiment.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"parent": 5}))
    with pytest.raises(StoreError, match="must be null or describe a run, got 5"):
        fl.load(tmp_path / "warm")


@pytest.mark.parametrize(("seed", "message"), [(1.5, "a whole number, got 1.5"), (2**63, "must fit into 64 bits")])
def test_a_seed_that_is_no_seed_is_refused_before_there_is_a_run(seed, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        study(seed=seed, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert study(seed=np.int64(3)).seed == study(seed=3.0).seed == 3
    with pytest.raises(ValueError, match="must have a name"):
        study(out="")


def test_at_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="built by hand"):
        by_hand().at(T=2.5)
    with pytest.raises(ValueError, match="has no key kappa; it has L, T"):
        study().at(kappa=1.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_here_is_refused():
    with pytest.raises(ValueError, match=r"device must be auto or one of .*cpu, got 'cuda'"):
        study(device="cuda")
    with pytest.raises(ValueError, match="got 'cuda'"):
        study().at(device="cuda")
