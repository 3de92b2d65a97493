"""Super-resolving flows from 4 x 4: ESS, learned coupling, ln Z and observables against a Markov chain, by kappa.

    python benchmarks/super_resolution.py [--only NAME[:L[:KAPPA]] ...] [--steps-scale 1] [--samples 50000]
                                          [--threads 1] [--seed 0] [--out FILE]

phi^4 at lam = 0.02 through both phases, by phi4-ir-matching with its own keys, and the standard continuous flow of the
same size, phi4-cnf, beside it; "fixed" is phi4-ir-matching that learns no coarse coupling. Every row is trained and
evaluated in a process of its own; ``--steps-scale 0.05`` is a short run of everything. "seconds" are those of the
processor in training, stages on smaller lattices included. ESS and all that follows are of the refined integration. "ln
Z off" is against the transfer matrix up to L = 8, in joint errors; "worst" is the observable that is farthest, in joint
errors, from that of a long Markov chain (tests/data/public_phi4_mc.json; its kappa 0.20, 0.26 and 0.28 at L = 8 and 16)
or, for <phi dS/dphi>, from 1, and "errors" the largest of our errors as a multiple of the chain's.
"""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

import _machine as machine
import _reference as reference

import flowlab as fl
from flowlab.exact.phi4 import phi4_log_z

LAM = 0.02
KAPPAS = (0.20, 0.26, 0.27, 0.28, 0.30)
GOALS = {8: (0.985, 0.975, 0.93, 0.95, 0.96), 16: (0.96, 0.95, 0.85, 0.89, 0.92), 32: (0.93, 0.87, 0.60, 0.72, 0.80)}
"""ESS to reach at each of the couplings."""
SECONDS = {8: 300, 16: 900, 32: 2700}
"""In which, on two cores."""
STATES = 8**8
"""Of a transfer matrix: 8 nodes on each site of a row of 8, which take half a minute."""
ROWS = [("phi4-ir-matching", L, kappa) for L in GOALS for kappa in KAPPAS]
ROWS += [("fixed", 8, kappa) for kappa in (0.20, 0.26, 0.28)]
ROWS += [("phi4-cnf", L, kappa) for L in (8, 16) for kappa in (0.20, 0.28, 0.30)]

COLUMNS = [
    ("study", 16, "s"),
    ("L", 2, "d"),
    ("kappa", 5, ".2f"),
    ("parameters", 10, "d"),
    ("steps", 5, "d"),
    ("seconds", 7, ".0f"),
    ("goal s", 6, "d"),
    ("ESS", 6, ".4f"),
    ("ESS error", 9, ".4f"),
    ("goal", 5, ".3f"),
    ("kappa_c", 7, ".4f"),
    ("round trip", 10, ".1e"),
    ("closure", 7, ".1e"),
    ("ln Z", 9, ".4f"),
    ("ln Z error", 10, ".4f"),
    ("ln Z off", 8, "+.1f"),
    ("worst", 24, "s"),
    ("off", 5, "+.1f"),
    ("errors", 6, ".2f"),
    ("M > 0", 6, ".4f"),
    ("its error", 9, ".4f"),
]


def against_exact(system: fl.Phi4, number: dict[str, float | None]) -> dict[str, float | None]:
    """The exact ln Z with its truncation error, where the transfer matrix gives one, and how far the estimate is."""
    if 8 ** system.shape[0] > STATES or number["log_z"] is None:
        return {"ln Z exact": None, "ln Z exact error": None, "ln Z off": None}
    exact, error = phi4_log_z(system, tolerance=1e-4, max_states=STATES)
    off = (number["log_z"] - exact) / math.hypot(number["log_z_error"], error)
    return {"ln Z exact": exact, "ln Z exact error": error, "ln Z off": off}


def trained(study: str, L: int, kappa: float, scale: float, seed: int, threads: int) -> tuple[fl.Training, float]:
    """A run with its study's own number of steps times ``scale``, and its seconds of processor time."""
    keys: dict[str, Any] = {"L": L, "kappa": kappa, "lam": LAM, "threads": threads, "device": "cpu", "seed": seed}
    if study == "fixed":
        study, keys["learn"] = "phi4-ir-matching", ""
    run = fl.experiment(study, **keys)
    if scale != 1:
        stages = ["stage_steps"] if 2 * run.keys.get("coarse", L) < L else []
        own = {name: max(2, round(scale * run.keys[name])) for name in ["steps", *stages]}
        run = fl.experiment(study, **keys, **own)
    assert isinstance(run, fl.Training)
    start = time.process_time()
    run.run(progress=False)
    return run, time.process_time() - start


def evaluated(run: fl.Training, samples: int) -> dict[str, Any]:
    """What a row says about a trained run."""
    L, kappa = run.system.shape[0], float(run.system.couplings["kappa"])
    vars(run)["log_z_exact"] = None  # found here, with a smaller error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fl.estimators.UntrustedWarning)
        found = run.evaluate(samples)
    number = {name: None if math.isnan(float(value)) else float(value) for name, value in found.data_vars.items()}
    row: dict[str, Any] = {"study": run.study, "L": L, "kappa": kappa, "keys": run.keys, "steps": run.step}
    row |= {"parameters": sum(p.numel() for p in run.density.parameters()), "samples": found.attrs["n"]}
    row |= {"ESS": number["ess"], "ESS error": number["ess_error"]}
    row["goal"], row["goal s"] = None, None
    if run.study == "phi4-ir-matching" and L in GOALS and kappa in KAPPAS:
        row["goal"], row["goal s"] = GOALS[L][KAPPAS.index(kappa)], SECONDS[L]
    coarse = getattr(run.density, "coarse_system", None)
    row["kappa_c"] = None if coarse is None else float(coarse.couplings["kappa"].detach())
    row |= {"round trip": number["round_trip_error"], "closure": number["log_det_closure"]}
    row |= {"ln Z": number["log_z"], "ln Z error": number["log_z_error"]} | against_exact(run.system, number)
    row |= {"M > 0": number["positive_fraction"], "its error": number["positive_fraction_error"]}
    return row | reference.compared(found, reference.chains("kappa", LAM).get((L, kappa)))


def measure(study: str, L: int, kappa: float, scale: float, samples: int, seed: int, threads: int) -> dict[str, Any]:
    run, seconds = trained(study, L, kappa, scale, seed, threads)
    return evaluated(run, samples) | {"study": study, "seconds": seconds, "seed": seed, "threads": threads}


def wanted(only: list[str]) -> list[tuple[str, int, float]]:
    """The rows that ``--only`` names, all without it."""

    def names(study: str, L: int, kappa: float) -> list[str]:
        return [study, f"{study}:{L}", f"{study}:{L}:{kappa:g}"]

    every = {name for row in ROWS for name in names(*row)}
    if unknown := sorted(set(only) - every):
        raise SystemExit(f"no row {', '.join(unknown)}: there are {', '.join(sorted(every))}")
    return [row for row in ROWS if not only or set(only) & set(names(*row))]


def main() -> None:
    parser = machine.parser(__doc__, "super_resolution")
    parser.add_argument("--only", nargs="+", default=[], help="NAME[:L[:KAPPA]], e.g. phi4-ir-matching:8:0.26")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="times every row's steps of training")
    parser.add_argument("--samples", type=int, default=50_000, help="fields of each evaluation")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    print(f"{args.threads} threads, {machine.describe()['cpu']}, torch {machine.describe()['torch']}")
    print(machine.head(COLUMNS))
    rows = []
    for study, L, kappa in wanted(args.only):
        row = (study, L, kappa, args.steps_scale, args.samples, args.seed, args.threads)
        rows.append(machine.apart(measure, *row))
        print(machine.line(rows[-1], COLUMNS), flush=True)
    machine.write(args.out, {"steps scale": args.steps_scale, "rows": rows})


if __name__ == "__main__":
    main()
