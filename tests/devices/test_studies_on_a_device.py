"""Every study on an accelerator that there need not be: what one would refuse, and what is waited for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.densities.refined import coarse_chain
from flowlab.mcmc import HMC, IndependenceMetropolis
from flowlab.runs import process, studies
from flowlab.runs.process import computing_on
from tests.devices.pretend import NAME, OnDevice, pretended

pytestmark = [pytest.mark.devices, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("few_enumerated")]
CASES = [
    ("glass-autoregressive", dict(L=3)),
    ("glass-forward", dict(L=2, samples=180)),
    ("glass-reverse", dict(L=2, samples=180)),
    ("glass-xor", dict(L=2)),
    ("ising-coloured", dict(L=4)),
    ("ising-han", dict(L=4)),
    ("ising-mlmc-hb", dict(L=4)),
    ("ising-rigcs", dict(L=4)),
    ("ising-rigcs", dict(L=4, base="pixelcnn", coarsest=2, hidden=4)),
    ("ising-van", dict(L=2)),
    ("ising-xor", dict(L=2)),
    ("ising-xor", dict(L=2, base="independent", h=0.1)),
    ("ising-xor", dict(L=2, baseline="learned")),
    ("ising-tokens", dict(L=4, ansatz="vqvae")),
    ("ising-tokens", dict(L=4, ansatz="multiscale_made")),
    ("phi4-affine", dict(beta=0.5, L=2)),
    ("phi4-cnf", dict(L=2)),
    ("phi4-flow", dict(beta=0.5, L=2)),
    ("phi4-free", dict(L=2)),
    ("phi4-hybrid", dict(beta=0.5, L=2)),
    ("phi4-ir-matching", dict(coarse=2, L=4)),
    ("phi4-ir-matching", dict(coarse=2, L=4, gradient="pathwise", langevin_steps=2)),
    ("phi4-multilevel", dict(beta=0.5, L=4)),
    ("phi4-multilevel", dict(beta=0.5, L=4, conditional="mixture")),
    ("phi4-pixelcnn", dict(beta=0.5, L=2)),
    ("phi4-spline", dict(beta=0.5, L=2)),
    ("phi4-uv-matching", dict(coarse=2, L=4, samples=20)),
    ("potts-coloured", dict(L=4)),
    ("sk-autoregressive", dict(N=6)),
    ("sk-autoregressive", dict(N=6, network="made")),
    ("sk-forward", dict(N=6, samples=180)),
    ("sk-reverse", dict(N=6, samples=180)),
    ("sk-xor", dict(N=6)),
    ("tensor-network", dict(L=4)),
    ("xy-coloured", dict(L=4)),
]
OF_A_STEP = 3
"""What a step waits for: whether to follow its gradient, its loss, and the other numbers of its record."""
MORE = {
    "phi4-cnf": 1,
    "phi4-flow": 5,
    "phi4-multilevel": 9,
    "ising-xor": 3,
    "phi4-ir-matching": 60,
    "phi4-uv-matching": 60,
    "sk-forward": 1,
    "glass-forward": 1,
    "tensor-network": 4,
    "xy-coloured": 70,
}
"""Besides: draws by rejection and bisection, chains of tensors, learned couplings, flips asked for in a field."""


@pytest.fixture(autouse=True)
def _short_chains(monkeypatch):
    monkeypatch.setattr(coarse_chain, "WARM_UP", 3)
    monkeypatch.setattr(coarse_chain, "LONGEST", 8)


def built(name, device=NAME, **keys):
    return fl.experiment(name, device=device, **{"steps": 4, "batch": 8} | keys)


@pytest.mark.parametrize(("name", "keys"), CASES, ids=lambda value: str(value).replace(" ", ""))
def test_a_study_trains_draws_and_is_evaluated_there(name, keys):
    with pretended() as counts:
        run = built(name, **keys)
        stream = run.stream(2)
        next(stream)
        counts.waits.clear()
        next(stream)
        assert counts.waits.total() <= OF_A_STEP + MORE.get(name, 0), counts.waits
        run.sample(4)
        if name not in ("phi4-cnf", "phi4-ir-matching", "phi4-uv-matching"):
            run.evaluate(20)
        assert counts.kernels.total() > 0
        assert not counts.refused


def test_a_transformer_draws_there():
    """Without its backward pass, which changes a shape in place: what pretends to be on a device cannot follow."""
    with pretended() as counts:
        run = built("ising-coloured", L=4, network="transformer", blocks=1)
        run.sample(4)
        assert isinstance(run.density.log_prob(run.density.sample(2, generator=torch.Generator(NAME))[0]), OnDevice)
        assert not counts.refused


def test_every_study_with_a_device_is_here():
    with_one = {name for name, study in studies().items() if "device" in study.defaults and not study.sweep}
    assert with_one - {name for name, _ in CASES} == set()


def test_what_the_studies_are_tried_on_finds_what_a_device_refuses():
    """The control: tensors of two places, random numbers of another one, and each wait."""
    with pretended() as counts:
        there = torch.ones(3, device=NAME)
        assert isinstance(there, OnDevice)
        there + torch.ones(3)
        assert "a tensor (3,) of the CPU" in next(iter(counts.refused))
        torch.rand(2, device=NAME, generator=torch.Generator().manual_seed(0))
        assert any("generator of cpu, tensor of meta" in said for said in counts.refused)
        assert counts.waits.total() == 0
        float(there.sum())
        there.cpu()
        assert counts.waits.total() == 2


def test_a_study_that_leaves_something_behind_is_found(monkeypatch):
    """The control on a whole study: an energy that adds numbers of the CPU."""
    energy = fl.Ising.energy
    monkeypatch.setattr(fl.Ising, "energy", lambda system, x: energy(system, x) + torch.zeros(len(x)))
    with pretended() as counts:
        next(built("ising-van", L=2).stream(1))
        assert any("add: a tensor (8,) of the CPU" in said for said in counts.refused)


def test_what_a_person_gave_stays_where_it_was_and_inputs_come_to_the_run():
    with pretended() as counts:
        glass = fl.SpinGlass.sherrington_kirkpatrick(4, 1.0)
        density = fl.MADE((4,))
        run = fl.Training(
            glass, density, fl.ReverseKL(), steps=2, batch=4, learning_rate=0.1, device=NAME, comparison=None
        )
        next(run.stream(1))
        x = torch.ones(2, 4)
        assert not any(isinstance(t, OnDevice) for t in (*glass.buffers(), *density.parameters()))
        assert run.density is not density
        assert isinstance(run.system.energy(x), OnDevice)
        assert isinstance(run.density.log_prob(x), OnDevice)
        assert isinstance(glass.energy(x), torch.Tensor)
        assert not counts.refused


def test_chains_run_where_their_tensors_are():
    with pretended() as counts:
        run = built("phi4-free", L=2)
        hmc = HMC(run.system, steps=2, tuning=2)
        state, _ = hmc.step(hmc.init(2, generator=torch.Generator(NAME).manual_seed(0)))
        assert isinstance(state.configurations, OnDevice)
        hmc.step(hmc.init(2, generator=torch.Generator().manual_seed(0)))
        chain = IndependenceMetropolis(run.density, run.target)
        state, found = chain.run(chain.init(3, generator=torch.Generator(NAME).manual_seed(0)), 5)
        chain.step(state)
        assert found["accepted"].shape == (5, 3)
        assert not counts.refused


@pytest.mark.parametrize(("first", "then"), [("cpu", NAME), (NAME, "cpu")])
def test_a_run_goes_on_elsewhere_and_says_that_its_random_numbers_change(tmp_path, first, then):
    with pretended() as counts:
        run = built("ising-xor", first, L=2, out=tmp_path / "run")
        run.run(2, progress=False)
        with pytest.warns(RuntimeWarning, match="other random numbers"):
            other = fl.load(tmp_path / "run", device=then)
        assert str(other.device) == then
        mine, theirs = run.density.state_dict(), other.density.state_dict()
        assert all(torch.equal(mine[name].cpu(), theirs[name].cpu()) for name in mine)
        other.run(progress=False)
        assert other.step == 4
        assert np.isfinite(other.data.loss.values).all()
        assert not counts.refused


def test_a_run_of_a_device_that_is_not_here_is_read_on_the_cpu(tmp_path):
    with pretended():
        built("ising-van", L=2, out=tmp_path / "run").run(2, progress=False)
    with pytest.warns(RuntimeWarning, match="trained on meta, of which there is none here"):
        run = fl.load(tmp_path / "run")
    assert run.device == torch.device("cpu")
    assert run.evaluate(50).attrs["step"] == 2


@pytest.mark.parametrize("faster", ["cpu", NAME])
def test_auto_takes_the_device_whose_steps_are_faster_and_keeps_what_was_measured(monkeypatch, tmp_path, faster):
    monkeypatch.setattr(fl.Training, "seconds_per_step", lambda run: 0.5 if str(run.device) == faster else 1.0)
    with pretended():
        run = fl.experiment("ising-van", L=2, steps=2, batch=8, device="auto", out=tmp_path / "run")
        assert str(run.device) == faster
        assert run.placed["chosen"] == faster
        assert sorted(run.placed["seconds_per_step"].values()) == [0.5, 1.0]
        again = fl.load(tmp_path / "run")
        assert (again.placed, again.device) == (run.placed, run.device)
        assert f"on {faster}" in repr(run)


def test_likelihoods_are_computed_in_whole_float32(monkeypatch):
    seen, convolved = [], torch.nn.functional.conv2d

    def watched(*args, **how):
        seen.append(torch.backends.cudnn.allow_tf32)
        return convolved(*args, **how)

    monkeypatch.setattr(torch.nn.functional, "conv2d", watched)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with pretended():
        run = built("phi4-pixelcnn", beta=0.5, L=2)
        run.density.log_prob(torch.ones(1, 2, 2))
    assert seen
    assert not any(seen)
    assert torch.backends.cudnn.allow_tf32


def test_computing_on_a_device_ends_with_its_block():
    with computing_on("cpu"), computing_on(None):
        assert process.resolve_device("cuda") == torch.device("cpu")
    assert process.resolve_device("cpu") == torch.device("cpu")
