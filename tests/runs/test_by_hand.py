"""Runs that no study made: kept with what they were built with, loaded, warm-started and grown like the others."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch
import xarray as xr
from torch import nn

import flowlab as fl
from flowlab.analysis.reference import Reference
from flowlab.storage.store import Store

HOW = {"steps": 4, "batch": 20, "learning_rate": 1e-2}


def trained(density: fl.Density | None = None, **keys: object) -> fl.Training:
    density = fl.Z2Symmetrized(fl.MADE((4, 4))) if density is None else density
    run = fl.Training(fl.Ising((4, 4), T=3.0), density, fl.ReverseKL(), **HOW | keys)
    run.run(2, progress=False)
    return run


def test_loaded_it_goes_on_as_if_it_had_never_stopped(tmp_path):
    run, whole = trained(seed=3), trained(seed=3)
    run.attach(tmp_path / "run")
    again = fl.load(tmp_path / "run")
    assert (again.step, again.seed, again.study, again.system.title) == (2, 3, None, run.system.title)
    again.run(progress=False)
    whole.run(progress=False)
    assert again.data.loss.values.tolist() == whole.data.loss.values.tolist()
    assert float(again.evaluate(100).log_z) == float(whole.evaluate(100).log_z)


def test_real_fields_with_layers_of_masks_and_a_generator(tmp_path):
    generator = torch.Generator().manual_seed(5)
    masks = fl.flows.real.affine.checkerboard_masks((4, 4), 2)
    flow = fl.Composed([fl.AffineCoupling(mask, generator=generator) for mask in masks])
    target = fl.Phi4.from_beta((4, 4), beta=0.4, lam=0.5)
    run = fl.Training(target, fl.Pushforward(flow, fl.Normal((4, 4))), fl.ReverseKL(), **HOW)
    run.attach(tmp_path / "run")
    again = fl.load(tmp_path / "run")
    assert again.system.form == "beta"
    for name, value in again.density.state_dict().items():
        torch.testing.assert_close(value, run.density.state_dict()[name], rtol=0, atol=0)


def test_chains_are_loaded_too(tmp_path):
    def built() -> fl.ChainRun:
        system = fl.Phi4((4, 4), kappa=0.2, lam=0.02)
        return fl.ChainRun(system, fl.HMC(system, tuning=4), chains=4, steps=4, every=2)

    run = built()
    run.run(2, progress=False)
    run.attach(tmp_path / "run")
    again, whole = fl.load(tmp_path / "run").run(progress=False), built().run(progress=False)
    assert again.acceptance.values.tolist() == whole.acceptance.values.tolist()
    assert float(run.at(kappa=0.1).chain.system.couplings["kappa"]) == 0.1


def test_loaded_it_is_judged_compared_and_diagnosed_as_before(tmp_path):
    run = trained(steps=2)
    run.attach(tmp_path / "run")
    again = fl.load(tmp_path / "run")
    found, same = run.evaluate(400), again.evaluate(400)
    assert found.attrs["verdict"] == same.attrs["verdict"] and found.attrs["reasons"] == same.attrs["reasons"]
    xr.testing.assert_equal(run.diagnose(100, parts=["entropy"]), again.diagnose(100, parts=["entropy"]))
    glass = fl.SpinGlass.sherrington_kirkpatrick(6, T=1.5, seed=1)
    quick = Reference(glass, (1.5, 2.5), samples=400, replicas=4, seed=2)
    run = fl.Training(glass, fl.densities.CoupledMADE(glass), fl.ReverseKL(), comparison=quick, **HOW)
    run.run(progress=False)
    run.attach(tmp_path / "glass")
    again = fl.load(tmp_path / "glass")
    assert again.comparison is not None and again.comparison.temperatures == run.comparison.temperatures
    assert "forward_kl" in again.evaluate(400)


def test_at_other_couplings_it_starts_from_its_weights(tmp_path):
    run = trained()
    other = run.at(T=2.5, steps=7)
    assert (float(other.system.temperature), other.steps, other.annealing) == (2.5, 7, None)
    assert other.parent == {"study": None, "keys": {"T": 3.0, "J": 1.0, "h": 0.0}, "seed": 0, "step": 2, "copied": 1.0}
    for name, value in other.density.state_dict().items():
        torch.testing.assert_close(value, run.density.state_dict()[name], rtol=0, atol=0)
    assert other.seed != run.seed and run.at(T=2.5, seed=9).seed == 9
    other.attach(tmp_path / "run")
    assert fl.load(tmp_path / "run").parent == other.parent
    assert "of a run built by hand" in repr(other) + other._repr_html_()
    with pytest.raises(ValueError, match=r"has no L: give its couplings T, J, h, or its arguments target, density"):
        run.at(L=8)


def test_grown_it_is_made_on_twice_the_side():
    flow = fl.XorCoupling((4, 4))
    grown = trained(fl.Pushforward(flow, fl.Z2Symmetrized(fl.IndependentSpins((4, 4))))).grow(T=2.5)
    assert grown.system.shape == grown.density.shape == (8, 8) and float(grown.system.temperature) == 2.5
    torch.testing.assert_close(grown.density.flow.network.weights[0], flow.network.weights[0])
    masked = fl.AffineCoupling(fl.flows.real.affine.checkerboard_masks((4, 4), 1)[0])
    run = fl.Training(fl.Phi4((4, 4), 0.2, 0.5), fl.Pushforward(masked, fl.Normal((4, 4))), fl.ReverseKL(), **HOW)
    with pytest.raises(ValueError, match=r"mask of AffineCoupling is an array of the lattice \(4, 4\).*warm_start"):
        run.grow()


OWN = """
import torch
import flowlab as fl

class Scaled(fl.Flow):
    def __init__(self, by=2.0):
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.tensor(by).log())
    def forward(self, z, *, generator=None):
        return z * self.log_scale.exp(), self.log_scale * z[0].numel() * torch.ones(len(z))
    def inverse(self, x):
        return x * (-self.log_scale).exp(), -self.log_scale * x[0].numel() * torch.ones(len(x))

def half(progress):
    return {"kappa": 0.1} if progress < 0.5 else {}
"""


def test_parts_of_an_own_module_are_made_where_that_is_imported(tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = importlib.import_module("own_parts")
    density = fl.Pushforward(own.Scaled(by=1.5), fl.Normal((4, 4)))
    run = fl.Training(fl.Phi4((4, 4), 0.2, 0.5), density, fl.ReverseKL(), annealing=own.half, **HOW)
    run.attach(tmp_path / "run")
    with pytest.raises(ValueError, match="the function half is defined in own_parts, which was not named for import"):
        fl.load(tmp_path / "run")
    assert fl.load(tmp_path / "run", imports=["own_parts"]).annealing is own.half
    kept = Store.open(tmp_path / "run", write=False).meta["made"]
    assert kept["with"]["density"]["with"]["flow"] == {"made": "own_parts:Scaled", "with": {"by": 1.5}, "set": {}}


def test_what_is_not_imported_is_named(tmp_path):
    run = trained()
    run.attach(tmp_path / "run")
    path = tmp_path / "run" / "experiment.json"
    path.write_text(path.read_text().replace("flowlab.densities.autoregressive.made:MADE", "own_nets:Net"))
    before = set(sys.modules)
    with pytest.raises(ValueError, match=r"Net is defined in own_nets, which is not imported; .*imports=\[...\]"):
        fl.load(tmp_path / "run")
    assert set(sys.modules) == before
    path.write_text(path.read_text().replace("own_nets:Net", "__main__:Net"))
    with pytest.raises(ValueError, match="Net is defined in a notebook or a script: run that first"):
        fl.load(tmp_path / "run")
    path.write_text(path.read_text().replace("__main__:Net", "subprocess:Popen"))
    with pytest.raises(ValueError, match="Popen is defined in subprocess, which is not imported"):
        fl.load(tmp_path / "run")


def test_what_cannot_be_described_is_named_and_restored_by_hand(tmp_path):
    class Net(nn.Linear):
        pass

    class Odd(fl.Flow):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, z, *, generator=None):
            return z + self.net.weight.sum(), z.new_zeros(len(z))

        def inverse(self, x):
            return x - self.net.weight.sum(), x.new_zeros(len(x))

    def built() -> fl.Training:
        density = fl.Pushforward(Odd(Net(1, 1)), fl.Normal((4, 4)))
        return fl.Training(fl.Phi4((4, 4), 0.2, 0.5), density, fl.ReverseKL(), **HOW)

    run = built()
    run.run(2, progress=False)
    run.attach(tmp_path / "run")
    with pytest.raises(ValueError, match=r"cannot be built again: flow of Pushforward is a .*Odd: define .*restore"):
        fl.load(tmp_path / "run")
    with pytest.raises(
        ValueError, match=r"flow of Pushforward is a .*Odd: define that class at the top level.*warm_st"
    ):
        run.at(kappa=0.1)
    again = built()
    again.restore(tmp_path / "run")
    assert again.step == 2
