"""Edwards-Anderson glasses: Binder cumulants of two sizes, and where they cross, beside the published T_c.

    python benchmarks/glass_transition.py [--instances 20] [--runs FOLDER] [--workers 1] [--out FILE]

A sweep of `glass-pt` over instances of ±1 couplings, periodic in all directions, averaged by `fl.average`; crossings by
`flowlab.analysis.crossings`. Errors are those of having so many instances. On a cube, T_c = 1.102(3) (Baity-Jesi and
others 2013, arXiv:1310.2910); on the plane, T_c = 0 (Hartmann and Young 2001): curves of two sizes do not cross. Sizes
as small as these cross above T_c.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from pathlib import Path
from typing import Any

import _machine as machine

import flowlab as fl
from flowlab.analysis.disorder.averages import crossings

SYSTEMS: dict[int, dict[str, Any]] = {
    3: {"L": [4, 6], "temperatures": "0.8,0.9,1.0,1.1,1.2,1.3,1.4,1.6", "T": 0.8, "steps": 600},
    2: {"L": [4, 8], "temperatures": "0.4,0.5,0.6,0.8,1.0,1.2,1.4", "T": 0.4, "steps": 600, "clusters": True},
}
PUBLISHED = {3: 1.102, 2: 0.0}
SHARED: dict[str, Any] = {"couplings": "ea", "kind": "pm1", "replicas": 6, "sweeps": 4, "samples": 300}
COLUMNS: list[machine.Column] = [
    ("d", 2, "d"), ("L", 3, "d"), ("T", 5, ".2f"), ("Binder", 7, ".4f"), ("error", 7, ".4f"), ("chi_SG", 8, ".3f"),
    ("chi_SG error", 12, ".3f"), ("instances", 9, "d"),
]  # fmt: skip


def measured(d: int, instances: int, runs: Path, workers: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of Binder cumulants and spin-glass susceptibilities, and the crossing of two sizes."""
    keys = dict(SYSTEMS[d])
    over = {"L": keys.pop("L"), "seed_J": range(instances)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fl.estimators.UntrustedWarning)
        found = fl.sweep("glass-pt", over, out=runs / f"d{d}", workers=workers, d=d, **SHARED, **keys)
    mean = fl.average(found, "seed_J")
    rows = []
    for L in mean.L.values.tolist():
        for T in mean.kept_temperature.values.tolist():
            here = mean.sel(L=L, kept_temperature=T)
            values = [float(here[name]) for name in ("overlap_binder", "overlap_binder_error", "susceptibility")]
            more = {"chi_SG error": float(here.susceptibility_error), "instances": int(mean.instances.sel(L=L))}
            rows.append({"d": d, "L": L, "T": T} | dict(zip(("Binder", "error", "chi_SG"), values, strict=True)) | more)
            print(machine.line(rows[-1], COLUMNS), flush=True)
    crossed = crossings(found).isel(L=0)
    numbers = {name: float(crossed[name]) for name in ("crossing", "crossing_error")}
    known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    return rows, {"d": d, "L": int(crossed.L), "larger": int(crossed.larger), **known, "published T_c": PUBLISHED[d]}


def main() -> None:
    parser = machine.parser(__doc__, "glass_transition")
    parser.add_argument("--instances", type=int, default=20, help="of each size (default 20)")
    parser.add_argument("--runs", type=Path, help="folder of the runs, in which a sweep goes on where it was")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [measured(d, options.instances, options.runs or Path(folder), options.workers) for d in SYSTEMS]
    rows = {"rows": [row for rows, _ in found for row in rows], "crossings": [crossing for _, crossing in found]}
    print(*rows["crossings"], sep="\n")
    machine.write(options.out, rows)


if __name__ == "__main__":
    main()
