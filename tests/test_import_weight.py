"""``import flowlab`` is quick and loads only what every user needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["plotly", "ipywidgets", "anywidget", "pyerrors", "matplotlib"]
HEAVY += ["dask", "distributed", "numba", "zuko", "torchdiffeq"]  # where they are installed at all
SECONDS = 5.0  # of the processor, so that a busy machine counts little; 2.5 is the aim
PROBE = f"""
import json, sys, time
start = time.process_time()
import flowlab
seconds = time.process_time() - start
print(json.dumps({{"seconds": seconds, "heavy": [name for name in {HEAVY} if name in sys.modules]}}))
"""


@pytest.fixture(scope="module")
def imports() -> list[dict]:
    """Three imports, each in a fresh interpreter; the first may have to compile and to read from a cold disk."""
    return [json.loads(subprocess.check_output([sys.executable, "-c", PROBE], timeout=120)) for _ in range(3)]


def test_nothing_heavy_is_loaded(imports: list[dict]) -> None:
    assert imports[0]["heavy"] == []


def test_it_is_quick(imports: list[dict]) -> None:
    assert min(record["seconds"] for record in imports) < SECONDS
