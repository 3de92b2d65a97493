"""Mirrored clusters of planar spins: exact energies, and what they refuse."""

import json
from pathlib import Path

import pytest

import flowlab as fl
from flowlab.mcmc import XYClusters

FOUR = json.loads((Path(__file__).parents[1] / "data" / "xy_4x4.json").read_text())


@pytest.mark.parametrize("T", ["0.8", "1.5"])
def test_energy_is_exact(T):
    run = fl.experiment("xy-chain", L=4, T=float(T), steps=150, chains=64, every=3)
    run.run(progress=False)
    found = run.evaluate()
    assert abs(float(found.energy_per_site) - FOUR[T]["energy_per_site"]) < 4 * float(found.energy_per_site_error)


def test_refused():
    with pytest.raises(TypeError, match="clusters of planar spins need an XY system, got Ising"):
        XYClusters(fl.Ising((4, 4), 1.0))
    with pytest.raises(TypeError, match="got Decimated"):
        XYClusters(fl.XY((4, 4), 1.0).decimate())
    with pytest.raises(ValueError, match="J must be positive for clusters, got -1"):
        XYClusters(fl.XY((4, 4), 1.0, J=-1.0))
