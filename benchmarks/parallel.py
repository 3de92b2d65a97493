"""What two processes that share each batch gain over one.

    python benchmarks/parallel.py [--quick] [--out FILE]

Seconds of a training step of one process and of two, one thread each, of which either draws half of the batch: of the
clock, and of the processor in the first process, which does not count what it waits for. The medians over eight steps
of either, the one after the other. ``gain`` is by the clock, ``cpu gain`` by the
processor: what the clock would gain where each process has a core to itself and neither waits for the other.
``evaluation gain`` and ``evaluation cpu gain`` are the same for an evaluation of 512 draws, and ``start s`` is what
starting the second process takes, once a run. ``load`` is that of the machine before the row: above 1, other jobs had
part of its two cores.

What is missing to a gain of 2 does not shrink with the batch (a step of ``phi4-ir-matching`` with half of this batch
takes 0.6 of the time) or is done by both: random numbers of the whole batch, Monte Carlo of the coarse lattice, the
optimiser, collecting the draws for the records; of an evaluation, all but the draws.
"""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import _machine as machine
import numpy as np

import flowlab as fl
from flowlab.training.processes import together

CASES: dict[str, dict[str, Any]] = {
    "ising-coloured": {"L": 64, "beta": 0.44, "batch": 400, "grow": False},
    "phi4-ir-matching": {"coarse": 16, "L": 32, "kappa": 0.26, "batch": 128},
}
STEPS, DRAWS = 8, 512
COLUMNS = [
    ("study", 18, ""),
    ("L", 4, "d"),
    ("batch", 6, "d"),
    ("1 process s", 12, ".3f"),
    ("2 processes s", 14, ".3f"),
    ("gain", 6, ".2f"),
    ("1 process cpu s", 16, ".3f"),
    ("2 processes cpu s", 18, ".3f"),
    ("cpu gain", 9, ".2f"),
    ("evaluation gain", 16, ".2f"),
    ("evaluation cpu gain", 20, ".2f"),
    ("start s", 8, ".1f"),
    ("load", 6, ".1f"),
]


def now() -> np.ndarray:
    """The clock, and the time that this process has had of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def seconds_a_step(run: fl.Training, steps: int, processes: int) -> tuple[np.ndarray, np.ndarray]:
    """The median over the steps but the first, and the first with what comes before it."""
    times = [now()]
    for _ in run.stream(steps + 1, processes=processes):
        times.append(now())
    taken = np.diff(times, axis=0)
    return np.median(taken[1:], axis=0), taken[0]


def seconds_of_an_evaluation(run: fl.Training, n: int) -> tuple[np.ndarray, np.ndarray]:
    """By one process and by two, the second one started before."""
    times = [now()]
    run.evaluate(n)
    times.append(now())
    with together(run, 2) as step:
        times.append(now())
        with step("evaluate", n=n, seed=None, at={}):
            run.evaluate(n)
        times.append(now())
    return times[1] - times[0], times[3] - times[2]


def measure(study: str, keys: dict[str, Any], quick: bool) -> dict[str, Any]:
    """The row of one study."""
    load = os.getloadavg()[0]
    steps, n = (2, 256) if quick else (STEPS, DRAWS)
    run = fl.experiment(study, **keys, steps=1000, threads=1, device="cpu")
    run.run(1, progress=False)  # what is compiled and thermalised at the first step
    (one, one_cpu), _ = seconds_a_step(run, steps, 1)
    (two, two_cpu), first = seconds_a_step(run, steps, 2)
    run.evaluate(32)  # likewise
    evaluated, by_both = seconds_of_an_evaluation(run, n)
    return {
        "study": study,
        "L": keys["L"],
        "batch": keys["batch"],
        "1 process s": float(one),
        "2 processes s": float(two),
        "gain": float(one / two),
        "1 process cpu s": float(one_cpu),
        "2 processes cpu s": float(two_cpu),
        "cpu gain": float(one_cpu / two_cpu),
        "evaluation gain": float(evaluated[0] / by_both[0]),
        "evaluation cpu gain": float(evaluated[1] / by_both[1]),
        "start s": float(first[0] - two),
        "load": load,
    }


def main() -> None:
    parser = machine.parser(__doc__, "parallel")
    parser.add_argument("--quick", action="store_true", help="a few steps of each, to try the script")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of evaluations of what has hardly begun to train
    print(machine.head(COLUMNS))
    rows = []
    for study, keys in CASES.items():
        rows.append(measure(study, keys, options.quick))
        print(machine.line(rows[-1], COLUMNS), flush=True)
    machine.write(options.out, rows)


if __name__ == "__main__":
    main()
