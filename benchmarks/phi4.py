"""Flows on lattice phi^4 at a correlation length of L / 4: what they reach in a given time, and how fast they sample.

    python benchmarks/phi4.py [--only phi4-flow L=8] [--seconds 600] [--quick] [--threads 2]

Each row is one run in a process of its own, with its horizon chosen for ``--seconds`` where its steps are not given.
Times are of the processor beside the clock, which other programs on the machine change more. "70 %" is when the mean
acceptance of ten batches first reached that; samples/s are draws with their exact ln q.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import warnings
from collections.abc import Mapping
from typing import Any

import _machine as machine
import numpy as np
import torch

import flowlab as fl

ROWS: list[tuple[str, dict[str, Any]]] = [
    *(("phi4-flow", {"L": L}) for L in (6, 8, 12, 16, 20)),
    *(("phi4-hybrid", {"preset": f"tuned-{L}"}) for L in (6, 8, 10)),
    *((study, {"L": L}) for L in (6, 8) for study in ("phi4-affine", "phi4-spline")),
    ("phi4-free", {"L": 14}),
]
GOALS = {6: (0.95, 0.99), 8: (0.92, 0.97), 12: (0.85, 0.92), 16: (0.75, 0.80), 20: (0.60, 0.55)}
"""Acceptance and ESS of phi4-flow after ten minutes."""
TO_70_PERCENT = {("phi4-flow", 12): 120, ("phi4-flow", 16): 360}
TO_70_PERCENT |= {("phi4-hybrid", 6): 20, ("phi4-hybrid", 8): 90, ("phi4-hybrid", 10): 600}
"""Seconds."""
HEADS = {
    "study": 12, "L": 3, "steps": 6, "wall": 6, "cpu": 6, "acceptance": 13, "ESS": 13, "70 % wall": 9, "70 % cpu": 9,
    "samples/s": 10, "per cpu s": 10, "MB": 5, "ln Z - exact": 17,
}  # fmt: skip


def measure(study: str, keys: Mapping[str, Any], seconds: float, threads: int, seed: int) -> dict[str, Any]:
    """Train, evaluate and time one run, in the process that calls."""
    how = {"device": "cpu", "threads": threads, "seed": seed}
    run = fl.experiment(study, **keys, **how)
    if "preset" not in keys and "steps" not in keys:
        steps = max(20, int(seconds / run.seconds_per_step()))
        run = fl.experiment(study, **keys, **how, steps=steps)
    wall, cpu = time.perf_counter(), time.process_time()
    recent: list[float] = []
    reached = (float("nan"), float("nan"))
    for record in run.stream():
        recent = [*recent[-9:], record["acceptance"]]
        if np.isnan(reached[0]) and len(recent) == 10 and np.mean(recent) >= 0.7:
            reached = time.perf_counter() - wall, time.process_time() - cpu
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fl.estimators.UntrustedWarning)
        found = run.evaluate(20_000)
    row: dict[str, Any] = {
        "study": study,
        "L": run.system.shape[0],
        "seed": seed,
        "steps": run.steps,
        "threads": threads,
    }
    row |= {"keys": dict(run.keys), "wall": wall, "cpu": cpu, "peak_megabytes": peak}
    row |= {"seconds_to_70_percent": reached[0], "cpu_seconds_to_70_percent": reached[1]}
    for name in ("acceptance", "ess", "log_z"):
        row |= {name: float(found[name]), f"{name}_error": float(found[f"{name}_error"])}
    return row | {"log_z_exact": run.log_z_exact} | samples_per_second(run, threads)


def samples_per_second(run: fl.Training, threads: int, batch: int = 1000) -> dict[str, float]:
    """Draws with exact ln q a second, of the clock and of the processor, the fastest of twenty batches."""
    torch.set_num_threads(threads or torch.get_num_threads())
    generator, walls, cpus = torch.Generator().manual_seed(0), [], []
    for _ in range(20):
        wall, cpu = time.perf_counter(), time.process_time()
        run.density.sample(batch, generator=generator)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"samples_per_second": batch / min(walls), "samples_per_cpu_second": batch / min(cpus)}


def text(row: dict[str, Any]) -> str:
    """One line of the table."""
    exact, L = row["log_z_exact"], row["L"]
    words = [
        row["study"], L, row["steps"], f"{row['wall']:.0f}", f"{row['cpu']:.0f}",
        f"{row['acceptance']:.3f}" + (f" ({GOALS[L][0]:.2f})" if row["study"] == "phi4-flow" and L in GOALS else ""),
        f"{row['ess']:.3f}" + (f" ({GOALS[L][1]:.2f})" if row["study"] == "phi4-flow" and L in GOALS else ""),
        f"{row['seconds_to_70_percent']:.0f}"
        + (f" ({TO_70_PERCENT[row['study'], L]})" if (row["study"], L) in TO_70_PERCENT else ""),
        f"{row['cpu_seconds_to_70_percent']:.0f}",
        f"{row['samples_per_second']:.0f}", f"{row['samples_per_cpu_second']:.0f}", f"{row['peak_megabytes']:.0f}",
        "" if exact is None else f"{row['log_z'] - exact:+.4f} ± {row['log_z_error']:.4f}",
    ]  # fmt: skip
    return " ".join(str(word).rjust(width) for word, width in zip(words, HEADS.values(), strict=True))


def main() -> None:
    parser = machine.parser(__doc__, "phi4")
    parser.add_argument("--only", nargs="+", default=[], help="study and keys that rows must have, e.g. L=8")
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="of training by the clock, where steps are not fixed"
    )
    parser.add_argument("--steps", type=int, help="of every run, in place of a time")
    parser.add_argument("--quick", action="store_true", help="20 steps of everything")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options: argparse.Namespace = parser.parse_args()
    given = {"steps": 20} if options.quick else {"steps": options.steps} if options.steps else {}
    rows = []
    print("goals in brackets")
    print(" ".join(head.rjust(width) for head, width in HEADS.items()))
    for study, keys in ROWS:
        words = {study, *(f"{key}={value}" for key, value in keys.items())}
        if set(options.only) <= words:
            rows.append(machine.apart(measure, study, keys | given, options.seconds, options.threads, options.seed))
            print(text(rows[-1]), flush=True)
    machine.write(options.out, rows)


if __name__ == "__main__":
    main()
