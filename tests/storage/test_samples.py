"""Tempering is done once: its configurations stay with a run and are found by what they are of."""

import shutil

import numpy as np
import pytest
import xarray as xr

import flowlab as fl
from flowlab.analysis.reference import Reference
from flowlab.storage.store import StoreError
from flowlab.studies.glass import samplers

KEYS = dict(N=8, T=0.8, temperatures="0.8", ladder="0.8,1.6", replicas=3, samples=120, steps=2, batch=20)


@pytest.fixture(autouse=True)
def another_process():
    """Runs of a process share what tempering gave; here each is as if in a process of its own."""
    samplers._tempering.cache_clear()
    yield
    samplers._tempering.cache_clear()


def flow(out, **keys):
    samplers._tempering.cache_clear()
    return fl.experiment("sk-forward", out=out, **KEYS | keys)


def test_what_one_run_drew_is_read_by_itself_and_by_those_beside_it(tmp_path, monkeypatch):
    first = flow(tmp_path / "first")
    whole = first.run(progress=False)
    (kept,) = (tmp_path / "first" / "samples").iterdir()
    found = xr.load_dataset(kept)
    assert found.bits.dtype == np.uint8 and found.bits.sizes["byte"] == 1
    known = first.evaluate(100)

    monkeypatch.setattr(Reference, "_run", lambda self, report: pytest.fail("tempering again"))
    samplers._tempering.cache_clear()
    again = fl.load(tmp_path / "first")
    xr.testing.assert_identical(again.evaluate(100), known)
    xr.testing.assert_identical(again.reference(), first.reference())
    beside = flow(tmp_path / "second").run(progress=False)
    np.testing.assert_array_equal(beside.loss, whole.loss)
    assert not (tmp_path / "second" / "samples").exists()
    with pytest.raises(pytest.fail.Exception, match="tempering again"):
        flow(tmp_path / "third", seed_J=1).run(progress=False)
    with pytest.raises(pytest.fail.Exception, match="tempering again"):
        flow(tmp_path / "fourth", tempering_seed=1).run(progress=False)


def test_a_run_of_tempering_on_disk_is_what_a_flow_learns_from(tmp_path, monkeypatch):
    keys = dict(N=8, T=0.8, temperatures="0.8,1.5", replicas=3, steps=80, samples=60)
    chains = fl.experiment("sk-pt", out=tmp_path / "chains", **keys)
    chains.run(progress=False)
    monkeypatch.setattr(Reference, "_run", lambda self, report: pytest.fail("tempering again"))
    own = {key: KEYS[key] for key in ("N", "T", "steps", "batch")}
    run = fl.experiment("sk-forward", reference=str(tmp_path / "chains"), out=tmp_path / "flow", **own)
    whole = run.run(progress=False)
    np.testing.assert_array_equal(run.reference().configuration, chains.reference(0.8).configuration)
    assert run.evaluate(100).attrs["verdict"]

    shutil.rmtree(tmp_path / "chains")  # the flow has them now
    half = fl.load(tmp_path / "flow")
    np.testing.assert_array_equal(half.reference().configuration, run.reference().configuration)
    np.testing.assert_array_equal(half.data.loss, whole.loss)
    with pytest.raises(ValueError, match="samples has no effect where configurations are read from reference"):
        fl.experiment("sk-forward", reference="chains", samples=10)


def test_another_glass_or_none_is_refused_before_the_first_step(tmp_path):
    keys = dict(N=8, temperatures="0.8,1.5", replicas=3, steps=80, samples=60)
    fl.experiment("sk-pt", out=tmp_path / "chains", **keys).run(progress=False)
    run = fl.experiment("sk-forward", N=8, seed_J=1, reference=str(tmp_path / "chains"), steps=2)
    with pytest.raises(StoreError, match=r"reference=.*chains is a run of another system"):
        run.run(progress=False)
    run = fl.experiment("sk-forward", N=8, T=0.9, reference=str(tmp_path / "chains"), steps=2)
    with pytest.raises(ValueError, match=r"configurations were kept at the temperatures 0\.5, 0\.8, 1\.5, got 0\.9"):
        run.run(progress=False)
