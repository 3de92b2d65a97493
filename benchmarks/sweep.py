"""The Ising model from T = 1.8 to 3.0 by adiabatic retraining: how far every F is from the exact one, and what it took.

    python benchmarks/sweep.py [--quick] [--sizes 8 16 32] [--workers 2] [--seeds 1]

The goal at L = 8: every F within four errors of Kaufman's and every ESS at least 0.9, in 15 minutes on two cores.
"Wolff" is the largest distance of E, |m|, both susceptibilities and Binder's cumulant from ``tests/data``'s Wolff
chains, in joint errors, where there are any. ``trained s`` is the sum over all runs; other programs lengthen it.
"""

from __future__ import annotations

import json
import time
from math import hypot
from pathlib import Path

import _machine as machine
import xarray as xr

import flowlab as fl
from flowlab.runs.sweeps import sweep

COLUMNS = [("T", 4, ".1f"), ("steps", 6, "d"), ("ESS", 6, ".3f"), ("F/N", 9, ".5f"), ("error", 8, ".1e")]
COLUMNS += [("(F - exact)/error", 17, "+.2f"), ("bound gap/N", 11, ".1e"), ("Wolff", 6, ".1f")]
WOLFF = json.loads((Path(__file__).parents[1] / "tests" / "data" / "public_ising_mc.json").read_text())["cases"]
NAMES = {
    "energy_per_site": "E_per_site",
    "abs_magnetization": "abs_m",
    "susceptibility": "chi",
    "susceptibility_connected": "chi_connected",
    "binder": "binder",
}
"""Ours, and the reference's."""


def from_wolff(here: xr.Dataset, L: int, T: float) -> float:
    """The largest distance from the Wolff chain at L and T in joint errors; NaN where there is none."""
    for case in WOLFF:
        if (case["L"], case["T"]) == (L, T):
            return max(
                abs(float(here[name]) - case[key]) / hypot(float(here[f"{name}_error"]), case[f"{key}_err"])
                for name, key in NAMES.items()
            )
    return float("nan")


def measure(L: int, seed: int, workers: int, quick: bool) -> list[dict[str, float | int]]:
    """One sweep with the study's own settings, or a tenth of its steps."""
    keys = {"steps": 100, "warm_steps": 20} if quick else {}
    started = time.perf_counter()
    found = sweep("ising-sweep", L=L, seed=seed, workers=workers, device="cpu", progress=False, **keys)
    wall = time.perf_counter() - started
    print(f"L = {L}, seed {seed}: {wall:.0f} s, trained s {float(found.seconds.sum()):.0f}, {workers} workers")
    print(machine.head(COLUMNS))
    rows = []
    for T in found["T"].values.tolist():
        here = found.sel(T=T)
        error = float(here.free_energy_per_site_error)
        row = {
            "T": T,
            "steps": int(here.steps),
            "ESS": float(here.ess),
            "F/N": float(here.free_energy_per_site),
            "error": error,
            "(F - exact)/error": float(here.free_energy_per_site - here.free_energy_per_site_exact) / error,
            "bound gap/N": float(here.free_energy_bound_per_site - here.free_energy_per_site_exact),
            "Wolff": from_wolff(here, L, T),
        }
        print(machine.line(row, COLUMNS), flush=True)
        rows.append(row | {"L": L, "seed": seed, "wall s": wall, "trained s": float(found.seconds.sum())})
    return rows


def main() -> None:
    parser = machine.parser(__doc__, "sweep")
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    rows = [row for L in options.sizes for s in options.seeds for row in measure(L, s, options.workers, options.quick)]
    machine.write(options.out, {"quick": options.quick, "version": fl.__version__, "runs": rows})


if __name__ == "__main__":
    main()
