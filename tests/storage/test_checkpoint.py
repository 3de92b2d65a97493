"""Checkpoints are whole or skipped, and never run code."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flowlab.storage import checkpoint
from flowlab.storage.checkpoint import (
    newest_checkpoint,
    plain_state,
    read_checkpoint,
    remove_leftovers,
    write_checkpoint,
)
from flowlab.storage.files import StoreError


def tensors(step: int) -> dict[str, torch.Tensor]:
    return {"base.weight": torch.full((20, 3), float(step)), "flow.bias": torch.arange(4.0) + step}


def save(folder: Path, *steps: int) -> list[Path]:
    return [write_checkpoint(folder, step, tensors(step), {"seen": step}) for step in steps]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def rehash(path: Path) -> None:
    """Make the manifest agree with the files, as someone who tampers on purpose would."""
    manifest = json.loads((path / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        data = (path / name).read_bytes()
        entry.update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_everything_a_run_needs_comes_back_exactly(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.8, 0.99))
    model(torch.randn(4, 3, generator=generator)).sum().backward()
    optimizer.step()
    state = {
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "best": -1.5,
        "counts": [1, 2, 2**100],
        "stage": None,
        "warm": True,
        "name": "χ",
    }
    write_checkpoint(tmp_path, 7, dict(model.state_dict()), state)
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.notes, found.path) == (7, (), tmp_path / "step-00000007")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found.tensors[name], value, rtol=0, atol=0)

    other = torch.optim.Adam(model.parameters(), lr=1.0)
    other.load_state_dict(found.state["optimizer"])
    assert other.param_groups[0]["betas"] == (0.8, 0.99)
    torch.testing.assert_close(other.state_dict()["state"], optimizer.state_dict()["state"], rtol=0, atol=0)
    again = torch.Generator()
    again.set_state(found.state["generator"])
    torch.testing.assert_close(torch.rand(3, generator=again), torch.rand(3, generator=generator), rtol=0, atol=0)
    rest = {name: found.state[name] for name in ("best", "counts", "stage", "warm", "name")}
    assert rest == {"best": -1.5, "counts": [1, 2, 2**100], "stage": None, "warm": True, "name": "χ"}


def test_weights_are_readable_without_flowlab(tmp_path: Path) -> None:
    (path,) = save(tmp_path, 3)
    assert set(load_file(path / "weights.safetensors")) == {"base.weight", "flow.bias"}
    assert json.loads((path / "manifest.json").read_text())["step"] == 3


def test_shared_transposed_and_empty_tensors_are_stored(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    given = {"a": weight, "b": weight, "t": weight.T, "none": torch.zeros(0), "scalar": torch.tensor(True)}
    write_checkpoint(tmp_path, 0, given, {})
    found = read_checkpoint(tmp_path)
    assert found is not None
    torch.testing.assert_close(found.tensors, given, rtol=0, atol=0)


def test_a_small_view_does_not_store_the_tensor_it_looks_at(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, 0, {}, {"view": torch.zeros(1_000_000)[:2]})
    assert (path / "state.pt").stat().st_size < 10_000


def test_plain_state_copies_and_detaches() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    plain = plain_state(OrderedDict(a=parameter, b={0: (1, [2.0])}))
    assert type(plain) is dict
    assert plain["b"] == {0: (1, [2.0])}
    assert type(plain["a"]) is torch.Tensor
    assert not plain["a"].requires_grad
    parameter.data.zero_()
    assert plain["a"].sum() == 2


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"lr": np.float64(0.1)}}, r"state\['a'\]\['lr'\] is a numpy.float64"),
        ({"a": [1, np.zeros(2)]}, r"state\['a'\]\[1\] is a numpy.ndarray"),
        ({"where": Path("x")}, r"state\['where'\] is a pathlib"),
        ({"set": {1}}, r"state\['set'\] is a builtins.set"),
        ({("x",): 1}, r"state has the key \('x',\): keys in a checkpoint must be str or int"),
        ({"f": len}, r"state\['f'\] is a builtins.builtin_function"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name_before_anything_is_written(
    tmp_path: Path, state: dict[Any, Any], message: str
) -> None:
    save(tmp_path, 1)
    with pytest.raises(TypeError, match=message):
        write_checkpoint(tmp_path, 2, tensors(2), state)
    with pytest.raises(TypeError, match="tensors must map str to Tensor, got 'w': ndarray"):
        write_checkpoint(tmp_path, 2, {"w": np.zeros(2)}, {})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="step must be an int >= 0, got -1"):
        write_checkpoint(tmp_path, -1, tensors(2), {})
    assert names(tmp_path) == ["step-00000001"]


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    save(tmp_path, 10, 20, 30, 40)
    assert names(tmp_path) == ["step-00000030", "step-00000040"]
    assert newest_checkpoint(tmp_path) == tmp_path / "step-00000040"


def test_none_where_there_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None
    assert read_checkpoint(tmp_path / "missing") is None
    assert newest_checkpoint(tmp_path) is None


def test_saving_twice_at_one_step_keeps_the_later_state(tmp_path: Path) -> None:
    save(tmp_path, 1, 2)
    write_checkpoint(tmp_path, 2, tensors(2), {"seen": "again"})
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found.state == {"seen": "again"}
    assert names(tmp_path) == ["step-00000001", "step-00000002"]


def test_going_on_from_an_older_step_removes_the_later_ones(tmp_path: Path) -> None:
    save(tmp_path, 10, 20, 15)
    assert names(tmp_path) == ["step-00000010", "step-00000015"]


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(100)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("weights.safetensors", truncate, "weights.safetensors has 100 bytes where"),
        ("weights.safetensors", flip_a_bit, r"weights.safetensors was changed after it was written \(its sha256"),
        ("state.pt", flip_a_bit, "state.pt was changed"),
        ("state.pt", Path.unlink, "state.pt cannot be read: No such file"),
        ("manifest.json", Path.unlink, "manifest.json cannot be read: No such file"),
        ("manifest.json", lambda path: path.write_text('{"step": 2'), "manifest.json cannot be read"),
        ("manifest.json", lambda path: path.write_text("[]"), "manifest.json cannot be read"),
        (
            "manifest.json",
            lambda path: path.write_text(path.read_text().replace('"step": 2', '"step": 9')),
            "manifest.json says step 9",
        ),
    ],
)
def test_a_damaged_one_is_skipped_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: Any, reason: str
) -> None:
    first, second = save(tmp_path, 1, 2)
    damage(second / name)
    with caplog.at_level(logging.WARNING):
        found = read_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.path, found.state) == (1, first, {"seen": 1})
    torch.testing.assert_close(found.tensors, tensors(1), rtol=0, atol=0)
    (note,) = found.notes
    assert note.startswith("skipped checkpoint step-00000002: ")
    assert note.endswith("; used step-00000001 instead")
    assert re.search(reason, note)
    assert note in caplog.text
    assert newest_checkpoint(tmp_path) == first
    assert names(tmp_path) == [first.name, second.name]  # reading changes nothing

    save(tmp_path, 3)  # the damaged one does not count as one of the two
    assert names(tmp_path) == ["step-00000001", "step-00000003"]


def test_none_whole_is_an_error_with_every_reason(tmp_path: Path) -> None:
    first, second = save(tmp_path, 1, 2)
    truncate(first / "weights.safetensors")
    (second / "manifest.json").unlink()
    with pytest.raises(
        StoreError, match=r"none of the checkpoints in .*step-00000002: manifest.json.*step-00000001: w"
    ):
        read_checkpoint(tmp_path)


def test_a_reader_looks_again_when_the_writer_removes_what_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1, 2)
    read, busy = checkpoint._bytes_of, [3, 4]

    def read_slowly(path: Path, name: str) -> bytes:
        while busy:
            save(tmp_path, busy.pop(0))
        return read(path, name)

    monkeypatch.setattr(checkpoint, "_bytes_of", read_slowly)
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.notes) == (4, ())


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("craft", ["torch", "legacy", "pickle", "not a dict"])
def test_a_pickle_is_refused_and_not_run(tmp_path: Path, craft: str, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "it ran"
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    _, path = save(folder, 1, 2)
    payload = {"seen": Evil(marker)}
    if craft == "torch":
        torch.save(payload, path / "state.pt")
    elif craft == "legacy":
        torch.save(payload, path / "state.pt", _use_new_zipfile_serialization=False)
    elif craft == "pickle":
        (path / "state.pt").write_bytes(pickle.dumps(payload))
    else:
        torch.save([1], path / "state.pt")
    rehash(path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # must not open the door
    with pytest.raises(StoreError, match=r"step-00000002 is refused: .*pickled objects are never loaded") as caught:
        read_checkpoint(folder)
    assert not marker.exists()
    assert "weights_only=False" not in str(caught.value)
    if craft != "not a dict":  # the payload is live: a plain load would have run it
        monkeypatch.delenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
        if craft == "pickle":
            pickle.loads((path / "state.pt").read_bytes())
        else:
            torch.load(path / "state.pt", weights_only=False)
        assert marker.exists()


def test_a_pickle_in_the_place_of_the_weights_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (path,) = save(folder, 1)
    (path / "weights.safetensors").write_bytes(pickle.dumps(Evil(marker)))
    rehash(path)
    with pytest.raises(StoreError, match="is refused"):
        read_checkpoint(folder)
    assert not marker.exists()


def test_half_written_ones_are_ignored_and_removed(tmp_path: Path) -> None:
    save(tmp_path, 1)
    half = tmp_path / "step-00000002.tmp"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["step-00000001"]


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir", "write"])
def test_an_error_while_writing_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    save(tmp_path, 1, 2)

    def full(*args: Any, **kwargs: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left"):
            save(tmp_path, 3)
    assert names(tmp_path) == ["step-00000001", "step-00000002"]
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 2
