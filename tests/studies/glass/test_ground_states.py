"""The lowest energies that tempering finds, beside exact ones by a transfer of whole rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import flowlab as fl

PUBLIC = Path(__file__).parents[2] / "data/ea2d_couplings_N100_J0_seed370513139.txt"


def ground_energy(J: np.ndarray, L: int) -> float:
    """Of an L x L lattice, periodic or not: the least energy of rows so far, for every first and every newest row."""
    states = np.arange(2**L)
    spin = 2.0 * ((states[:, None] >> np.arange(L)) & 1) - 1
    J = J.reshape(L, L, L, L)

    def along(y: int) -> np.ndarray:
        return -sum(J[y, x, y, z] * spin[:, x] * spin[:, z] for x in range(L) for z in range(x))

    least = np.full((2**L, 2**L), np.inf)  # first row, newest row
    least[states, states] = along(0)
    for y in range(1, L):
        for x in range(L):
            pairs = least.reshape(2**L, 2 ** (L - 1 - x), 2, 2**x)
            bond = J[y - 1, x, y, x]
            same = np.minimum(pairs[:, :, 0] - bond, pairs[:, :, 1] + bond)
            other = np.minimum(pairs[:, :, 0] + bond, pairs[:, :, 1] - bond)
            least = np.stack([same, other], axis=2).reshape(2**L, 2**L)
        least += along(y)
    around = -(spin * np.array([J[L - 1, x, 0, x] for x in range(L)])) @ spin.T if L > 2 else 0.0
    return float((least + around).min())


def test_the_transfer_agrees_with_all_states():
    glass = fl.SpinGlass.edwards_anderson((4, 4), 1.0, seed=2)
    s = torch.tensor(2.0 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1) - 1).reshape(-1, 4, 4)
    assert ground_energy(glass.J.numpy(), 4) == pytest.approx(float(glass.energy(s).min()))


@pytest.mark.parametrize("clusters", [False, True])
def test_the_lowest_energy_of_a_public_instance(clusters, tmp_path):
    run = fl.experiment(
        "glass-pt", couplings=f"file:{PUBLIC}", T=0.4, temperatures="0.4,1", steps=150, replicas=3, samples=60,
        clusters=clusters, out=tmp_path / "run",
    )  # fmt: skip
    run.run(progress=False)
    exact = ground_energy(run.system.J.numpy(), 10)
    for data in (run.data, fl.load(tmp_path / "run").data, run.evaluate(50)):
        found = data.configuration_lowest
        assert float(run.system.energy(torch.tensor(found.values)[None].double())) == found.attrs["energy"]
        assert found.attrs["energy"] == pytest.approx(exact, abs=1e-9)
    assert float(run.evaluate(50).energy_lowest) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_lowest_energy_of_open_planes(seed):
    run = fl.experiment("glass-pt", couplings="ea", L=8, boundary="open", seed_J=seed, T=0.4, temperatures="0.4,1",
                        steps=80, replicas=3, samples=60, ladder="adapted", clusters=True)  # fmt: skip
    run.run(progress=False)
    assert float(run.evaluate(50).energy_lowest) == ground_energy(run.system.J.numpy(), 8)


def test_an_exact_sampler_of_a_cold_plane_is_no_collapse_beside_clusters():
    run = fl.experiment("tensor-network", couplings="ea", L=8, T=0.5, seed_J=1, compare=True, steps=1, batch=50)
    run.run(progress=False)
    found = run.evaluate(2000)
    assert run.comparison.run().verdict.thermalised
    assert float(found.mode_collapse) == 0 and float(found.overlap_total_variation) < 0.1
