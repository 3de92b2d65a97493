"""Edwards-Anderson glasses: Binder cumulants of two sizes, and where they cross, beside the published T_c.

    python benchmarks/glass_transition.py [--instances 24] [--out FILE]

Parallel tempering, with isoenergetic clusters on the plane, of instances of ±1 couplings, periodic in all directions;
means over instances by `fl.average`, crossings by `flowlab.analysis.disorder.averages.crossings`. Errors are those of
having so many instances; ``thermalised`` counts those whose chains pass the tests of equilibrium. On a cube,
T_c = 1.102(3) (Baity-Jesi and others 2013, arXiv:1310.2910); on the plane, T_c = 0 (Hartmann and Young 2001).
"""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import _machine as machine
import numpy as np
import torch
import xarray as xr

import flowlab as fl
from flowlab.analysis.disorder.averages import crossings
from flowlab.core import named_generator
from flowlab.estimators.series.tempering import thermalisation
from flowlab.mcmc import ParallelTempering, ladder

SYSTEMS: dict[int, dict[int, int]] = {3: {4: 4000, 6: 6000}, 2: {4: 3000, 8: 4000}}
"""Dimensions -> side -> sweeps, of which the first third is left out."""
TEMPERATURES = {3: (0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6), 2: (0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.4)}
PUBLISHED = {3: 1.102, 2: 0.0}
REPLICAS, EVERY = 4, 10
COLUMNS: list[machine.Column] = [
    ("d", 2, "d"), ("L", 3, "d"), ("T", 5, ".2f"), ("Binder", 7, ".4f"), ("error", 7, ".4f"), ("chi_SG", 8, ".3f"),
    ("chi_SG error", 12, ".3f"), ("instances", 9, "d"), ("thermalised", 11, "d"),
]  # fmt: skip


def overlaps(d: int, L: int, instances: int) -> tuple[xr.Dataset, int]:
    """Moments of the overlap of every instance at every temperature, and how many instances thermalised."""
    glasses = [fl.SpinGlass.edwards_anderson((L,) * d, 1.0, seed, "pm1") for seed in range(instances)]
    wanted = ladder(TEMPERATURES[d], L**d, scale=math.sqrt(2 * d))
    chain = ParallelTempering(glasses, wanted, replicas=REPLICAS, clusters=d == 2)
    sweeps = SYSTEMS[d][L]
    state, _, _ = chain.run(chain.init(generator=named_generator(d, "transition", L)), sweeps // 3)
    before = chain.by_replica(state.round_trips)
    kept = [wanted.index(T) for T in TEMPERATURES[d]]
    state, energies, spins = chain.run(state, sweeps - sweeps // 3, every=EVERY, keep=kept)
    trips = chain.by_replica(state.round_trips) - before
    passed = sum(thermalisation(energies[:, k], wanted, round_trips=trips[k]).thermalised for k in range(len(glasses)))
    pairs = itertools.combinations(range(REPLICAS), 2)
    q = np.stack([(spins[:, :, a] * spins[:, :, b].astype(np.float32)).mean(-1) for a, b in pairs])
    second, fourth = (q**2).mean((0, 1)), (q**4).mean((0, 1))
    dims, N = ("seed_J", "kept_temperature"), L**d
    variables = {
        "overlap_squared": (dims, second), "overlap_binder": (dims, 1.5 - fourth / (2 * second**2)),
        "susceptibility": (dims, N * second),
    }  # fmt: skip
    return xr.Dataset(variables, {"seed_J": range(instances), "kept_temperature": list(TEMPERATURES[d])}), passed


def measured(d: int, instances: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of both sizes, and where their Binder cumulants cross."""
    parts, passed = zip(*(overlaps(d, L, instances) for L in SYSTEMS[d]), strict=True)
    found = xr.concat(parts, xr.DataArray(list(SYSTEMS[d]), dims="L", name="L"))
    mean, rows = fl.average(found, "seed_J"), []
    for L, thermalised in zip(SYSTEMS[d], passed, strict=True):
        for T in TEMPERATURES[d]:
            here = mean.sel(L=L, kept_temperature=T)
            names = {"Binder": "overlap_binder", "chi_SG": "susceptibility"}
            row: dict[str, Any] = {"d": d, "L": L, "T": T}
            for name, variable in names.items():
                row[name] = float(here[variable])
                row["error" if name == "Binder" else f"{name} error"] = float(here[f"{variable}_error"])
            rows.append(row | {"instances": instances, "thermalised": thermalised})
            print(machine.line(rows[-1], COLUMNS), flush=True)
    crossed = crossings(found).isel(L=0)
    numbers = {name: float(crossed[name]) for name in ("crossing", "crossing_error")}
    known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    return rows, {"d": d, "L": int(crossed.L), "larger": int(crossed.larger), **known, "published T_c": PUBLISHED[d]}


def main() -> None:
    parser = machine.parser(__doc__, "glass_transition")
    parser.add_argument("--instances", type=int, default=24, help="of each size (default 24)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    print(machine.head(COLUMNS))
    found = [measured(d, options.instances) for d in SYSTEMS]
    rows = {"rows": [row for rows, _ in found for row in rows], "crossings": [crossing for _, crossing in found]}
    print(*rows["crossings"], f"{time.process_time() - started:.0f} s of processor time", sep="\n")
    machine.write(options.out, rows)


if __name__ == "__main__":
    main()
