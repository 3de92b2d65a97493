"""Do errors cover? Evaluations of small runs repeated with fresh seeds, against exact values.

    python benchmarks/coverage_of_errors.py [--repeats 200] [-n 2000] [--only ising-xor:sk-xor] [--out FILE]

Every study that trains is trained for some seconds, then evaluated again and again with other draws. A row of the
table: how many evaluations were consistent, not to be trusted and not checked; and of the consistent ones how often
ln Z, energy, |m|, susceptibility and specific heat lie within 1 and 1.96 errors of the exact values (.683, .950). Where
a part is flagged, flags take the draws that hold the largest weights, and the rest lie low: "all ln Z" is that of all
evaluations that know their error, flagged or not. For fields the exact values are ln Z and <phi dS/dphi> = 1. Chains
are short runs with seeds of their own. Rows are written as they come, and a later call leaves out those that are there.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import _machine as machine
import numpy as np
import torch

import flowlab as fl
from flowlab.estimators.weights.evidence import shown
from flowlab.exact.enumeration import enumerate_spins

SPINS: dict[str, dict[str, Any]] = {
    "ising-xor": {"L": 4, "T": 2.3, "steps": 300},
    "ising-coloured": {"L": 4, "beta": 0.44, "steps": 100},
    "ising-rigcs": {"L": 4, "beta": 0.44, "steps": 100},
    "ising-han": {"L": 4, "beta": 0.44, "steps": 100},
    "ising-mlmc-hb": {"L": 4, "beta": 0.44, "steps": 20},
    "ising-van": {"L": 4, "beta": 0.44, "steps": 200},
    "ising-tokens": {"L": 4, "steps": 200},
    "ising-cluster-ais": {"L": 4, "beta": 0.44},
    "sk-autoregressive": {"N": 10, "T": 1.0, "steps": 300},
    "sk-xor": {"N": 10, "T": 1.5, "steps": 300},
    "sk-reverse": {"N": 8, "T": 2.0, "steps": 300},
    "sk-forward": {"N": 8, "T": 2.0, "steps": 300},
}
FIELDS: dict[str, dict[str, Any]] = {
    "phi4-affine": {"L": 4, "beta": 0.5, "steps": 1000},
    "phi4-spline": {"L": 4, "beta": 0.5, "steps": 200},
    "phi4-hybrid": {"L": 4, "beta": 0.5, "steps": 100},
    "phi4-flow": {"L": 4, "beta": 0.5, "steps": 100},
    "phi4-free": {"L": 4, "steps": 300},
    "phi4-multilevel": {"L": 4, "beta": 0.5, "steps": 100},
    "phi4-pixelcnn": {"L": 4, "beta": 0.5, "steps": 100},
    "phi4-cnf": {"L": 4, "steps": 50},
    "phi4-ir-matching": {"L": 4, "coarse": 2, "steps": 30},
    "phi4-uv-matching": {"L": 4, "coarse": 2, "beta": 0.5, "steps": 100},
}
CHAINS: dict[str, dict[str, Any]] = {
    "ising-chain": {"L": 8, "beta": 0.44, "steps": 200, "chains": 8},
}
EXACT = {
    "log_z": lambda system, m: m.log_z,
    "energy_per_site": lambda system, m: -float(system.temperature) * m.log_weight_mean / system.n_sites,
    "specific_heat": lambda system, m: m.log_weight_variance / system.n_sites,
    "abs_magnetization": lambda system, m: m.abs_magnetization,
    "susceptibility": lambda system, m: m.susceptibility,
}
COLUMNS: list[machine.Column] = [
    ("study", 18, "s"), ("consistent", 10, "d"), ("not to be trusted", 17, "d"), ("not checked", 11, "d"),
    ("ess", 6, ".2f"),
    *((f"{name} {level}", 9 + len(name), ".3f") for name in ("ln Z", "all ln Z", "U", "C", "|m|", "chi", "eom")
      for level in ("68", "95")),
    ("seconds", 8, ".0f"),
]  # fmt: skip
SHORT = {"log_z": "ln Z", "energy_per_site": "U", "specific_heat": "C", "abs_magnetization": "|m|",
         "susceptibility": "chi", "equation_of_motion": "eom"}  # fmt: skip


def exact_values(run: Any) -> dict[str, float]:
    """What is known exactly of the run's system."""
    system = run.system
    if not system.variables.discrete:
        log_z = fl.exact.log_z(run.system)  # at the couplings that the run has learned, if it learns any
        return {"log_z": np.nan if log_z is None else log_z, "equation_of_motion": 1.0}
    if system.n_sites <= 16:
        moments, ordered = enumerate_spins(system), ("abs_magnetization", "susceptibility")
        names = [name for name in EXACT if not (system.disordered and name in ordered)]  # a glass has overlaps there
        return {name: EXACT[name](system, moments) for name in names}
    known = fl.exact.kaufman(system.shape, 1 / float(system.temperature))
    return {"energy_per_site": known.energy_per_site, "specific_heat": known.specific_heat_per_site}


def covered(study: str, keys: dict[str, Any], repeats: int, n: int) -> dict[str, Any]:
    """Train once and evaluate often, or, of chains, run often."""
    started = time.perf_counter()
    run = fl.experiment(study, seed=1, **keys)
    again = study in CHAINS or study == "ising-cluster-ais"
    if not again:
        run.run(progress=False)
    exact, pulls, verdicts, ess = exact_values(run), {}, [], []
    for repeat in range(repeats):
        with shown():
            if again:
                run = fl.experiment(study, seed=100 + repeat, **keys)
                run.run(progress=False)
                found = run.evaluate()
            else:
                found = run.evaluate(n, seed=1000 + repeat)
        verdicts.append(found.attrs["verdict"].partition(":")[0])
        ess.append(float(found.ess) if "ess" in found else np.nan)
        for name, value in exact.items():
            if name not in found:
                continue
            pull = (float(found[name]) - value) / float(found[f"{name}_error"])
            if verdicts[-1] != "not to be trusted":
                pulls.setdefault(SHORT[name], []).append(pull)
            if name == "log_z" and np.isfinite(pull):
                pulls.setdefault("all ln Z", []).append(pull)
    row: dict[str, Any] = {name: None for name, *_ in COLUMNS} | {"study": study, "ess": float(np.mean(ess))}
    row |= {word: verdicts.count(word) for word in ("consistent", "not to be trusted", "not checked")}
    for name, z in pulls.items():
        for level, sigmas in (("68", 1.0), ("95", 1.96)):
            row[f"{name} {level}"] = float(np.mean(np.abs(z) < sigmas))
    row["pulls"] = {name: (float(np.mean(z)), float(np.std(z))) for name, z in pulls.items()}
    about = {"repeats": repeats, "n": n, "keys": keys, "commit": machine.describe()["commit"]}
    return row | about | {"seconds": time.perf_counter() - started}


def written(path: Path) -> list[dict[str, Any]]:
    """The rows that an earlier call has left."""
    return list(json.loads(path.read_text())["rows"]) if path.exists() else []


def main() -> None:
    parser = machine.parser(__doc__, "coverage_of_errors")
    parser.add_argument("--repeats", type=int, default=200, help="evaluations of each study (default 200)")
    parser.add_argument("-n", type=int, default=2000, help="samples of each evaluation (default 2000)")
    parser.add_argument("--only", default="", help="studies, parted by colons")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = written(options.out)
    print(machine.head(COLUMNS))
    for study, keys in (SPINS | FIELDS | CHAINS).items():
        if options.only and study not in options.only.split(":"):
            continue
        same = {"study": study, "repeats": options.repeats, "n": options.n, "keys": keys}
        found = next((row for row in rows if same.items() <= row.items()), None)
        if found is None:
            found = covered(study, keys, options.repeats, options.n)
            rows = [row for row in rows if row["study"] != study] + [found]
            machine.write(options.out, rows)
        print(machine.line(found, COLUMNS), flush=True)


if __name__ == "__main__":
    main()
