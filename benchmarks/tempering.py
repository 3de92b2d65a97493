"""Parallel tempering: spin updates per second and the time to compile; with --check, thermodynamics at N = 64.

    python benchmarks/tempering.py [--quick] [--check] [--threads 1] [--out FILE]

Speeds are averages over 20 temperatures from 0.2 to 2.5, the best of several runs, per second of one processor. The
check compares E, C and ln Z at 20 temperatures with the reference values of the tests, in standard errors of both.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import _machine as machine
import numpy as np
import scipy.sparse

from flowlab.core import named_generator
from flowlab.estimators.series.tempering import log_z_bennett, log_z_integration, thermalisation, thermodynamics
from flowlab.mcmc import ParallelTempering, TemperingState, ladder
from flowlab.systems import Ising, SpinGlass

GOALS = {"Edwards-Anderson 8 x 8 x 8": 60.0}
"""Millions of spin updates per processor second to reach, 20 where nothing is said."""
REFERENCE = Path(__file__).parents[1] / "tests" / "data" / "public_sk_pt.json"
UPDATES = 8e6
TEMPERATURES = np.geomspace(0.2, 2.5, 20)


def glass(n: int, seed: int = 0) -> SpinGlass:
    return SpinGlass.sherrington_kirkpatrick(n, 1.0, seed)


def hub(n: int) -> SpinGlass:
    """A chain of n sites, the first of which is coupled to all others."""
    rows, columns = np.append(np.zeros(n - 1, int), np.arange(1, n - 1)), np.append(np.arange(1, n), np.arange(2, n))
    values = np.random.default_rng(0).standard_normal(len(rows))
    J = scipy.sparse.coo_array((values, (rows, columns)), shape=(n, n)).tocsr()
    return SpinGlass(J + J.T, 1.0)


def systems() -> dict[str, Any]:
    dense = {f"Sherrington-Kirkpatrick {n}": glass(n) for n in (16, 64, 256)}
    sparse = {
        "Edwards-Anderson 8 x 8 x 8": SpinGlass.edwards_anderson((8, 8, 8), 1.0),
        "Ising 16 x 16": Ising((16, 16), 1.0),
        "chain of 2,000 with a hub": hub(2000),
    }
    return dense | sparse


def thermalised(chain: ParallelTempering, steps: int) -> TemperingState:
    return chain.run(chain.init(generator=named_generator(0, "benchmark")), steps)[0]


def compile_seconds() -> float:
    chain = ParallelTempering(glass(4), [0.5, 1.0])
    start = time.perf_counter()
    thermalised(chain, 1)
    return time.perf_counter() - start


def speed(name: str, system: Any, threads: int, repeats: int) -> dict[str, Any]:
    chain = ParallelTempering(system, TEMPERATURES.tolist(), replicas=2, threads=threads)
    per_step = 2 * len(TEMPERATURES) * chain.n_sites
    steps = max(1, round(UPDATES / per_step))
    state, seconds = thermalised(chain, steps), []
    for _ in range(repeats):
        start = time.process_time()
        state = chain.run(state, steps)[0]
        seconds.append(time.process_time() - start)
    rate = per_step * steps / min(seconds) / 1e6
    return {"system": name, "threads": threads, "Mupdates/cpu s": rate, "goal": GOALS.get(name, 20.0)}


def check(seed: int, steps: int) -> dict[str, Any]:
    """Largest |z| against the reference and largest error relative to its own, after discarding a tenth."""
    case = next(c for c in json.loads(REFERENCE.read_text())["cases"] if (c["N"], c["seed"]) == (64, seed))
    rows = case["thermodynamics"]
    temperatures = ladder([row["T"] for row in rows], 64)
    chain = ParallelTempering(glass(64, seed), temperatures)
    start = time.perf_counter()
    state = thermalised(chain, steps // 10)
    end, energies, _ = chain.run(state, steps)
    arguments = energies[:, 0], temperatures, 64
    found = thermodynamics(*arguments)
    estimates = {"E": (found.energy_per_site, "E_per_site"), "C": (found.specific_heat, "C_per_site")}
    estimates |= {
        "ln Z": (log_z_bennett(*arguments), "lnZ"),
        "ln Z by integration": (log_z_integration(*arguments), "lnZ"),
    }
    verdict = thermalisation(energies[:, 0], temperatures, round_trips=(end.round_trips - state.round_trips)[0])
    seconds = time.perf_counter() - start
    places = [temperatures.index(row["T"]) for row in rows]
    result: dict[str, Any] = {"seed": seed, "steps": steps, "seconds": seconds, "verdict": verdict.text}
    for name, (estimate, key) in estimates.items():
        known, known_error = (np.array([row[key + suffix] for row in rows]) for suffix in ("", "_err"))
        value, error = estimate.value[places], estimate.error[places]
        result[name] = {
            "worst z": float(np.max(np.abs(value - known) / np.hypot(error, known_error))),
            "worst error ratio": float(np.max(error / known_error)),
        }
    return result


def main() -> None:
    parser = machine.parser(__doc__, "tempering")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--check", action="store_true", help="also compare N = 64 with the reference, about a minute")
    parser.add_argument("--steps", type=int, default=100_000, help="of the check")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    args = parser.parse_args()

    print(f"parallel tempering, {machine.describe()['cpu']}")
    ready = compile_seconds()
    print(f"first use: {ready:.1f} s")
    print(f"{'system':28} {'threads':>7} {'M updates/cpu s':>15} {'goal':>5}")
    speeds = []
    for threads in args.threads:
        for name, system in systems().items():
            row = speed(name, system, threads, 2 if args.quick else 5)
            speeds.append(row)
            print(f"{name:28} {threads:7d} {row['Mupdates/cpu s']:15.1f} {row['goal']:5.0f}", flush=True)
    checks = [check(seed, args.steps) for seed in (0, 1)] if args.check else []
    for row in checks:
        print(f"N = 64, instance {row['seed']}, {row['steps']} steps, {row['seconds']:.1f} s: {row['verdict']}")
        for name in ("E", "C", "ln Z", "ln Z by integration"):
            worst = row[name]
            print(f"  {name:20} worst z {worst['worst z']:.2f}, worst error ratio {worst['worst error ratio']:.2f}")
    machine.write(args.out, {"first use seconds": ready, "speed": speeds, "check": checks})


if __name__ == "__main__":
    main()
