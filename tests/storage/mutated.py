"""Runs whose files were changed: each is read, or refused in words. ``python -m tests.storage.mutated 10000``.

A change cuts a file, fills a part of it, turns bits, or puts a word of JSON in place of another. Whoever changes the
files of a checkpoint may have made its manifest anew, so that no hash helps.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import xarray as xr

import flowlab as fl
from flowlab.storage.store import Store, StoreError

SECONDS = 10
SAID = (StoreError, ValueError, TypeError, FloatingPointError)
WORDS = [b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b'""', b"[]", b"{}", b'"../../x"', b"99999999999999999999"]


class TooLong(BaseException):
    """It took longer than ``SECONDS``."""


def kept(path: Path) -> Path:
    """A small run on disk, with an evaluation beside it."""
    run = fl.experiment("ising-xor", L=2, steps=4, batch=8, device="cpu", out=path)
    run.run(3, progress=False)
    run.keep(run.evaluate(50), "evaluation.nc")
    return path


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The same bytes with one change."""
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.choice([1, 2, 8, 64, 1024]))
    match chance.choice(["cut", "turn", "fill", "drop", "double", "word"]):
        case "cut":
            return data[:at]
        case "turn" if data:
            at = min(at, len(data) - 1)
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        case "fill":
            return data[:at] + chance.randbytes(end - at) + data[end:]
        case "drop":
            return data[:at] + data[end:]
        case "double":
            return data[:end] + data[at:]
    values = [*re.finditer(rb'(?<=[:\[,])\s*("[^"]*"|-?[\d.e+]+|null|true|false)', data)]
    if not values:
        return data[::-1]
    found = chance.choice(values)
    return data[: found.start()] + chance.choice(WORDS) + data[found.end() :]


def changed(path: Path, chance: random.Random) -> str:
    """Change one file of the run in ``path``; returns which."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != "lock")
    file = chance.choice(files)
    file.write_bytes(mutated(file.read_bytes(), chance))
    manifest = file.parent / "manifest.json"
    if manifest.exists() and file != manifest and chance.random() < 0.7:
        said = json.loads(manifest.read_bytes())
        data = file.read_bytes()
        said["files"][file.name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        manifest.write_text(json.dumps(said))
    return file.name


def read(path: Path) -> str:
    """What became of reading it: "read", "refused", or what went wrong."""

    def interrupted(number: int, frame: FrameType | None) -> Any:
        raise TooLong

    before = signal.signal(signal.SIGALRM, interrupted)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)  # again each second: Python ignores what a finaliser raises
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = fl.load(path)
            store = Store.open(path, write=False)
            for name in ("data.nc", "evaluation.nc"):
                found = store.read_dataset(name)
                assert found is None or isinstance(found, xr.Dataset)
            run.evaluate(20)
    except SAID:
        return "refused"
    except TooLong:
        return f"took longer than {SECONDS} s"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return "read"


def tried(count: int, seed: int, folder: Path) -> tuple[Counter[str], dict[str, str]]:
    """How many of ``count`` changes ended in which way, and how the first of each kind of fault is made again."""
    whole = kept(folder / "whole")
    before = {file for file in folder.rglob("*") if whole not in file.parents}
    counts, faults = Counter[str](), dict[str, str]()
    for number in range(count):
        path = folder / "changed"
        shutil.copytree(whole, path)
        name = changed(path, random.Random(f"{seed} {number}"))
        result = read(path)
        shutil.rmtree(path)
        counts[f"{name}: {result if result in ('read', 'refused') else 'fault'}"] += 1
        if result not in ("read", "refused"):
            faults.setdefault(f"{name}: {result}", f"seed {seed}, number {number}")
    left = {file for file in folder.rglob("*") if whole not in file.parents} - before
    if left:
        faults[f"files outside the store: {sorted(map(str, left))}"] = f"seed {seed}"
    return counts, faults


if __name__ == "__main__":
    logging.disable()  # of skipped checkpoints, once a change
    began, wanted = time.monotonic(), int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        counts, faults = tried(wanted, int(sys.argv[2]) if len(sys.argv) > 2 else 0, Path(folder))
    for what, times in sorted(counts.items()):
        print(f"{times:6} {what}")
    for what, where in faults.items():
        print(f"FAULT {what} ({where})")
    print(f"{wanted} changes, {len(faults)} kinds of fault, {time.monotonic() - began:.0f} s")
    sys.exit(bool(faults))
