"""Records in memory and the journal of a run."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from flowlab.storage.files import StoreError
from flowlab.storage.records import Journal, Records, from_line, last_record, to_line


def filled(n: int) -> Records:
    records = Records()
    for step in range(1, n + 1):
        records.append({"step": step, "loss": -float(step), "ess": step / 1e5})
    return records


def test_columns_hold_what_was_appended_beyond_the_first_capacity() -> None:
    records = filled(5000)
    assert len(records) == 5000
    assert records.names == ["step", "loss", "ess"]
    np.testing.assert_array_equal(records.column("step"), np.arange(1, 5001))
    np.testing.assert_array_equal(records.column("loss"), -np.arange(1.0, 5001.0))


def test_a_late_column_and_a_missing_value_are_nan() -> None:
    records = Records()
    records.append({"step": 1, "loss": 1.0})
    records.append({"step": 2, "loss": None, "ess": 0.5})
    records.append({"step": 3, "ess": 0.25})
    np.testing.assert_array_equal(records.column("loss"), [1.0, np.nan, np.nan])
    np.testing.assert_array_equal(records.column("ess"), [np.nan, 0.5, 0.25])


def test_cut_leaves_the_same_as_never_having_appended() -> None:
    records = filled(2000)
    records.append({"step": 2001, "late": 1.0})
    records.cut(1500)
    np.testing.assert_array_equal(records.column("loss"), filled(1500).column("loss"))
    assert records.names == ["step", "loss", "ess"]
    records.append({"step": 1501})
    assert math.isnan(records.column("loss")[-1])  # not what was there before the cut


def test_what_was_read_does_not_change_later() -> None:
    records = filled(10)
    loss, data = records.column("loss"), records.dataset({}, {})
    records.cut(5)
    records.append({"step": 6, "loss": 99.0})
    assert loss[5] == -6.0
    assert data.loss.values[5] == -6.0


@pytest.mark.parametrize(
    ("record", "error", "message"),
    [
        ({"loss": 1.0}, ValueError, "must have a 'step'"),
        ({"step": 3, "loss": 1.0}, ValueError, "step must grow from row to row, got 3 after 3"),
        ({"step": 4.0}, TypeError, "step must be an int, got 4.0"),
        ({"step": 4, "loss": 1.0, "ess": "high"}, TypeError, "ess must be a number, got 'high'"),
        ({"step": 4, "loss": [1.0]}, TypeError, "loss must be a number, got list"),
    ],
)
def test_a_bad_record_is_refused_and_nothing_is_added(
    record: dict[str, float], error: type[Exception], message: str
) -> None:
    records = filled(3)
    with pytest.raises(error, match=message):
        records.append(record)
    assert len(records) == 3
    assert records.names == ["step", "loss", "ess"]


def test_dataset_is_described_and_complete_before_the_first_row() -> None:
    describe = ("loss", "wall_time")
    empty = Records().dataset({"seed": 3, "study": None}, describe)
    assert dict(empty.sizes) == {"step": 0}
    assert empty.attrs == {"seed": 3, "study": None}
    assert empty.wall_time.attrs == {"long_name": "time spent", "units": "s"}

    data = filled(4).dataset({}, describe)
    assert data.step.dtype == np.int64
    assert data.step.values.tolist() == [1, 2, 3, 4]
    assert data.step.attrs["long_name"] == "number of steps done"
    assert data.ess.attrs == {"long_name": "effective sample size as a fraction of the samples", "units": "1"}
    assert np.isnan(data.wall_time.values).all()
    assert data.loss.sel(step=3) == -3.0


def test_dataset_of_ten_thousand_rows_takes_less_than_two_milliseconds() -> None:
    records = Records()
    names = [f"quantity_{i}" for i in range(12)]
    for step in range(10_000):
        records.append({"step": step, **dict.fromkeys(names, 1.0)})
    best = math.inf
    for _ in range(20):
        started = time.perf_counter()
        records.dataset({}, {name: (name, "1") for name in names})
        best = min(best, time.perf_counter() - started)
    assert best < 2e-3


def test_readers_see_whole_rows_while_one_thread_appends() -> None:
    records, stop = Records(), threading.Event()

    def write() -> None:
        step = 0
        while not stop.is_set():
            step += 1
            records.append({"step": step, "a": step, "b": -step})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        looks = 0
        while looks < 20 or len(records) < 3000:  # past the first growth of the columns
            data = records.dataset({}, {"a": ("a", "1"), "b": ("b", "1")})
            np.testing.assert_array_equal(data.step, data.a)
            np.testing.assert_array_equal(data.a, -data.b)
            looks += 1
    finally:
        stop.set()
        writer.join()


def test_a_line_gives_the_record_back_exactly() -> None:
    record = {"step": 7, "loss": 0.1 + 0.2, "tiny": 5e-324, "name": "warm χ", "done": True}
    assert from_line(to_line(record)) == record
    assert from_line(to_line({"step": 1, "a": np.float32(0.1), "b": np.int64(3)})) == {
        "step": 1,
        "a": float(np.float32(0.1)),
        "b": 3,
    }


def test_numbers_that_json_cannot_hold_are_null_and_read_as_nan() -> None:
    line = to_line({"step": 1, "a": math.nan, "b": math.inf, "c": np.float64(-math.inf), "d": None})
    assert line == b'{"step":1,"a":null,"b":null,"c":null,"d":null}\n'
    assert all(math.isnan(from_line(line)[name]) for name in "abcd")


@pytest.mark.parametrize("record", [{"loss": 1.0}, {"step": 1.0}, {"step": 1, "loss": [1.0]}, {"step": 1, "a": {}}])
def test_a_record_that_is_not_flat_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="record"):
        to_line(record)


def journal_of(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


WHOLE = b'{"step":1,"a":1.5}\n{"step":2,"a":2.5}\n'


@pytest.mark.parametrize(
    "torn", [b"", b'{"step":3,"a"', b'{"step":3,"a":3.5}', b"\x00\x00\x00", b'{"step":3,\n', b"[]\n"]
)
def test_a_torn_last_line_is_left_out_and_cut_before_the_next(tmp_path: Path, torn: bytes) -> None:
    path = journal_of(tmp_path / "journal.jsonl", WHOLE + torn)
    two = [{"step": 1, "a": 1.5}, {"step": 2, "a": 2.5}]
    assert Journal(path, write=False).read() == two
    assert path.read_bytes() == WHOLE + torn  # a reader changes nothing
    journal = Journal(path, write=True)
    assert journal.dropped == len(torn)
    journal.append({"step": 3, "a": 9.0})
    journal.close()
    assert journal.read() == [*two, {"step": 3, "a": 9.0}]


@pytest.mark.parametrize("damage", [b'{"step":9,"a"', b"\x00\xff", b"", b"3", b'{"a":1.0}'])
def test_a_damaged_line_before_the_last_is_refused_with_its_number(tmp_path: Path, damage: bytes) -> None:
    path = journal_of(tmp_path / "journal.jsonl", WHOLE + damage + b'\n{"step":4,"a":1.0}\n')
    with pytest.raises(StoreError, match=r"line 3 of .*journal.jsonl is damaged: expected a JSON record"):
        Journal(path, write=False).read()


def test_a_missing_journal_reads_as_empty(tmp_path: Path) -> None:
    assert Journal(tmp_path / "journal.jsonl", write=False).read() == []


def test_cut_keeps_the_bytes_of_the_lines_that_stay(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, write=True)
    for step in range(1, 6):
        journal.append({"step": step, "a": step / 3})
    lines = path.read_bytes().splitlines(keepends=True)
    journal.cut(3)
    assert path.read_bytes() == b"".join(lines[:3])
    journal.append({"step": 4, "a": 4 / 3})
    assert path.read_bytes() == b"".join(lines[:4])
    before = path.stat().st_ino
    journal.cut(4)
    assert path.stat().st_ino == before  # nothing to drop, nothing rewritten
    journal.cut(0)
    assert journal.read() == []
    journal.close()


def test_the_last_record_is_read_from_the_end_of_a_journal(tmp_path):
    path = tmp_path / "journal.jsonl"
    assert last_record(path) == {}
    for text, step in (("", None), ('{"step":1,"a":2.0}\n', 1), ('{"step":1}\n{"step":2}\n{"st', 2), ("torn", None)):
        path.write_text(text)
        assert last_record(path).get("step") == step
    path.write_text("".join(f'{{"step":{k},"long":"{"x" * (9000 if k == 3 else 0)}"}}\n' for k in (1, 2, 3)))
    assert last_record(path)["step"] == 3
