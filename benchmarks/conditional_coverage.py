"""Bands of the curves of one model over a range of couplings: how often they cover the exact values.

    python benchmarks/conditional_coverage.py --run DIR [--repeats 200] [--draws 2000] [--points 40] [--out FILE]

``--run`` is a run of ``ising-coloured`` over beta, as ``benchmarks/conditional.py --runs`` keeps it. Each repeat is a
curve of its own draws over the whole range; where its verdict is "consistent", ln Z, U and C are compared with
Kaufman's values: the share of couplings within one and within two standard errors (0.683 and 0.954 of a normal error),
the spread of the share over couplings, and the mean square of the distances in errors.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import _machine as machine
import numpy as np
import torch

from flowlab.estimators import UntrustedWarning
from flowlab.exact import kaufman
from flowlab.runs import load
from flowlab.training import Training

COLUMNS = [
    ("quantity", 16, "s"),
    ("L", 3, "d"),
    ("repeats", 8, "d"),
    ("couplings", 9, "d"),
    ("draws", 6, "d"),
    ("consistent", 10, ".3f"),
    ("within 1", 8, ".3f"),
    ("within 2", 8, ".3f"),
    ("least within 1", 14, ".3f"),
    ("most within 1", 13, ".3f"),
    ("mean square", 11, ".3f"),
    ("median error", 12, ".2g"),
    ("seconds a curve", 15, ".2f"),
]


def main() -> None:
    parser = machine.parser(__doc__, "conditional_coverage")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--draws", type=int, default=2000, help="of each curve")
    parser.add_argument("--points", type=int, default=40, help="of each curve")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UntrustedWarning)
    run = load(args.run)
    assert isinstance(run, Training)
    (low, high), shape = run.over["beta"], run.system.shape
    betas = np.linspace(low, high, args.points)
    known = [kaufman(shape, float(beta)) for beta in betas]
    exact = {
        "log_z": [one.log_z for one in known],
        "energy_per_site": [one.energy_per_site for one in known],
        "specific_heat": [one.specific_heat_per_site for one in known],
    }
    start, curves = time.process_time(), []
    for seed in range(args.repeats):
        curves.append(run.curve(list(exact), n=args.draws, seed=1 + seed, beta=betas))
        if seed % 20 == 19:
            print(f"{seed + 1} of {args.repeats}, {time.process_time() - start:.0f} cpu s", flush=True)
    seconds = (time.process_time() - start) / args.repeats
    good = np.array([[text.startswith("consistent") for text in curve.verdict.values] for curve in curves])
    rows = []
    print(machine.head(COLUMNS))
    for name, values in exact.items():
        error = np.array([curve[f"{name}_error"].values for curve in curves])
        off = np.where(good, (np.array([curve[name].values for curve in curves]) - values) / error, np.nan)
        inside = np.nanmean(np.where(np.isnan(off), np.nan, np.abs(off) < 1), axis=0)
        rows.append(
            {
                "quantity": name, "L": shape[0], "repeats": args.repeats, "couplings": args.points,
                "draws": args.draws, "consistent": float(good.mean()),
                "within 1": float((np.abs(off[good]) < 1).mean()), "within 2": float((np.abs(off[good]) < 2).mean()),
                "least within 1": float(inside.min()), "most within 1": float(inside.max()),
                "mean square": float(np.square(off[good]).mean()), "median error": float(np.median(error)),
                "seconds a curve": seconds,
            }
        )  # fmt: skip
        print(machine.line(rows[-1], COLUMNS), flush=True)
    machine.write(args.out, rows)


if __name__ == "__main__":
    main()
