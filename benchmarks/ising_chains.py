"""Ising chains: spin updates or flips per second near T_c, and ln Z by annealed importance sampling against Kaufman.

    python benchmarks/ising_chains.py [--quick] [--threads 1] [--sizes 32 64] [--seconds 60] [--out FILE]

Speeds are per second of one core, the best of several runs: spins looked at, for Wolff spins flipped.
Annealing runs at beta = 0.44 for about ``--seconds`` at each size and for each kind of moves, L² steps a chain.
"""

from __future__ import annotations

import time
from typing import Any

import _machine as machine

from flowlab import exact
from flowlab.core import named_generator
from flowlab.mcmc.annealed_importance import AnnealedImportance
from flowlab.mcmc.heat_bath import HeatBath, IsingChain, Metropolis
from flowlab.mcmc.swendsen_wang import SwendsenWang
from flowlab.mcmc.wolff import Wolff
from flowlab.systems import CRITICAL_TEMPERATURE, Ising

GOAL = 30.0
"""Millions of Wolff flips per second to reach on one core."""
BETA = 0.44
SPINS = 1e7


def compile_seconds() -> float:
    start = time.perf_counter()
    AnnealedImportance(Ising((4, 4), 2.0), 2).run(2)
    return time.perf_counter() - start


def speed(kind: type[IsingChain], L: int, repeats: int) -> dict[str, Any]:
    chain = kind(Ising((L, L), CRITICAL_TEMPERATURE))
    n, sweeps = 4, max(10, round(SPINS / 4 / L**2))
    state = chain.run(chain.init(n, generator=named_generator(0, "benchmark")), 200)[0]
    best = 0.0
    for _ in range(repeats):
        looks = n * sweeps * L**2
        if kind is Wolff:
            looks = flips(chain, state, sweeps)
        start = time.process_time()
        chain.run(state, sweeps)
        best = max(best, looks / (time.process_time() - start) / 1e6)
    return {"chain": kind.__name__, "L": L, "M/s": best}


def flips(chain: IsingChain, state: Any, sweeps: int) -> int:
    """How many spins the run from this state flips; the run after it is the same one."""
    return int(chain._advance(state, sweeps)[1].flipped.sum())


def log_z(L: int, moves: str, schedule: str, seconds: float, threads: int) -> dict[str, Any]:
    system = Ising((L, L), 1 / BETA)
    annealing = AnnealedImportance(system, L**2, moves=moves, schedule=schedule, threads=threads)
    annealing.run(2)
    trial = max(4 * threads, 2**22 // L**4)
    start = time.perf_counter()
    annealing.run(trial, generator=named_generator(0, "benchmark", "trial"))
    n = max(2, int(seconds / (time.perf_counter() - start) * trial))
    start, cpu = time.perf_counter(), time.process_time()
    found = annealing.run(n, generator=named_generator(0, "benchmark", L, moves))
    spent, known = time.perf_counter() - start, exact.kaufman((L, L), BETA).log_z
    return {
        "L": L,
        "moves": moves,
        "schedule": schedule,
        "steps": annealing.steps,
        "chains": n,
        "seconds": spent,
        "cpu seconds": time.process_time() - cpu,
        "log_z": found.log_z,
        "log_z_error": found.log_z_error,
        "log_z_exact": known,
        "z": (found.log_z - known) / found.log_z_error,
        "ess": found.ess,
    }


def main() -> None:
    parser = machine.parser(__doc__, "ising_chains")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, 2 seconds of annealing, L = 32 only")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64], help="sizes of the annealing")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each annealing")
    parser.add_argument("--threads", type=int, default=1, help="of the annealing")
    args = parser.parse_args()
    if args.quick:
        args.sizes, args.seconds = args.sizes[:1], 2.0

    print(f"Ising chains, {machine.describe()['cpu']}")
    ready = compile_seconds()
    print(f"first use: {ready:.1f} s")
    print(f"{'chain':14} {'L':>4} {'M spins/s':>10}   (Wolff: flips, goal {GOAL:.0f})")
    speeds = []
    for L in (32, 64, 128):
        for kind in (HeatBath, Metropolis, SwendsenWang, Wolff):
            row = speed(kind, L, 2 if args.quick else 5)
            speeds.append(row)
            print(f"{row['chain']:14} {L:4d} {row['M/s']:10.1f}", flush=True)
    heads = ["ln Z by", "schedule", "L", "steps", "chains", "s", "cpu s", "error", "z", "ESS"]
    print("{:14} {:9} {:>4} {:>6} {:>6} {:>6} {:>6} {:>8} {:>6} {:>6}".format(*heads))
    annealed = []
    for L in args.sizes:
        for moves, schedule in (("wolff", "uniform"), ("wolff", "critical"), ("swendsen_wang", "uniform")):
            row = log_z(L, moves, schedule, args.seconds, args.threads)
            annealed.append(row)
            print(
                f"{moves:14} {schedule:9} {L:4d} {row['steps']:6d} {row['chains']:6d} {row['seconds']:6.1f} "
                f"{row['cpu seconds']:6.1f} {row['log_z_error']:8.4f} {row['z']:6.2f} {row['ess']:6.3f}",
                flush=True,
            )
    machine.write(args.out, {"first use seconds": ready, "speed": speeds, "log z": annealed})


if __name__ == "__main__":
    main()
