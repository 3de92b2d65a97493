"""What every test shares: the device, quiet threads, and the names doctests may use."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

os.environ.setdefault("FLOWLAB_SCALE", "tiny")  # whether every cell of a notebook runs; stored outputs are of more
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)

gc.disable()  # while modules and tests are gathered, of which nothing is garbage


def pytest_collection_finish(session: pytest.Session) -> None:
    """A tenth of the tests' time went into looking for garbage among what is gathered, which stays."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="torch device of the tests that take one: cpu, cuda, cuda:1, mps")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device asked for with ``--device``."""
    return torch.device(request.config.getoption("--device"))


@pytest.fixture(autouse=True, scope="session")
def _threads() -> None:
    """One thread: the matrices of the tests are small, and threads without a free core slow torch down manyfold."""
    torch.set_num_threads(1)


@pytest.fixture
def short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse chains forget their start as well as ever, and look for that sooner: for tests of other things."""
    monkeypatch.setattr("flowlab.densities.refined.coarse_chain.WARM_UP", 15)


@pytest.fixture
def few_enumerated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations sum over all configurations of 10 spins, not of 20: for tests of other things."""
    monkeypatch.setattr("flowlab.analysis.checks.enumerated.LARGEST", 1 << 10)


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace.update(np=np, torch=torch)


@pytest.fixture(autouse=True)
def _own_studies() -> Iterator[None]:
    """Studies that a test registers are forgotten after it."""
    yield
    registry = sys.modules.get("flowlab.runs.registry")
    for name, study in list(registry._studies.items()) if registry else []:
        if not study.function.__module__.startswith("flowlab.studies"):
            del registry._studies[name]
