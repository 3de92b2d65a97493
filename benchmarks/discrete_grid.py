"""Multilevel samplers of spins, states, angles and fields, trained for one coupling each: ESS, ln Z and energy.

    python benchmarks/discrete_grid.py [--only NAME ...] [--seconds-scale 1] [--samples 20000] [--seed 0]
                                       [--runs DIR] [--out FILE]

Ising 16 x 16 and 24 x 24 at three couplings, cubes of spins and of phi^4 fields (lambda = 0.9) at criticality, Potts
models of 3 and 4 states and XY models around the temperature of Kosterlitz and Thouless at 16 x 16, on one thread;
seconds are of processor time, training alone.
LEAPS (Holderrieth, Albergo and Jaakkola 2025, arXiv:2502.10843) reports an ESS of .31 for 3 states at 15 x 15 and
beta = 1.001. ``KL`` is how far the bound lies below ln Z.

``ln Z off`` is how far ln Z is from Kaufman's exact value in standard errors; ``energy off`` compares the energy per
site with the exact one or, of Potts states and angles, with the clusters of ``potts-chain`` and ``xy-chain``; of cubes
the energy or action with chains of other code, ``tests/data/cubes_mc.py``. ``helicity`` is the helicity modulus of
angles, ``helicity off`` compares it with the same clusters.

Runs are kept in ``--runs`` and taken up again there. Results are added to those in ``--out`` of other rows.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from pathlib import Path
from typing import Any

import _machine as machine
import torch

from flowlab.estimators import UntrustedWarning
from flowlab.exact import moments_per_site
from flowlab.runs import experiment, load
from flowlab.training import Training

GRID: dict[str, tuple[str, float, dict[str, Any]]] = {
    **{f"Ising 16, {beta}": ("ising-coloured", 60, {"L": 16, "beta": beta}) for beta in (0.28, 0.4407, 0.6)},
    **{f"Ising 24, {beta}": ("ising-coloured", 180, {"L": 24, "beta": beta}) for beta in (0.28, 0.4407, 0.6)},
    "Ising 8 x 8 x 8, 0.22165": (
        "ising-coloured",
        60,
        {"L": 8, "d": 3, "beta": 0.22165, "batch": 300, "hidden": 64},
    ),
    "phi^4 8 x 8 x 8, 0.1923": (
        "phi4-multilevel",
        360,
        {"L": 8, "d": 3, "kappa": 0.1923, "lam": 0.9, "colours": 8, "batch": 150, "lr": 0.005},
    ),
    "Potts 3, 16, 1.001": ("potts-coloured", 180, {"L": 16, "q": 3, "beta": 1.001}),
    "Potts 4, 16, 1.0": ("potts-coloured", 180, {"L": 16, "q": 4, "beta": 1.0}),
    "Potts 4, 16, 1.0986": ("potts-coloured", 240, {"L": 16, "q": 4, "beta": 1.0986}),
    **{f"XY 16, T = {T}": ("xy-coloured", 300, {"L": 16, "T": T}) for T in (0.7, 0.9, 1.1)},
}
"""Name -> study, seconds of training, keys."""

COLUMNS = [
    ("name", 24, "s"),
    ("seconds", 8, ".0f"),
    ("steps", 6, "d"),
    ("ESS", 7, ".4f"),
    ("KL", 7, ".4f"),
    ("ln Z off", 8, ".1f"),
    ("energy off", 10, ".1f"),
    ("helicity", 8, ".3f"),
    ("helicity off", 12, ".1f"),
    ("samples per second", 18, ".0f"),
]


def trained(name: str, scale: float, seed: int, runs: Path) -> tuple[Training, float]:
    """The run of that name, begun or gone on with, and the processor seconds that it took in all."""
    study, seconds, keys = GRID[name]
    folder = runs / name.replace(", ", "-").replace(" ", "-")
    note = runs / f"{folder.name}.json"  # a name may end in .9
    if folder.exists():
        run, spent = load(folder), json.loads(note.read_text())
    else:
        own = {"device": "cpu", "threads": 1, "seed": seed} | keys
        steps = machine.steps_that_fit(experiment(study, **own), scale * seconds, 10)
        run, spent = experiment(study, **own, steps=steps), 0.0
        run.attach(folder)
    assert isinstance(run, Training)
    start = time.process_time()
    for record in run.stream() if run.step < run.steps else ():
        if record["step"] % 20 == 0:
            note.write_text(json.dumps(spent + time.process_time() - start))
    spent += time.process_time() - start
    note.write_text(json.dumps(spent))
    return run, spent


CLUSTERS = {"potts-coloured": "potts-chain", "xy-coloured": "xy-chain"}
COMPARED = ("energy_per_site", "helicity_modulus")
ENERGIES = ("energy_per_site", "action_per_site")
CUBES = Path(__file__).parents[1] / "tests" / "data" / "cubes_mc.json"


def known(name: str, run: Training, seed: int) -> dict[str, tuple[float, float]]:
    """Of what is compared, the value and its error: Kaufman's, that of clusters, of a cube that of other code."""
    if run.keys.get("d") == 3:
        row = next(row for row in json.loads(CUBES.read_text())["rows"] if row["name"] == name)
        return {one: (row[one], row[f"{one}_err"]) for one in ENERGIES if one in row}
    if exact := moments_per_site(run.system):
        return {"energy_per_site": (exact["energy_per_site"], 0.0)}
    if GRID[name][0] not in CLUSTERS:
        return {}
    keys = {key: run.keys[key] for key in ("L", "T", "q") if key in run.keys}
    chain = experiment(CLUSTERS[GRID[name][0]], **keys, steps=1000, seed=seed)
    chain.run()
    found = chain.evaluate()
    return {one: (float(found[one]), float(found[f"{one}_error"])) for one in COMPARED if one in found}


def measured(name: str, run: Training, seconds: float, samples: int, seed: int) -> dict[str, Any]:
    start = time.process_time()
    found = run.evaluate(samples, seed=seed)
    speed = samples / (time.process_time() - start)
    exact, off = float(found.log_z_exact), {}
    for one, (value, error) in known(name, run, seed).items():
        off[one] = (float(found[one]) - value) / math.hypot(float(found[f"{one}_error"]), error)
    return {
        "name": name,
        "study": GRID[name][0],
        "seconds": seconds,
        "steps": run.steps,
        "ESS": float(found.ess),
        "KL": float(found.log_z - found.log_z_bound),
        "ln Z off": None if math.isnan(exact) else (float(found.log_z) - exact) / float(found.log_z_error),
        "energy off": next((off[one] for one in ENERGIES if one in off), None),
        "helicity": float(found.helicity_modulus) if "helicity_modulus" in found else None,
        "helicity off": off.get("helicity_modulus"),
        "samples per second": speed,
        "verdict": found.attrs["verdict"],
        "keys": run.keys,
        "commit": machine.describe()["commit"],
    }


def main() -> None:
    parser = machine.parser(__doc__, "discrete_grid")
    parser.add_argument("--only", nargs="+", default=list(GRID), choices=list(GRID), help="rows")
    parser.add_argument("--seconds-scale", type=float, default=1.0, help="times every row's seconds of training")
    parser.add_argument("--samples", type=int, default=20_000, help="configurations of each evaluation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/discrete_grid"), help="folder in which runs are kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UntrustedWarning)
    args.runs.mkdir(parents=True, exist_ok=True)
    before = json.loads(args.out.read_text())["rows"] if args.out.exists() else []
    rows = {row["name"]: dict.fromkeys(column for column, *_ in COLUMNS) | row for row in before}
    print(machine.head(COLUMNS))
    for name in args.only:
        run, seconds = trained(name, args.seconds_scale, args.seed, args.runs)
        rows[name] = measured(name, run, seconds, args.samples, args.seed)
        print(machine.line(rows[name], COLUMNS), flush=True)
        machine.write(args.out, [rows[one] for one in GRID if one in rows])


if __name__ == "__main__":
    main()
