"""phi4-hmc against the reference numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from flowlab.studies.phi4.hmc import phi4_hmc

CASES = json.loads((Path(__file__).parents[2] / "data" / "public_phi4_mc.json").read_text())["cases"]
NAMES = {
    "phi2": "phi_squared",
    "abs_M_per_site": "abs_magnetization",
    "chi": "susceptibility",
    "chi_connected": "susceptibility_connected",
    "G_q1": "structure_factor_1",
    "action_per_site": "action_per_site",
    "xi": "correlation_length",
    "binder": "binder",
}


def couplings(case):
    return {name: case[name] for name in ("beta", "kappa", "lam") if name in case}


@pytest.mark.parametrize("case", [case for case in CASES if case["L"] == 8], ids=lambda case: case["form"])
def test_agrees_with_the_reference(case):
    run = phi4_hmc(L=8, chains=100, tuning=40, steps=16, trajectory=8, seed=5, **couplings(case))
    vars(run)["log_z_exact"] = None  # takes longer than the chains
    run.run(progress=False)
    found = run.evaluate()
    for there, here in NAMES.items():
        if here == "correlation_length" and case[there] > case["L"]:
            assert "ordered" in found[here].reason
            continue
        error = math.hypot(float(found[f"{here}_error"]), case[f"{there}_err"])
        assert abs(float(found[here]) - case[there]) < 4 * error, here
        assert float(found[f"{here}_error"]) < 12 * case[f"{there}_err"], here
    assert abs(float(found.equation_of_motion) - 1) < 4 * float(found.equation_of_motion_error) < 0.06


def test_keys():
    run = phi4_hmc(L=20, samples=100, steps=50)
    assert run.chain.steps == 30 and run.keep_every == 28 and run.chains == 64
    assert phi4_hmc(L=4, d=3, kappa=0.1, trajectory=5).chain.steps == 5
    assert phi4_hmc(L=6, step_size=0.2).chain.tuning == 0
    assert phi4_hmc(L=4, kappa=0.2).system.form == "kappa" and phi4_hmc(L=4, beta=0.4).system.form == "beta"
    assert phi4_hmc(L=4, d=1, beta=0.5).system.shape == (4,)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"L": 5}, "give beta or kappa"),
        ({"beta": 0.5, "lam": -0.1}, "lam must be"),
        ({"samples": 0}, "samples must be"),
        ({"chains": 0}, "chains must be at least 1"),
        ({"trajectory": 0}, "trajectory must be"),
        ({"beta": 0.5, "steps": 5}, "steps must be at least 24: 20 tune or are discarded, got 5"),
    ],
)
def test_refuses(keys, message):
    with pytest.raises(ValueError, match=message):
        phi4_hmc(**keys)
