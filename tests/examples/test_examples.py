"""The modules that docs/extending.md points to: short, right, and good for all that built-in ones are."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch

import flowlab as fl
from flowlab.systems.lattice import checkerboard
from flowlab.testing import check_chain, check_density, check_flow, check_objective, check_system
from flowlab.widgets import unregister

FOLDER = Path(__file__).parents[2] / "examples"
HOW = {"steps": 4, "batch": 32, "learning_rate": 1e-2}
EVEN = checkerboard((4, 4))


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    return lambda name: importlib.reload(importlib.import_module(f"examples.{name}"))


def loaded_and_gone_on_with(build: Callable[[], fl.Training], path: Path, name: str) -> fl.Training:
    run, whole = build(), build()
    run.run(2, progress=False)
    run.attach(path)
    again = fl.load(path, imports=[f"examples.{name}"])
    again.run(progress=False)
    whole.run(progress=False)
    assert again.data.loss.values.tolist() == whole.data.loss.values.tolist()
    return again


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_less_than_sixty_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60


def test_xy_model(example, tmp_path):
    xy = example("xy_model")
    system = xy.XY(4, T=1.5)
    check_system(system)
    check_flow(xy.CircleCoupling(EVEN), (4, 4), fl.Angles())
    flow = fl.Composed([xy.CircleCoupling(mask) for mask in (EVEN, ~EVEN)])
    density = fl.Pushforward(flow, xy.UniformAngles((4, 4)))
    check_density(density, fl.Angles(), tolerance=1e-6)

    def build() -> fl.Training:
        return fl.Training(system, deepcopy(density), fl.PathGradient(), **HOW)

    again = loaded_and_gone_on_with(build, tmp_path / "run", "xy_model")
    found = again.evaluate(500)
    assert float(found.log_z_bound) <= float(found.log_z) + 1 and again.sample(5).configuration.shape == (5, 4, 4)
    assert float(again.at(T=2.0).system.temperature) == 2.0
    assert again.check(0.3, n=500).attrs["verdict"]


def test_sine_gordon(example, tmp_path):
    module = example("sine_gordon")
    check_system(module.SineGordon(4, m2=0.3, alpha=2.0))

    def build() -> fl.Training:
        return fl.experiment("sine-gordon", L=4, steps=4, batch=32)

    again = loaded_and_gone_on_with(build, tmp_path / "run", "sine_gordon")
    assert again.grow().system.shape == (8, 8) and again.at(alpha=2.0).keys["alpha"] == 2.0
    assert "cos_phi" in again.evaluate(200)


def test_sinh_coupling(example, tmp_path):
    module = example("sinh_coupling")
    check_flow(module.SinhCoupling(EVEN), (4, 4))
    flow = fl.Composed([module.SinhCoupling(mask, network=module.two_layers) for mask in (EVEN, ~EVEN)])
    density = fl.Pushforward(flow, fl.Normal((4, 4)))
    check_density(density, fl.Reals(), tolerance=1e-6)

    def build() -> fl.Training:
        return fl.Training(fl.Phi4(4, kappa=0.2, lam=0.5), deepcopy(density), fl.ReverseKL(), **HOW)

    again = loaded_and_gone_on_with(build, tmp_path / "run", "sinh_coupling")
    assert [str(name) for name in again.layers(2).layer_name.values] == ["latent", "sinh 1", "sinh 2"]


def test_mixed_objective(example, tmp_path):
    module = example("mixed_objective")
    objective = module.MixedKL(chains=64, sweeps=20)
    check_objective(objective, fl.MADE((4, 4)), fl.Ising(4, T=3.0))

    def build() -> fl.Training:
        return fl.Training(fl.Ising(4, T=3.0), fl.MADE((4, 4)), module.MixedKL(chains=64, sweeps=20), **HOW)

    again = loaded_and_gone_on_with(build, tmp_path / "run", "mixed_objective")
    assert torch.isfinite(torch.tensor(again.data.loss_forward.values)).all()
    system = fl.Ising((2, 4), T=3.0)
    check_chain(fl.mcmc.Metropolis(system), system, n=1000)


def test_weights_panel(example):
    panel = example("weights_panel").WeightsPanel
    run = fl.Training(fl.Ising(4, T=3.0), fl.MADE((4, 4)), fl.ReverseKL(), **HOW)
    lab = fl.widgets.Lab(run)
    try:
        assert "Weights" in lab.widget.titles
        shown = panel(run)
        assert len(shown.snapshot().data[0].y) == 1000
        shown.close()
    finally:
        lab.close()
        unregister(panel)
