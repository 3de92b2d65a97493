"""Tensor networks of open planes: seconds of preparation, samples a second, ESS, and ln Z beside transfer matrices.

    python benchmarks/tensor_network.py [--out FILE]

``rows``: the study ``tensor-network`` on one thread; seconds are of processor time. ``ESS`` and the error of ln Z are
from so many draws, ``truncation`` is the largest part of a squared norm that a bond lost. ``exact``: how far ln Z of
the contraction is from that of a transfer matrix.
"""

from __future__ import annotations

import time
from typing import Any

import _machine as machine
import torch

from flowlab import exact
from flowlab.core import named_generator
from flowlab.densities import TensorNetwork
from flowlab.estimators.weights import weights
from flowlab.runs import experiment

COLUMNS = [
    ("system", 44, "s"),
    ("chi", 4, "d"),
    ("prepared in s", 13, ".1f"),
    ("samples a second", 16, ".0f"),
    ("draws", 6, "d"),
    ("ESS", 7, ".4f"),
    ("ln Z", 12, ".4f"),
    ("error", 8, ".1g"),
    ("truncation", 10, ".1g"),
    ("ln Z - exact", 12, ".1g"),
]
UNIFORM: dict[str, Any] = {"couplings": "uniform", "beta": 0.44}
GLASS: dict[str, Any] = {"couplings": "ea", "kind": "pm1", "T": 0.5}
RUNS: list[tuple[int, dict[str, Any]]] = [
    (1024, UNIFORM | {"L": 128}),
    (200, UNIFORM | {"L": 256}),
    *((1024, GLASS | {"L": 64, "seed_J": seed}) for seed in range(3)),
    (1024, GLASS | {"L": 64, "seed_J": 0, "chi": 32}),
    (500, GLASS | {"L": 128, "seed_J": 0}),
    (1024, GLASS | {"L": 10, "length": 64, "boundary": "cylinder", "seed_J": 0, "chi": 32}),
    (1024, {"couplings": "uniform", "q": 3, "beta": 1.001, "L": 32}),
]


def measured(draws: int, keys: dict[str, Any]) -> dict[str, Any]:
    """One system."""
    run = experiment("tensor-network", **keys, device="cpu", threads=1)
    density = run.density
    start = time.process_time()
    truncation = density.truncation
    prepared = time.process_time() - start
    start = time.process_time()
    x, log_q = density.sample(draws, generator=named_generator(0, "benchmark"))
    took = time.process_time() - start
    log_w = (run.system.log_weight(x) - log_q).numpy()
    log_z = weights.log_z(log_w)
    row = {
        "system": run.system.title, "chi": run.keys["chi"], "prepared in s": prepared, "samples a second": draws / took,
        "draws": draws, "ESS": weights.ess(log_w).value, "ln Z": log_z.value, "error": log_z.error,
        "truncation": truncation,
    }  # fmt: skip
    print(machine.line(row, COLUMNS[:-1]), flush=True)
    return row


def beside_transfer_matrices() -> list[dict[str, Any]]:
    """ln Z of the contraction and of the transfer matrix, where the latter can be had."""
    rows = []
    for L in (10, 12, 16):
        for keys in (UNIFORM, GLASS):
            run = experiment("tensor-network", **keys, L=L, chi=64, device="cpu")
            difference = TensorNetwork(run.system, 64).log_z - exact.log_z(run.system)
            rows.append({"system": run.system.title, "chi": 64, "ln Z - exact": difference})
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    options = machine.parser(__doc__, "tensor_network").parse_args()
    torch.set_num_threads(1)
    print(machine.head(COLUMNS[:-1]))
    machine.write(options.out, {"rows": [measured(*run) for run in RUNS], "exact": beside_transfer_matrices()})


if __name__ == "__main__":
    main()
