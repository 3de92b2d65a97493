"""What a person's process may have switched on around a run: it trains as it would without, or says what is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import flowlab as fl


def losses() -> np.ndarray:
    run = fl.experiment("ising-xor", L=2, steps=3, batch=8, device="cpu", seed=5)
    return np.asarray(run.run(progress=False).loss)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


AROUND = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": deterministic,
}


@pytest.mark.parametrize("around", AROUND)
def test_a_run_trains_as_it_would_without(around):
    expected = losses()
    with AROUND[around]():
        found = losses()
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("around", AROUND)
def test_a_run_that_was_built_before_trains_on(around):
    run = fl.experiment("ising-xor", L=2, steps=3, batch=8, device="cpu", seed=5)
    for _ in run.stream(1):
        pass
    with AROUND[around]():
        run.run(progress=False)
    run.sample(4)
    assert np.array_equal(run.data.loss, losses())


def test_too_many_threads_are_refused_before_anything_is_done():
    for threads in (3000, -1, 2.5, "2", None, True):
        with pytest.raises((TypeError, ValueError), match="threads must be"):
            fl.Training(
                fl.Ising((2, 2), 2.0), fl.MADE((2, 2)), fl.ReverseKL(), steps=1, batch=2, learning_rate=0.1,
                threads=threads,
            )  # fmt: skip
