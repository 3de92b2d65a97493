"""One density for a range of couplings: ESS and ln Z in both phases and at the transition, from one training.

    python benchmarks/conditional.py [--only NAME:L ...] [--seconds-scale 1] [--samples 10000] [--seed 0] [--out FILE]

``ising-coloured`` over beta from 0.35 to 0.55 and ``phi4-multilevel`` (lam = 0.5) over beta from 0.5 to 0.75, on one
thread; seconds are of processor time. Each row is one coupling of a run: the ESS of plain draws and of the defensive
mixture that an evaluation draws from, the distance of ln Z from Kaufman's value in standard errors, and the largest
weight in units of the mean.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import _machine as machine
import numpy as np
import torch

from flowlab.core import Density, System, named_generator
from flowlab.estimators import UntrustedWarning
from flowlab.estimators.weights import weights
from flowlab.exact import kaufman
from flowlab.runs import experiment
from flowlab.training import Training

ISING, PHI4 = (0.35, 0.40, 0.42, 0.44, 0.46, 0.50, 0.55), (0.50, 0.576, 0.65, 0.75)
RUNS: dict[str, tuple[float, tuple[float, ...], dict[str, Any]]] = {
    "ising-coloured:8": (60, ISING, {"over": "beta:0.35:0.55"}),
    "ising-coloured:16": (240, ISING, {"over": "beta:0.35:0.55"}),
    "phi4-multilevel:8": (120, PHI4, {"over": "beta:0.5:0.75", "beta": 0.576}),
}
"""Seconds of training, where it is evaluated, and keys."""

COLUMNS = [
    ("study", 16, "s"),
    ("L", 3, "d"),
    ("seconds", 8, ".1f"),
    ("steps", 6, "d"),
    ("beta", 6, ".3f"),
    ("ESS", 7, ".4f"),
    ("off", 6, ".1f"),
    ("largest", 8, ".1f"),
    ("mixture ESS", 11, ".4f"),
    ("mixture off", 11, ".1f"),
    ("mixture largest", 15, ".1f"),
]


def weighed(density: Density, target: System, n: int, exact: float | None) -> dict[str, Any]:
    """What n draws of a density say of a target."""
    found, generator = [], named_generator(0, "benchmark")
    with torch.no_grad():
        for first in range(0, n, 2000):
            x, log_q = density.sample(min(2000, n - first), generator=generator)
            found.append((target.log_weight(x.double()) - log_q.double()).numpy())
    log_w = np.concatenate(found)
    log_z = weights.log_z(log_w)
    w = np.exp(log_w - log_w.max())
    off = None if exact is None else (log_z.value + float(target.log_z_offset) - exact) / log_z.error
    return {"ESS": weights.ess(log_w).value, "off": off, "largest": float(w.max() / w.mean()), "error": log_z.error}


def measure(name: str, scale: float, samples: int, seed: int) -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UntrustedWarning)
    (study, side), (seconds, betas, keys) = name.split(":"), RUNS[name]
    own = {"L": int(side), "device": "cpu", "threads": 1, "seed": seed} | keys
    steps = machine.steps_that_fit(experiment(study, **own), scale * seconds, 10)
    run = experiment(study, **own, steps=steps)
    assert isinstance(run, Training)
    vars(run)["log_z_exact"] = None
    start = time.process_time()
    run.run(progress=False)
    spent = time.process_time() - start
    _, density = run.reading()
    rows = []
    for beta in betas:
        target = run.target.at(**dict([run.target.spelled("beta", beta)]))
        exact = kaufman(run.system.shape, beta).log_z if study.startswith("ising") else None
        plain = weighed(density.fixed(target), target, samples, exact)
        mixed = weighed(density.proposal(target), target, samples, exact)
        row = {"study": study, "L": int(side), "seconds": spent, "steps": steps, "beta": beta}
        rows.append(row | plain | {f"mixture {key}": value for key, value in mixed.items()} | {"keys": run.keys})
        print(machine.line(rows[-1], COLUMNS), flush=True)
    return rows


def main() -> None:
    parser = machine.parser(__doc__, "conditional")
    parser.add_argument("--only", nargs="+", default=list(RUNS), choices=list(RUNS), help="rows")
    parser.add_argument("--seconds-scale", type=float, default=1.0, help="times every row's seconds of training")
    parser.add_argument("--samples", type=int, default=40_000, help="configurations of each evaluation")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(machine.head(COLUMNS))
    rows = [row for name in args.only for row in measure(name, args.seconds_scale, args.samples, args.seed)]
    machine.write(args.out, {"seconds scale": args.seconds_scale, "rows": rows})


if __name__ == "__main__":
    main()
