"""A run of very many steps: what it costs to keep, and to take up: ``python -m tests.faults.long 1000000``."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import torch

import flowlab as fl
from flowlab.storage.directory import SNAPSHOTS, Directory


class Fast(fl.Training):
    """A training whose steps take no time."""

    def advance(self) -> dict[str, float]:
        x = self.step / self.steps
        names = ("log_z_bound", "log_z_bound_error", "ess", "acceptance", "log_q_mean", "energy_mean", "loss")
        return {name: x / 3 + i for i, name in enumerate((*names, "grad_norm", "learning_rate", "stage"))}

    def _mark(self) -> None:
        return None


def fast(steps: int) -> Fast:
    return Fast(fl.Ising((2, 2), 2.0), fl.MADE((2, 2)), fl.ReverseKL(), steps=steps, batch=2, learning_rate=0.1, seed=1)


def memory() -> float:
    """In GB: the most that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measured(steps: int, path: Path) -> None:
    """Take the steps, and print what each tenth of them cost."""
    run = fast(steps)
    run.attach(path)
    spent = {"checkpoint": 0.0, "snapshot": 0.0, "most": 0.0}

    def timed(name: str) -> None:
        original = getattr(Directory, f"_save_{name}")

        def call(self: Directory) -> None:
            began = time.process_time()
            original(self)
            took = time.process_time() - began
            spent[name] += took
            spent["most"] = max(spent["most"], took)

        setattr(Directory, f"_save_{name}", call)

    timed("checkpoint")
    timed("snapshot")
    titles = ("records", "seconds", "of them saving", "longest", "run.data", "journal MB", "GB")
    print("{:>9} {:>8} {:>15} {:>8} {:>9} {:>11} {:>5}".format(*titles))
    stream, began = run.stream(), time.process_time()
    for record in stream:
        if record["step"] % (steps // 10) == 0:
            took, began = time.process_time() - began, time.process_time()
            data = run.data
            reading = time.process_time() - began
            assert data.sizes["step"] == record["step"]
            del data
            size = (path / "journal.jsonl").stat().st_size / 1e6
            saving = spent["checkpoint"] + spent["snapshot"]
            line = f"{record['step']:9.0f} {took:8.1f} {saving:15.2f} {spent['most']:8.2f} {reading:9.2f}"
            print(f"{line} {size:11.1f} {memory():5.2f}", flush=True)
            spent, began = dict.fromkeys(spent, 0.0), time.process_time()
    print(f"stopped, data.nc written: {spent['snapshot']:.1f} s, {memory():.2f} GB (snapshots up to {SNAPSHOTS})")
    began = time.process_time()
    again = fast(steps)
    again.restore(path)
    assert again.step == steps and again.data.drop_vars("wall_time").identical(run.data.drop_vars("wall_time"))
    print(f"taken up in {time.process_time() - began:.1f} s, {memory():.2f} GB with both runs")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        measured(int(sys.argv[1]), Path(folder) / "run")
