"""``import flowlab`` loads nothing that is not asked for, and the first run only what every run needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["plotly", "ipywidgets", "anywidget", "pyerrors", "matplotlib"]
HEAVY += ["dask", "distributed", "numba", "zuko", "torchdiffeq"]  # where they are installed at all
HEAVY += ["scipy.special", "scipy.optimize", "h5netcdf", "flowlab.studies"]
ALONE = [*HEAVY, "torch", "xarray", "pandas", "numpy"]
SECONDS, SECONDS_OF_USE = 0.3, 4.0  # of the processor, so that a busy machine counts little; most of it is torch
PROBE = f"""
import json, sys, time
start = time.process_time()
import flowlab
alone = time.process_time() - start, [name for name in {ALONE} if name in sys.modules]
flowlab.experiment, flowlab.Ising, flowlab.Training
used = time.process_time() - start, [name for name in {HEAVY} if name in sys.modules]
print(json.dumps([alone, used]))
"""


@pytest.fixture(scope="module")
def imports() -> list[list]:
    """Three imports, each in a fresh interpreter; the first may have to compile and to read from a cold disk."""
    return [json.loads(subprocess.check_output([sys.executable, "-c", PROBE], timeout=120)) for _ in range(3)]


def test_nothing_heavy_is_loaded(imports: list[list]) -> None:
    assert [loaded for _, loaded in imports[0]] == [[], []]


def test_it_is_quick(imports: list[list]) -> None:
    assert min(alone for (alone, _), _ in imports) < SECONDS
    assert min(used for _, (used, _) in imports) < SECONDS_OF_USE
