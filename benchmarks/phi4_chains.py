"""Lattice phi^4 at a correlation length of L / 4: hybrid Monte Carlo beside a flow, in the same seconds.

    python benchmarks/phi4_chains.py [--sizes 6 10 14 18 20] [--seconds 120] [--samples 100000] [--seed 0] [--out FILE]

Each method has ``--seconds`` of processor time on one thread: HMC to tune and to measure, phi4-flow to train; its draws
come on top, at the rate that is given. "tau_int" is that of the slowest observable, in trajectories or in
proposals of the flow; "independent/s" is configurations a second over twice tau_int. xi is beside that of
Del Debbio, Marsh Rossney and Wilson 2021 (arXiv:2105.12481, table I). "worst" is the observable farthest, in joint
errors, from a long Markov chain (tests/data/public_phi4_mc.json, where it has that lattice) or, for <phi dS/dphi>, from
1; "errors" the largest of our errors as a multiple of that chain's.
"""

from __future__ import annotations

import time
from typing import Any

import _machine as machine
import _reference as reference
import torch

import flowlab as fl
from flowlab.studies.phi4.flows import BETA

LAM = 0.5
XI = {6: 1.50, 8: 1.99, 10: 2.52, 12: 3.01, 14: 3.49, 16: 3.97, 18: 4.56, 20: 4.96}
"""As published."""
COLUMNS = [
    ("study", 9, "s"),
    ("L", 2, "d"),
    ("seconds", 7, ".0f"),
    ("acceptance", 10, ".3f"),
    ("tau_int", 7, ".2f"),
    ("its error", 9, ".2f"),
    ("configurations/s", 16, ".0f"),
    ("independent/s", 13, ".0f"),
    ("xi", 6, ".3f"),
    ("xi error", 8, ".3f"),
    ("published", 9, ".2f"),
    ("worst", 24, "s"),
    ("off", 5, "+.1f"),
    ("errors", 6, ".2f"),
]


def measure(study: str, L: int, seconds: float, samples: int, seed: int) -> dict[str, Any]:
    """One method at one size, with what it found."""
    keys = {"L": L, "beta": BETA[L], "lam": LAM, "seed": seed, "threads": 1}
    run = fl.experiment(study, **keys)
    run = fl.experiment(study, **keys, steps=machine.steps_that_fit(run, seconds, 40))
    vars(run)["log_z_exact"] = None  # takes longer than the run
    start = time.process_time()
    run.run(progress=False)
    spent = time.process_time() - start
    found = run.evaluate(samples)
    if study == "phi4-hmc":
        rate = run.step * run.every * run.chains / spent
    else:
        generator, start = torch.Generator().manual_seed(seed), time.process_time()
        for _ in range(10):
            run.density.sample(1000, generator=generator)
        rate = 10_000 / (time.process_time() - start)
    tau = float(found.tau_int)
    row = {"study": study, "L": L, "seconds": spent, "steps": run.step, "acceptance": float(found.acceptance)}
    row |= {"tau_int": tau, "its error": float(found.tau_int_error)}
    row |= {"configurations/s": rate, "independent/s": rate / (2 * tau)}
    row |= {"xi": float(found.correlation_length), "xi error": float(found.correlation_length_error)}
    row |= {"published": XI[L], "keys": run.keys, "samples": found.attrs["n"]}
    return row | reference.compared(found, reference.chains("beta", LAM).get((L, BETA[L])))


def main() -> None:
    parser = machine.parser(__doc__, "phi4_chains")
    parser.add_argument("--sizes", type=int, nargs="+", default=[6, 10, 14, 18, 20], choices=sorted(XI))
    parser.add_argument("--seconds", type=float, default=120.0, help="of processor time for each method")
    parser.add_argument("--samples", type=int, default=100_000, help="fields of a flow's evaluation")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)

    print(f"one thread, {machine.describe()['cpu']}, torch {machine.describe()['torch']}")
    print(machine.head(COLUMNS))
    rows = []
    for L in args.sizes:
        for study in ("phi4-hmc", "phi4-flow"):
            rows.append(measure(study, L, args.seconds, args.samples, args.seed))
            print(machine.line(rows[-1], COLUMNS), flush=True)
    machine.write(args.out, {"seconds": args.seconds, "rows": rows})


if __name__ == "__main__":
    main()
