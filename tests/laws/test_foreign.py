"""What somebody else writes, with nothing but the abstract methods, goes through everything that built-in ones do."""

import ast
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.analysis.diagnosis import PARTS, refusal
from flowlab.core import Density, Draw, Flow, MarkovChain, Wrapper
from flowlab.mcmc import IndependenceMetropolis
from tests import import_graph

SHAPE = (4, 4)
T = 3.0


class Coins(Density):
    """Independent spins, each with its own bias."""

    shape = SHAPE

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(SHAPE))

    def draw(self, n, *, generator=None):
        x = torch.where(torch.rand(n, *SHAPE, generator=generator) < torch.sigmoid(self.bias.detach()), 1.0, -1.0)
        score = self.log_prob(x)
        return Draw(x, score.detach(), score)

    def log_prob(self, x):
        return torch.nn.functional.logsigmoid(x * self.bias).flatten(1).sum(1)


class Noisy(Density):
    """A wrapper written without Wrapper: it passes on what it must, and nothing else."""

    def __init__(self, inside):
        super().__init__()
        self.inside, self.shape = inside, inside.shape

    def draw(self, n, *, generator=None):
        return self.inside.draw(n, generator=generator)

    def log_prob(self, x):
        return self.inside.log_prob(x)


class Mirrored(Wrapper):
    """q(x) = p(-x)."""

    def draw(self, n, *, generator=None):
        x, log_q, score = self.density.draw(n, generator=generator)
        return Draw(-x, log_q, score)

    def log_prob(self, x):
        return self.density.log_prob(-x)


class Turned(Flow):
    """Every row moved by one site."""

    def forward(self, z, *, generator=None):
        return z.roll(1, -1), z.new_zeros(len(z))

    def inverse(self, x):
        return x.roll(-1, -1), x.new_zeros(len(x))


class OneSite(NamedTuple):
    configurations: np.ndarray
    seed: np.ndarray


class Flips(MarkovChain):
    """Metropolis at one random site a step."""

    def __init__(self, system):
        self.system = system

    def init(self, n, *, generator=None):
        seed = int(torch.randint(1000, (), generator=generator))
        return OneSite(np.ones((n, *self.system.shape), dtype=np.int8), np.array(seed))

    def step(self, state):
        rng, s = np.random.default_rng(int(state.seed)), state.configurations.copy()
        y, x = rng.integers(s.shape[1]), rng.integers(s.shape[2])
        s[:, y, x] *= -1
        gain = self.system.log_weight(s) - self.system.log_weight(state.configurations)
        keep = rng.random(len(s)) >= gain.exp().numpy()
        s[keep] = state.configurations[keep]
        return OneSite(s, state.seed + 1), None


def xor(base):
    return fl.Pushforward(fl.XorCoupling(SHAPE, start="random"), base)


DENSITIES = {
    "a density": Coins,
    "a density of its own around a built-in one": lambda: Noisy(fl.MADE(SHAPE)),
    "a wrapper": lambda: Mirrored(xor(fl.MADE(SHAPE))),
    "a built-in wrapper around it": lambda: fl.Z2Symmetrized(Noisy(fl.MADE(SHAPE))),
    "a built-in flow over it": lambda: xor(Coins()),
    "a flow": lambda: fl.Pushforward(Turned(), fl.MADE(SHAPE)),
    "a flow among others": lambda: fl.Z2Symmetrized(
        fl.Pushforward(fl.Composed([Turned(), fl.XorCoupling(SHAPE, parity="even")]), fl.MADE(SHAPE))
    ),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_a_density_is_trained_and_read(name):
    density = DENSITIES[name]()
    run = fl.Training(
        fl.Ising(SHAPE, T=T), density, fl.ReverseKL(), steps=3, batch=20, learning_rate={"base": 1e-3, "flow": 1e-3}
    )
    run.run(progress=False)
    assert run.sample(10).sizes["sample"] == 10
    assert "verdict" in run.evaluate(50).attrs
    layers = run.layers(5)
    np.testing.assert_allclose(layers.log_q[-1], density.log_prob(layers.field[-1]).detach(), rtol=1e-4)
    parts = [part for part in PARTS if refusal(part, density, run.target) is None]
    assert "walls" in parts and run.diagnose(100, parts=["walls"]).sizes["layer"] == 1 + len(density.flow_layers)


@pytest.mark.parametrize("name", ["a density", "a density of its own around a built-in one"])
def test_chains_stand_beside_a_density(name):
    run = fl.Training(fl.Ising(SHAPE, T=T), DENSITIES[name](), fl.ReverseKL(), steps=2, batch=20, learning_rate=0.0001)
    found = run.check(seconds=2)
    assert found.attrs["verdict"].startswith(("consistent", "not to be trusted", "not checked"))


def test_layers_and_order_pass_through_a_wrapper():
    inside = xor(fl.MADE(SHAPE, order="checkerboard"))
    wrapped = Mirrored(inside)
    assert fl.Z2Symmetrized(inside).flow_layers == inside.flow_layers == [inside.flow]
    assert torch.equal(wrapped.site_order, inside.base.sites)
    assert not wrapped.autoregressive and inside.latent_density.autoregressive
    with pytest.raises(TypeError, match="conditionals need an autoregressive density, got Mirrored"):
        wrapped.log_conditionals(torch.ones(1, *SHAPE))


def test_a_density_proposes():
    chain = IndependenceMetropolis(Coins(), fl.Ising(SHAPE, T=T))
    start = chain.init(50, generator=torch.Generator().manual_seed(0))
    assert chain.run(start, 20)[1]["accepted"].mean() > 0.1


def test_a_chain_runs_and_resumes(tmp_path):
    def made(**out):
        system = fl.Ising(SHAPE, T=T)
        return fl.ChainRun(system, Flips(system), chains=8, steps=12, every=5, keep_every=2, **out)

    run = made()
    run.run(progress=False)
    assert run.measured.energy_per_site.sizes["chain"] == 8 and run.sample(5).sizes["sample"] == 5
    assert "tau_int" in run.evaluate()
    again = made()
    again.run(5, progress=False)
    chain, state = again.chain, again.state_dict()[0]
    back = chain.load_state_dict(state)
    assert back.configurations.dtype == np.int8
    ahead, behind = chain.run(back, 20)[0], chain.run(again._chain_state, 20)[0]
    np.testing.assert_array_equal(ahead.configurations, behind.configurations)
    assert fl.mcmc.Mixed(IndependenceMetropolis(Coins(), run.system), Flips(run.system)).init(3).local.seed.ndim == 0


KINDS_OF_INPUT = {(f"flowlab.densities.autoregressive.{name}", "SpinGlass") for name in ("coupled", "graph")}
"""Densities that are made from the couplings of one kind of system, and refuse others by name."""


def test_nobody_tests_for_a_class_of_another_folder():
    trees = import_graph.modules()
    found = set()
    for name, tree in trees.items():
        imported = {
            alias.asname or alias.name: (node.module or "")
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
                for kind in (part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)):
                    home = imported.get(kind, "").split(".")
                    if home[0] == "flowlab" and home[1:2] not in ([name.split(".")[0]], ["core"]):
                        found.add((f"flowlab.{name}", kind))
    assert found == KINDS_OF_INPUT
    assert Path(import_graph.PACKAGE).name == "flowlab"
