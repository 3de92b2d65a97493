"""One sampler a system: what a minute on one thread gives.

    python benchmarks/systems.py [--only phi4-flow]

Each row is a study with these keys, trained over its steps; 20,000 draws.
"""

from __future__ import annotations

import math
import time
from typing import Any

import _machine as machine
import torch

import flowlab as fl
from flowlab.estimators.weights.evidence import shown

SYSTEMS: list[tuple[str, str, dict[str, Any]]] = [
    ("Ising, 8 × 8, T = 2.3, layer by layer", "ising-xor", {"L": 8, "T": 2.3, "steps": 1500}),
    ("Ising, 16 × 16 at β = 0.44", "ising-coloured", {"L": 16, "beta": 0.44}),
    ("spin glass, 64 spins, T = 1", "sk-autoregressive", {"N": 64, "T": 1.0, "steps": 4000}),
    ("lattice φ⁴, 8 × 8, ξ = L/4", "phi4-flow", {"L": 8, "steps": 1000}),
    ("lattice φ⁴, 12 × 12, ξ = L/4", "phi4-multilevel", {"L": 12, "steps": 500}),
    ("lattice φ⁴, 4 × 4 refined to 8 × 8", "phi4-ir-matching", {"coarse": 4, "L": 8, "kappa": 0.26}),
    ("free field, 14 × 14", "phi4-free", {"L": 14}),
]
COLUMNS: list[machine.Column] = [
    ("your system", 38, "s"), ("study", 18, "s"), ("steps", 5, "d"), ("cpu s", 5, ".0f"), ("ESS", 5, ".3f"),
    ("acceptance", 10, ".3f"), ("ln Z - exact, in errors", 23, "+.1f"), ("verdict", 20, "s"),
]  # fmt: skip


def measure(system: str, study: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Train and evaluate, in the process that calls."""
    torch.set_num_threads(1)
    run, started = fl.experiment(study, device="cpu", threads=1, **keys), time.process_time()
    run.run(progress=False)
    spent = time.process_time() - started
    with shown():
        found = run.evaluate(20_000)
    exact = math.nan if run.log_z_exact is None else run.log_z_exact
    off = (float(found.log_z) - exact) / float(found.log_z_error)
    return {
        "your system": system, "study": study, "steps": run.step, "cpu s": spent, "ESS": float(found.ess),
        "acceptance": float(found.acceptance), "ln Z - exact, in errors": None if math.isnan(off) else off,
        "verdict": found.attrs["verdict"].partition(":")[0], "keys": keys,
    }  # fmt: skip


def main() -> None:
    parser = machine.parser(__doc__, "systems")
    parser.add_argument("--only", default="", help="studies, parted by colons")
    options = parser.parse_args()
    rows = []
    print(machine.head(COLUMNS))
    for system, study, keys in SYSTEMS:
        if not options.only or study in options.only.split(":"):
            rows.append(machine.apart(measure, system, study, keys))
            print(machine.line(rows[-1], COLUMNS), flush=True)
    machine.write(options.out, rows)


if __name__ == "__main__":
    main()
