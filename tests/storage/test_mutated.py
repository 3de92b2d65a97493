"""A changed file is read or refused in words; ``make fuzz`` tries 10,000 changes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import flowlab as fl
from flowlab.storage.netcdf import from_netcdf, to_netcdf
from flowlab.storage.store import StoreError
from tests.storage import mutated


class Spinning:
    """Its finaliser hangs, and Python ignores what ends it."""

    def __del__(self) -> None:
        while True:
            pass


@pytest.mark.filterwarnings("ignore")
def test_changed_files_are_read_or_refused(tmp_path: Path) -> None:
    _, faults = mutated.tried(20, 1, tmp_path)
    assert not faults


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_tried_finds_an_error_in_no_words_and_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""

    def failing(path: Path) -> None:
        raise KeyError("step")

    def hanging(path: Path) -> None:
        Spinning()
        while True:
            pass

    monkeypatch.setattr(mutated, "SECONDS", 1)
    monkeypatch.setattr(fl, "load", failing)
    assert mutated.read(Path("x")) == "KeyError: 'step'"
    monkeypatch.setattr(fl, "load", hanging)
    assert mutated.read(Path("x")) == "took longer than 1 s"


def test_a_damaged_dataset_is_refused_with_its_name() -> None:
    data = to_netcdf(xr.Dataset({"loss": ("step", np.zeros(5))}))
    for damaged in (b"", data[:-1], data[: len(data) // 2], random.Random(0).randbytes(500)):
        with pytest.raises(StoreError, match=r"^runs/a/data.nc cannot be read: it is no NetCDF file, or was changed"):
            from_netcdf(damaged, "runs/a/data.nc")


@pytest.mark.parametrize("said", [b'"wall_tim":', b'"wall_time":"", "_":'])
def test_a_record_without_its_time_is_refused(tmp_path: Path, said: bytes) -> None:
    run = fl.experiment("ising-xor", L=2, steps=3, batch=10, device="cpu", out=tmp_path / "a")
    run.run(progress=False)
    journal = tmp_path / "a" / "journal.jsonl"
    assert b'"wall_time":' in journal.read_bytes()
    journal.write_bytes(journal.read_bytes().replace(b'"wall_time":', said, 1))
    with pytest.raises(StoreError, match=r"journal\.jsonl .* is damaged: no wall_time at step 1"):
        fl.load(tmp_path / "a")
