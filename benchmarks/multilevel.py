"""Samplers for criticality: ESS, ln Z against Kaufman, training time, samples per second and memory, by lattice size.

    python benchmarks/multilevel.py [--only NAME[:L] ...] [--seconds-scale 1] [--samples 100000] [--threads 1]
                                    [--seed 0] [--out FILE]

The Ising model at beta = 0.44, and phi^4 at lam = 0.5 with a correlation length of L/4. Every row runs in a process of
its own and gets the steps that fit its seconds, measured before; ``--seconds-scale 0.02`` is a short run of everything.
On one thread seconds are of processor time, which a busy machine does not stretch. Samples per second come with their
exact ln q, on the even sites where the density has only those (the others follow exactly). "peak MB" is the whole
process at the end of training, "ln Z off" the distance from Kaufman's value in standard errors.
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import _machine as machine
import numpy as np
import torch

from flowlab.core import named_generator
from flowlab.estimators import UntrustedWarning
from flowlab.estimators.weights import weights
from flowlab.exact import kaufman
from flowlab.runs import experiment
from flowlab.studies.phi4.flows import BETA
from flowlab.training import Training

CRITICAL_BETA = 0.44

Clock = Callable[[], float]

SECONDS: dict[str, dict[int, float]] = {
    "ising-coloured": {8: 180, 16: 480, 32: 1800, 64: 5400},
    "ising-rigcs": {8: 180, 16: 480, 32: 1800, 64: 5400},
    "ising-han": {8: 180, 16: 480, 32: 1800, 64: 5400},
    "ising-van": {8: 180, 16: 480, 32: 1800},
    "ising-mlmc-hb": {8: 0, 16: 0, 32: 0, 64: 0},
    "phi4-multilevel": {6: 600, 8: 600, 12: 600, 16: 600, 20: 600, 32: 1800},
}
"""Of training, by study and size; 0 is a run that is not trained."""

KEYS: dict[str, dict[str, Any]] = {"ising-coloured:64": {"batch": 200}, "ising-rigcs:64": {"batch": 50}}
"""Other than the study's own."""

GOALS = {
    "ising-coloured": {8: (0.997, 30_000), 16: (0.97, 15_000), 32: (0.93, 4000), 64: (0.6, 1000)},
    "ising-rigcs": {8: (0.98, None), 16: (0.9, None)},
    "ising-han": {8: (0.9, None), 16: (0.5, None)},
    "ising-van": {8: (0.9, None)},
    "ising-mlmc-hb": {8: (0.51, None), 16: (0.045, None)},
    "phi4-multilevel": {
        6: (0.995, 50_000),
        8: (0.99, 30_000),
        12: (0.97, 15_000),
        16: (0.965, 8000),
        20: (0.92, 5000),
        32: (0.80, None),
    },
}
"""ESS and samples per second to reach on two cores."""

COLUMNS = [
    ("study", 16, "s"),
    ("L", 3, "d"),
    ("ESS", 7, ".4f"),
    ("goal", 6, ".3f"),
    ("acceptance", 10, ".3f"),
    ("seconds", 8, ".1f"),
    ("steps", 6, "d"),
    ("samples/s", 9, ".0f"),
    ("goal/s", 7, "d"),
    ("peak MB", 7, ".0f"),
    ("ln Z error", 10, ".4f"),
    ("ln Z off", 8, ".1f"),
]


def memory() -> float:
    """The most memory that this process ever held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def build(study: str, L: int, seed: int, threads: int, **keys: Any) -> Training:
    beta = CRITICAL_BETA if study.startswith("ising") else BETA[L]
    keys = KEYS.get(f"{study}:{L}", {}) | keys
    run = experiment(study, seed=seed, L=L, beta=beta, threads=threads, device="cpu", **keys)
    assert isinstance(run, Training)
    vars(run)["log_z_exact"] = None  # for phi^4 that may take longer than the run
    return run


def log_weights(run: Training, n: int, clock: Clock) -> tuple[np.ndarray, float]:
    """(n,) ln w of fresh draws, and draws with their ln q per second; lattices are not kept."""
    generator, found, spent = named_generator(run.seed, "benchmark"), [], 0.0
    part = min(n, max(1024, 2**22 // run.target.n_sites))
    run.density.sample(min(part, 1024), generator=generator)
    for first in range(0, n, part):
        start = clock()
        x, log_q = run.density.sample(min(part, n - first), generator=generator)
        spent += clock() - start
        with torch.no_grad():
            found.append((run.target.log_weight(x.double()) - log_q.double()).numpy())
    return np.concatenate(found), n / spent


def acceptance(log_w: np.ndarray) -> float:
    """Of the independence chain: the mean of min(1, w'/w), with w drawn by the target."""
    ordered = np.sort(np.exp(log_w - log_w.max()))
    n = len(ordered)
    return float(2 * (ordered @ np.arange(n - 1.0, -1.0, -1.0)) / (n * (n - 1)) / ordered.mean())


def measure(study: str, L: int, seconds: float, samples: int, seed: int, threads: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore", UntrustedWarning)
    clock = time.process_time if threads == 1 else time.perf_counter
    run, spent = build(study, L, seed, threads), 0.0
    if seconds:
        least = 2 * len(getattr(run, "before", ())) + 2  # two a stage
        run = build(study, L, seed, threads, steps=machine.steps_that_fit(run, seconds, least, clock))
        start = clock()
        run.run(progress=False)
        spent = clock() - start
    peak = memory()
    log_w, speed = log_weights(run, samples, clock)
    log_z = weights.log_z(log_w)
    goal, goal_speed = GOALS[study].get(L, (None, None))
    row = {
        "study": study,
        "L": L,
        "ESS": weights.ess(log_w).value,
        "goal": goal,
        "acceptance": acceptance(log_w),
        "seconds": spent,
        "steps": run.step,
        "samples/s": speed,
        "goal/s": goal_speed,
        "peak MB": peak,
        "ln Z": log_z.value,
        "ln Z error": log_z.error,
        "ln Z off": None,
        "samples": samples,
        "keys": run.keys,
    }
    if study.startswith("ising"):
        row["ln Z exact"] = kaufman((L, L), CRITICAL_BETA).log_z
        row["ln Z off"] = (log_z.value - row["ln Z exact"]) / log_z.error
    return row


def wanted(only: list[str]) -> list[tuple[str, int]]:
    """The rows that ``--only`` names, all without it."""
    every = [(study, L) for study, sizes in SECONDS.items() for L in sizes]
    known = {study for study, _ in every} | {f"{study}:{L}" for study, L in every}
    if unknown := sorted(set(only) - known):
        raise SystemExit(f"no row {', '.join(unknown)}: there are {', '.join(sorted(known))}")
    return [(study, L) for study, L in every if not only or study in only or f"{study}:{L}" in only]


def main() -> None:
    parser = machine.parser(__doc__, "multilevel")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME[:L]", help="studies, or single rows")
    parser.add_argument("--seconds-scale", type=float, default=1.0, help="times every row's seconds of training")
    parser.add_argument("--samples", type=int, default=100_000, help="configurations of each evaluation")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    print(f"{args.threads} threads, {machine.describe()['cpu']}, torch {machine.describe()['torch']}")
    print(machine.head(COLUMNS))
    rows = []
    for study, L in wanted(args.only):
        seconds = args.seconds_scale * SECONDS[study][L]
        rows.append(machine.apart(measure, study, L, seconds, args.samples, args.seed, args.threads))
        print(machine.line(rows[-1], COLUMNS), flush=True)
    machine.write(args.out, {"seconds scale": args.seconds_scale, "threads": args.threads, "rows": rows})


if __name__ == "__main__":
    main()
