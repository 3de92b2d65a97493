"""The older records of a long run go from the journal into files of their own, and nobody notices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from flowlab.storage import older, store
from flowlab.storage.records import Journal, last_record
from flowlab.storage.store import Store, StoreError
from tests.faults.children import hurried
from tests.faults.runs import goes_on, goes_on_in, taken_up
from tests.storage.store_writers import new_run, record, save


@pytest.fixture(autouse=True)
def _soon_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LONG", 500)
    monkeypatch.setattr(older, "STAY", 3)
    monkeypatch.setattr(store, "STAY", 3)


def long_run(path: Path, steps: int = 40, every: int = 10) -> Store:
    kept = new_run(path)
    for step in range(1, steps + 1):
        kept.append(record(step))
        if step % every == 0:
            save(kept, step)
            kept.compact()
    return kept


def steps_of(kept: Store) -> list[int]:
    assert kept.read_journal() == [record(step) for step in range(1, len(kept.read_journal()) + 1)]
    return kept.read_records().column("step").tolist()


def test_records_are_moved_and_read_as_before(tmp_path: Path) -> None:
    with long_run(tmp_path / "run") as kept:
        assert steps_of(kept) == [*range(1, 41)]
        assert [row["step"] for row in kept.recent()] == [38, 39, 40]
        names = [path.name for path in sorted((tmp_path / "run" / "records").iterdir())]
        assert names == ["to-000000007.nc", "to-000000017.nc", "to-000000027.nc", "to-000000037.nc"]
        assert last_record(tmp_path / "run" / "journal.jsonl") == record(40)
    part = xr.load_dataset(tmp_path / "run" / "records" / "to-000000017.nc")
    assert part.step.values.tolist() == [*range(8, 18)] and part.loss.values.tolist() == [-n / 3 for n in range(8, 18)]


@pytest.mark.parametrize("last", [39, 37, 30, 27, 5, 0])
def test_they_are_cut_wherever_they_are(tmp_path: Path, last: int) -> None:
    with long_run(tmp_path / "run") as kept:
        kept.cut(last)
        assert steps_of(kept) == [*range(1, last + 1)]
        for step in range(last + 1, 60):
            kept.append(record(step))
        kept.compact()
        assert steps_of(kept) == [*range(1, 60)]


def test_killed_between_the_writing_and_the_cut_of_the_journal_none_is_there_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(journal: Journal, count: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "keep_last", killed)
        with pytest.raises(KeyboardInterrupt):
            long_run(tmp_path / "run")
    with Store.open(tmp_path / "run") as kept:
        assert steps_of(kept) == [*range(1, 11)]
        for step in range(11, 21):
            kept.append(record(step))
        kept.compact()
        assert steps_of(kept) == [*range(1, 21)]


def test_a_run_and_its_resumption_do_not_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = taken_up("training", tmp_path / "run")
    with hurried("checkpoints", every=2):
        run.run(13, progress=False)
        assert (tmp_path / "run" / "records").exists()
        assert not goes_on_in(tmp_path / "run", "training")
        assert not goes_on(run, "training")
    newest = Store.open(tmp_path / "run", write=False).newest_checkpoint()
    assert newest is not None
    (newest / "state.pt").write_bytes(b"damaged")
    assert not goes_on_in(tmp_path / "run", "training")  # from the checkpoint before, which is older than some parts
    (next((tmp_path / "run" / "records").iterdir())).unlink()
    with pytest.raises(StoreError, match=r"records of the run in .* are missing"):
        taken_up("training", tmp_path / "run")


def test_a_long_run_writes_no_snapshots_but_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowlab.storage import directory

    written = []
    monkeypatch.setattr(directory, "SNAPSHOTS", 5)
    monkeypatch.setattr(directory.Cadence, "__call__", lambda self, action: action())
    monkeypatch.setattr(Store, "snapshot", lambda self, dataset: written.append(dataset.sizes["step"]))
    taken_up("training", tmp_path / "run").run(9, progress=False)
    assert written == [0, 1, 2, 3, 4, 5, 9]


def test_columns_that_come_late_are_nan_before(tmp_path: Path) -> None:
    kept = new_run(tmp_path / "run", 9)
    kept.append({"step": 10, "ess": 0.5, "late": 2.0, "word": "no number"})
    kept.compact()
    for step in range(11, 20):
        kept.append(record(step))
    kept.compact()
    kept.close()
    late = kept.read_records().column("late")
    assert late[9] == 2.0 and np.isnan(late).sum() == 18
