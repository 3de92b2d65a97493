"""How good a flow is after a given time of training on the 2D Ising model at its critical temperature.

    python benchmarks/training.py [--quick] [--seeds 1 2 3]

Each row is one run of ``ising-xor`` with its horizon chosen for the time; the evaluation takes 20,000 samples.
"""

from __future__ import annotations

import time

import _machine as machine

import flowlab as fl

ROWS = [
    {"L": 8, "seconds": 110, "start": "local_field"},
    {"L": 8, "seconds": 110, "start": "identity"},
    {"L": 16, "seconds": 560, "start": "identity"},
]
"""The goals: ESS 0.97 and a gap of 5e-4 per site in 120 s at L = 8, ESS 0.5 in 10 minutes at L = 16."""


def measure(L: int, seconds: float, start: str, seed: int) -> dict[str, float | int | str]:
    """Train for a time, then evaluate."""
    trial = fl.experiment("ising-xor", L=L, start=start, seed=seed, device="cpu")
    steps = int(seconds / trial.seconds_per_step())
    run = fl.experiment("ising-xor", L=L, start=start, steps=steps, seed=seed, device="cpu")
    started = time.perf_counter()
    run.run(progress=False)
    trained = time.perf_counter() - started
    result = run.evaluate(20_000)
    gap = float(result.free_energy_bound) + run.keys["T"] * run.log_z_exact
    return {
        "L": L,
        "start": start,
        "seed": seed,
        "steps": steps,
        "seconds": trained,
        "ess": float(result.ess),
        "gap_per_site": gap / L**2,
        "gap_per_site_error": float(result.free_energy_bound_per_site_error),
        "log_z": float(result.log_z),
        "log_z_error": float(result.log_z_error),
        "log_z_exact": run.log_z_exact,
    }


def main() -> None:
    parser = machine.parser(__doc__, "training")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the time")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 16])
    options = parser.parse_args()
    rows = []
    heads = {"L": 3, "start": 12, "seed": 4, "steps": 6, "seconds": 8, "ESS": 6, "gap/site": 17, "ln Z - exact": 18}
    print(" ".join(head.rjust(width) for head, width in heads.items()))
    for row in ROWS:
        for seed in options.seeds if row["L"] in options.sizes else []:
            r = measure(**row | {"seconds": row["seconds"] / (20 if options.quick else 1)}, seed=seed)
            rows.append(r)
            print(
                f"{r['L']:3d} {r['start']:>12} {seed:4d} {r['steps']:6d} {r['seconds']:8.1f} {r['ess']:6.3f} "
                f"{r['gap_per_site']:9.2e} ± {r['gap_per_site_error']:.0e} "
                f"{r['log_z'] - r['log_z_exact']:+9.4f} ± {r['log_z_error']:.4f}",
                flush=True,
            )
    machine.write(options.out, rows)


if __name__ == "__main__":
    main()
