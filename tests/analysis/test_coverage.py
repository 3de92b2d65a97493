"""Errors cover: evaluations of a small model with fresh draws, and short chains with fresh seeds, by exact values.

The larger version, for every study, is ``benchmarks/coverage_of_errors.py``.
"""

from __future__ import annotations

import numpy as np

import flowlab as fl
from flowlab.exact.enumeration import enumerate_spins

REPEATS = 40


def pulls(evaluations, exact: dict[str, float]) -> np.ndarray:
    """(evaluation, quantity) deviations from the exact values in errors."""
    return np.array([[(float(e[k]) - v) / float(e[f"{k}_error"]) for k, v in exact.items()] for e in evaluations])


def check(z: np.ndarray) -> None:
    """68 and 95 % of the deviations within 1 and 1.96 errors, allowing for how far so few may scatter."""
    noise = 3 / np.sqrt(len(z))  # numbers of one evaluation move together: each evaluation counts once
    for sigmas, share in ((1.0, 0.683), (1.96, 0.95)):
        found = float((np.abs(z) < sigmas).mean())
        assert abs(found - share) < noise * np.sqrt(share * (1 - share)), (sigmas, found)


def test_errors_of_an_evaluation_cover_where_it_is_consistent():
    run = fl.experiment("ising-coloured", L=4, beta=0.44, steps=150, batch=100, device="cpu", seed=1)
    run.run(progress=False)
    moments = enumerate_spins(run.system)
    exact = {
        "log_z": moments.log_z,
        "energy_per_site": -float(run.system.temperature) * moments.log_weight_mean / 16,
        "abs_magnetization": moments.abs_magnetization,
        "susceptibility": moments.susceptibility,
    }
    found = [run.evaluate(500, seed=seed) for seed in range(REPEATS)]
    consistent = [one for one in found if one.attrs["verdict"].startswith("consistent: ")]
    assert len(consistent) > REPEATS / 2
    check(pulls(consistent, exact))


def test_errors_of_short_chains_cover():
    exact = fl.exact.kaufman((8, 8), 0.44)
    runs = [fl.experiment("ising-chain", L=8, beta=0.44, steps=60, seed=seed) for seed in range(40)]
    for run in runs:
        run.run(progress=False)
    found = [run.evaluate() for run in runs]
    check(pulls(found, {"energy_per_site": exact.energy_per_site}))
