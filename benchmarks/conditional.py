"""One density for a range of couplings: ESS and ln Z in both phases and at the transition, from one training.

    python benchmarks/conditional.py [--only NAME:L ...] [--steps-scale 1] [--samples 40000] [--seed 0]
                                     [--runs DIR] [--out FILE]

``ising-coloured`` and ``phi4-multilevel`` (lam = 0.5), each trained once over a range of beta, on one thread, for a
number of steps; seconds are those of the processor that this took. The 64 x 64 lattice goes on from the run of 32 x 32,
whose seconds count; ``ising-coloured-T`` is for the 13 temperatures of ``ising-sweep``. Each row is one coupling of a
run: the ESS of plain draws and of the defensive mixture that an evaluation draws from, how far ln Z is from the exact
value (Kaufman's, or by transfer matrix) in standard errors, the largest weight in units of the mean, and the share of
neighbouring couplings in the mixture.

``curves``: one curve of 40 couplings over the whole range from 20,000 draws in all: the largest distance of ln Z, U and
C from Kaufman's values in standard errors, and χ² of ln Z with the covariance that the replicas give (5 eigenvalues).

``ordered phase``: plain draws and the mixture where the lattice is ordered, 4,000 and 40,000 of them.

Runs are kept in ``--runs`` and taken up again there. Results are added to those in ``--out`` of other rows.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _machine as machine
import numpy as np
import torch

from flowlab import exact
from flowlab.core import Density, System, named_generator
from flowlab.estimators import UntrustedWarning
from flowlab.estimators.weights import weights
from flowlab.exact import kaufman
from flowlab.runs import experiment, load
from flowlab.training import Training

WIDE, NARROW = (0.35, 0.40, 0.42, 0.44, 0.46, 0.50, 0.55), (0.38, 0.40, 0.42, 0.44, 0.46, 0.48, 0.50)
PHI4 = (0.50, 0.55, 0.60, 0.65, 0.70, 0.75)
SWEPT = tuple(float(1 / T) for T in np.linspace(1.8, 3.0, 13))
RUNS: dict[str, tuple[int, tuple[float, ...], dict[str, Any]]] = {
    "ising-coloured:8": (1500, WIDE, {"over": "beta:0.35:0.55"}),
    "ising-coloured:16": (2400, WIDE, {"over": "beta:0.35:0.55"}),
    "ising-coloured:32": (5000, NARROW, {"over": "beta:0.38:0.5", "lr_growth": 0.5}),
    "ising-coloured:64": (1000, NARROW, {"lr": 2e-3}),
    "ising-coloured-T:32": (1800, SWEPT, {"over": "T:1.8:3", "shares": "1,1,2,2"}),
    "phi4-multilevel:8": (600, PHI4, {"over": "beta:0.5:0.75", "beta": 0.576}),
    "phi4-multilevel:12": (1200, PHI4, {"over": "beta:0.5:0.75", "beta": 0.616}),
}
"""Steps of training, where it is evaluated, and keys."""
GROWN = {"ising-coloured:64": "ising-coloured:32"}
"""Runs that go on from another."""

COLUMNS = [
    ("study", 16, "s"),
    ("L", 3, "d"),
    ("seconds", 8, ".0f"),
    ("steps", 6, "d"),
    ("beta", 6, ".3f"),
    ("ESS", 7, ".4f"),
    ("off", 6, ".1f"),
    ("largest", 8, ".1f"),
    ("mixture ESS", 11, ".4f"),
    ("mixture off", 11, ".1f"),
    ("mixture largest", 15, ".1f"),
    ("neighbours", 10, ".3f"),
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


def trained(name: str, scale: float, seed: int, runs: Path | None) -> tuple[Training, float]:
    """The run of that name, begun, gone on with or only read, and the seconds that it took in all."""
    (study, side), (steps, _, keys), before = name.split(":"), RUNS[name], 0.0
    folder = None if runs is None else runs / name.replace(":", "-")
    note = None if folder is None else folder.with_suffix(".json")
    if folder is not None and note is not None and note.exists():
        run = load(folder)
    else:
        steps = max(10, int(scale * steps))
        if name in GROWN:
            smaller, before = trained(GROWN[name], scale, seed, runs)
            run = smaller.grow(steps=steps, **keys)
        else:
            own = {"L": int(side), "device": "cpu", "threads": 1, "seed": seed} | keys
            run = experiment(study.removesuffix("-T"), **own, steps=steps)
        if folder is not None:
            run.attach(folder)
    if note is not None and not note.exists():
        note.write_text(json.dumps(before))
    assert isinstance(run, Training)
    vars(run)["log_z_exact"] = None
    spent = json.loads(note.read_text()) if note is not None else before
    start = time.process_time()
    for record in run.stream() if run.step < run.steps else ():
        if note is not None and record["step"] % 20 == 0:
            note.write_text(json.dumps(spent + time.process_time() - start))
    spent += time.process_time() - start
    if note is not None:
        note.write_text(json.dumps(spent))
    return run, spent


def at(run: Training, beta: float) -> tuple[System, float | None]:
    """The target at a coupling, and its exact ln Z where it is known."""
    target = run.target.at(**dict([run.target.spelled("beta", beta)]))
    return target, exact.log_z(target.physical)


def measure(name: str, run: Training, seconds: float, samples: int) -> Iterator[dict[str, Any]]:
    study, side = name.split(":")
    _, density = run.reading()
    for beta in RUNS[name][1]:
        target, known = at(run, beta)
        mixture = density.proposal(target)
        plain, mixed = weighed(density.fixed(target), target, samples, known), weighed(mixture, target, samples, known)
        row = {"study": study, "L": int(side), "seconds": seconds, "steps": run.steps, "beta": beta} | plain
        row |= {f"mixture {key}": value for key, value in mixed.items()} | {"neighbours": 1 - mixture.shares[0]}
        print(machine.line(row, COLUMNS), flush=True)
        yield row | {"keys": run.keys, "commit": machine.describe()["commit"]}


def curve(name: str, run: Training) -> dict[str, Any]:
    """How far one curve is from Kaufman."""
    low, high = next(iter(run.over.values()))
    start = time.process_time()
    found = run.curve(n=20_000, beta=np.linspace(low, high, 40))
    seconds = time.process_time() - start
    known = [kaufman(run.system.shape, float(beta)) for beta in found.beta]
    values = {
        "log_z": [one.log_z for one in known],
        "energy_per_site": [one.energy_per_site for one in known],
        "specific_heat": [one.specific_heat_per_site for one in known],
    }
    off = {key: (found[key].values - value) / found[f"{key}_error"].values for key, value in values.items()}
    without = found.log_z_replicas.values
    covariance = (len(without) - 1) * np.cov(without.T, bias=True)
    size, direction = np.linalg.eigh(covariance)
    along = ((found.log_z.values - values["log_z"]) @ direction)[-5:]
    row = {"study": name.split(":")[0], "L": run.system.shape[0], "couplings": 40, "draws": 20_000, "seconds": seconds}
    row |= {f"largest off, {key}": float(np.abs(one).max()) for key, one in off.items()}
    row |= {"χ² of 5": float((along**2 / size[-5:]).sum()), "median error of ln Z": float(found.log_z_error.median())}
    return row | {"consistent": int(sum(text.startswith("consistent") for text in found.verdict.values))}


def ordered(name: str, run: Training) -> Iterator[dict[str, Any]]:
    """Plain draws and the mixture at the cold end."""
    _, density = run.reading()
    beta = RUNS[name][1][-1]
    target, known = at(run, beta)
    for how, q in (("plain", density.fixed(target)), ("mixture", density.proposal(target))):
        for n in (4000, 40_000):
            found = weighed(q, target, n, known)
            yield {"L": run.system.shape[0], "beta": beta, "draws": n, "from": how} | found


def main() -> None:
    parser = machine.parser(__doc__, "conditional")
    parser.add_argument("--only", nargs="+", default=list(RUNS), choices=list(RUNS), help="rows")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="times every row's steps of training")
    parser.add_argument("--samples", type=int, default=40_000, help="configurations of each evaluation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, help="folder in which runs are kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UntrustedWarning)
    before = json.loads(args.out.read_text())["rows"] if args.out.exists() else {}
    found: dict[str, list[dict[str, Any]]] = {
        key: list(before.get(key, [])) for key in ("rows", "curves", "ordered phase")
    }
    print(machine.head(COLUMNS))
    for name in args.only:
        run, seconds = trained(name, args.steps_scale, args.seed, args.runs)
        study, side = name.split(":")
        found = {
            key: [row for row in rows if (row.get("study", "ising-coloured"), row["L"]) != (study, int(side))]
            for key, rows in found.items()
        }
        found["rows"] += measure(name, run, seconds, args.samples)
        if study == "ising-coloured" and int(side) < 64:
            found["curves"].append(curve(name, run))
            print(found["curves"][-1], flush=True)
            found["ordered phase"] += ordered(name, run)
        found = {key: sorted(rows, key=lambda row: (row.get("study", ""), row["L"])) for key, rows in found.items()}
        machine.write(args.out, {"steps scale": args.steps_scale} | found)


if __name__ == "__main__":
    main()
