"""The Ising model by Markov chains, as a study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import flowlab as fl

REFERENCE = Path(__file__).parents[1] / "data" / "public_ising_mc.json"


@pytest.mark.parametrize("moves", ["wolff", "swendsen_wang", "heat_bath"])
def test_chains_agree_with_the_reference(moves):
    case = next(case for case in json.loads(REFERENCE.read_text())["cases"] if (case["L"], case["T"]) == (8, 1.8))
    run = fl.experiment("ising-chain", L=8, T=case["T"], moves=moves, chains=32, steps=60)
    run.run(progress=False)
    found = run.evaluate()
    for mine, theirs in (("energy_per_site", "E_per_site"), ("abs_magnetization", "abs_m"), ("susceptibility", "chi")):
        error = (float(found[f"{mine}_error"]) ** 2 + case[f"{theirs}_err"] ** 2) ** 0.5
        assert abs(float(found[mine]) - case[theirs]) < 4 * error


def test_cluster_moves_refuse_a_field():
    with pytest.raises(ValueError, match="h"):
        fl.experiment("ising-chain", L=8, h=0.1, moves="wolff")
