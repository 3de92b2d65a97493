"""Where a study computes."""

import pytest
import torch

import flowlab as fl
from flowlab.runs.process import available_devices, resolve_device


@pytest.mark.parametrize("cuda", [False, True])
def test_auto_is_cuda_or_the_cpu_on_a_machine_that_has_mps(monkeypatch, cuda):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert resolve_device("auto") == torch.device("cuda" if cuda else "cpu")
    assert "mps" not in available_devices()


@pytest.mark.parametrize("here", [False, True])
def test_an_explicit_mps_says_what_it_cannot_do(monkeypatch, here):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: here)
    for name in ("mps", "mps:0"):
        with pytest.raises(ValueError, match=rf"mps has no float64.*must be auto or one of .*cpu, got '{name}'"):
            resolve_device(name)
    with pytest.raises(ValueError, match="mps has no float64"):
        fl.experiment("ising-xor", L=4, device="mps")
    target, density = fl.Ising((2, 2), 2.0), fl.MADE((2, 2))
    with pytest.raises(ValueError, match="mps has no float64"):
        fl.Training(target, density, fl.ReverseKL(), steps=1, batch=2, learning_rate={"base": 1.0}, device="mps")


def test_a_device_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"device must be auto or one of .*cpu, got 'gpu'"):
        resolve_device("gpu")
