"""Many couplings from one model, from a chain of warm starts, or from a run each, at equal processor seconds.

    python benchmarks/many_couplings.py [--side 8] [--seconds 20 80] [--samples 10000] [--seed 0] [--out FILE]

The Ising model with ``ising-coloured`` at nine couplings from beta = 0.35 to 0.55, on one thread; seconds are of
processor time and of all nine together. *one each*: nine trainings, each with a ninth of the seconds, as they come
(annealed, grown from smaller lattices). *warm starts*: the first as these, each of the others from the weights of the
one before, from the disordered to the ordered side. *one model*: a single training over the interval. Each row is one
coupling: the ESS of plain draws, and the distance of ln Z from Kaufman's value in standard errors.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import _machine as machine
import numpy as np
import torch
from conditional import weighed

from flowlab.estimators import UntrustedWarning
from flowlab.exact import kaufman
from flowlab.runs import experiment

BETAS = tuple(float(beta) for beta in np.linspace(0.35, 0.55, 9).round(4))
LEAST = 5
"""Steps of a run, at least."""

COLUMNS = [
    ("budget", 7, ".0f"),
    ("way", 12, "s"),
    ("seconds", 8, ".1f"),
    ("beta", 6, ".3f"),
    ("steps", 6, "d"),
    ("ESS", 7, ".4f"),
    ("off", 6, ".1f"),
    ("largest", 8, ".1f"),
]


def trained(make: Callable[[int], Any], seconds: float) -> Any:
    """What ``make`` gives of a number of steps, with as many as fit, trained."""
    run = make(machine.steps_that_fit(make(1000), seconds, LEAST))
    run.run(progress=False)
    return run


def begun(seconds: float, **keys: Any) -> Any:
    """A run that nothing came before."""
    own = {"device": "cpu", "threads": 1} | keys
    return trained(lambda steps: experiment("ising-coloured", steps=steps, **own), seconds)


def one_each(seconds: float, **keys: Any) -> list[Any]:
    return [begun(seconds / len(BETAS), beta=beta, **keys) for beta in BETAS]


def warm_starts(seconds: float, **keys: Any) -> list[Any]:
    runs = [begun(seconds / len(BETAS), beta=BETAS[0], **keys)]
    for beta in BETAS[1:]:
        runs.append(trained(lambda steps, beta=beta: runs[-1].at(beta=beta, steps=steps), seconds / len(BETAS)))
    return runs


def one_model(seconds: float, **keys: Any) -> list[Any]:
    return [begun(seconds, over=f"beta:{BETAS[0]}:{BETAS[-1]}", **keys)] * len(BETAS)


WAYS = {"one each": one_each, "warm starts": warm_starts, "one model": one_model}


def measure(way: str, side: int, budget: float, samples: int, seed: int) -> list[dict[str, Any]]:
    start = time.process_time()
    runs = WAYS[way](budget, L=side, seed=seed)
    spent = time.process_time() - start
    rows = []
    for beta, run in zip(BETAS, runs, strict=True):
        target = run.target.at(T=1 / beta)
        found = weighed(run.reading()[1].fixed(target), target, samples, kaufman((side, side), beta).log_z)
        row = {"budget": budget, "way": way, "seconds": spent, "beta": beta, "L": side, "steps": run.steps}
        rows.append(row | found | {"keys": run.keys})
        print(machine.line(rows[-1], COLUMNS), flush=True)
    return rows


def main() -> None:
    parser = machine.parser(__doc__, "many_couplings")
    parser.add_argument("--side", type=int, default=8)
    parser.add_argument("--seconds", type=float, nargs="+", default=[20.0, 80.0], help="processor seconds of a way")
    parser.add_argument("--samples", type=int, default=10_000, help="configurations of each evaluation")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UntrustedWarning)
    print(machine.head(COLUMNS))
    rows = [
        row
        for budget in args.seconds
        for way in WAYS
        for row in measure(way, args.side, budget, args.samples, args.seed)
    ]
    machine.write(args.out, {"samples": args.samples, "rows": rows})


if __name__ == "__main__":
    main()
