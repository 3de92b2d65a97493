"""Runs on every kind of variable: one order parameter everywhere, no test that the kind does not pass, its own tabs."""

import math
import warnings

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.analysis import measure_proposals
from flowlab.core.system import as_coupling


class XY(fl.System):
    """cos(θ_i - θ_j) between neighbours; J is a number here, and no matrix of a glass."""

    J = 1.0

    def __init__(self, L, T):
        super().__init__()
        self.shape, self.dims, self.domain = (L, L), ("y", "x"), "angle"
        self.couplings = {"T": as_coupling("T", T)}

    def energy(self, x):
        return -sum((x - x.roll(1, side)).cos() for side in (1, 2)).flatten(1).sum(1)

    def log_weight(self, x):
        return -self.energy(x) / self.couplings["T"].to(x.dtype)

    def observables(self, x):
        return {"energy_per_site": self.energy(x) / self.n_sites}


class UniformAngles(fl.Density):
    def __init__(self, L):
        super().__init__()
        self.shape, self.unused = (L, L), torch.nn.Parameter(torch.zeros(()))

    def draw(self, n, *, generator=None):
        x = 2 * math.pi * torch.rand(n, *self.shape, generator=generator) - math.pi
        return fl.core.Draw(x, self.log_prob(x), torch.zeros(n))

    def log_prob(self, x):
        return -x[0].numel() * math.log(2 * math.pi) + 0 * self.unused + torch.zeros(len(x), dtype=x.dtype)


def training(system, density, part="base"):
    run = fl.Training(system, density, fl.ReverseKL(), steps=1, batch=20, learning_rate={part: 1e-3})
    run.run(progress=False)
    return run


@pytest.fixture(scope="module")
def angles():
    return training(XY(4, 50.0), UniformAngles(4))


@pytest.fixture(scope="module")
def states():
    return training(fl.Potts((4, 4), 0.7), fl.densities.PottsMADE((4, 4), q=3))


def test_angles_have_no_equation_of_motion(angles):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = angles.evaluate(2000)
    assert "equation_of_motion" not in found and "positive_fraction" not in found and found.ess > 0.98
    assert found.attrs["domain"] == "angle"
    # uniform angles at high T: N <m²> = 1 + 4 <cos> + ..., <cos> = 1/(2T)
    assert abs(found.susceptibility - 1.04) < 5 * found.susceptibility_error


def test_angles_have_the_tabs_of_a_run_that_is_no_glass(angles):
    lab = angles.lab()
    try:
        assert set(lab.tabs) == {"Train", "Configurations", "Layers", "Retrain", "Check"}
    finally:
        lab.close()


def test_angles_are_drawn_on_a_circle_of_colours(angles):
    layers = angles.layers(50)
    figure = fl.figures.layer_overview(layers)
    board = figure.data[0]
    assert (board.zmin, board.zmax) == (-math.pi, math.pi)
    assert board.colorscale[0][1] == board.colorscale[-1][1] != board.colorscale[6][1]
    assert layers.correlation[-1, 0] == pytest.approx(1.0)
    assert (abs(layers.correlation[-1, 1:] - 0.01) < 5 * layers.correlation_error[-1, 1:] + 0.01).all()


def test_hmc_moves_angles_and_agrees_with_weighted_draws(angles):
    chain = fl.HMC(angles.system.at(T=3.0), steps=5, tuning=50)
    run = fl.ChainRun(chain.system, chain, chains=100, steps=20, every=10, keep_every=5)
    run.run(progress=False)
    found = run.evaluate()
    exact = fl.estimators.reweighted
    x, _ = angles.density.double().sample(200_000, generator=torch.Generator().manual_seed(0))
    angles.density.float()
    log_w = chain.system.log_weight(x).double().numpy()
    energy = exact((chain.system.energy(x) / 16).double().numpy(), log_w=log_w)
    assert abs(found.energy_per_site - energy.value) < 5 * math.hypot(found.energy_per_site_error, energy.error)
    assert "equation_of_motion" not in found and float(abs(run.sample(50).configuration).max()) <= math.pi
    assert "E / N" in repr(run)


def test_the_magnetization_of_states_is_one_order_parameter(states):
    layers, drawn = states.layers(3000), states.sample(3000)
    x = torch.from_numpy(layers.configuration.values[-1])
    np.testing.assert_allclose(layers.magnetization[-1], states.system.observables(x)["magnetization"])
    assert layers.magnetization.attrs["long_name"] == states.evaluate(100).magnetization.attrs["long_name"]
    proposals = measure_proposals(drawn)
    mean = states.system.observables(torch.from_numpy(drawn.configuration.values))["magnetization"]
    log_w = (drawn.log_weight - drawn.log_q).values
    expected = fl.estimators.reweighted(mean.numpy(), log_w=log_w)
    assert float(proposals.abs_magnetization) == pytest.approx(expected.value)


def test_correlations_of_states_do_not_depend_on_their_labels(states):
    layers = states.layers(400)
    relabelled = states.layers(x=torch.tensor([1.0, 2.0, 0.0])[torch.from_numpy(layers.field.values[-1]).long()])
    same = (layers.field.values[-1] == np.roll(layers.field.values[-1], 1, -1)).mean()
    same_y = (layers.field.values[-1] == np.roll(layers.field.values[-1], 1, -2)).mean()
    np.testing.assert_allclose(layers.correlation[-1, :2], [1.0, (3 * (same + same_y) / 2 - 1) / 2])
    np.testing.assert_allclose(relabelled.correlation[-1], layers.correlation[-1])


def test_states_are_drawn_as_states(states):
    figure = fl.figures.layer_overview(states.layers(20))
    board = figure.data[0]
    assert (board.zmin, board.zmax) == (-0.5, 2.5) and len({color for _, color in board.colorscale}) == 3
    titles = [axis.title.text for axis in figure.select_xaxes()]
    assert titles[1] == "magnetization per site, m" and "φ" not in "".join(titles)


def test_a_system_may_call_something_else_T(angles):
    class Field(fl.Phi4):
        """A field whose coupling T is a thickness."""

        temperature = None

        def __init__(self):
            super().__init__((2, 2), 0.1, 0.1)
            self.couplings = self.couplings | {"T": as_coupling("T", 3.0)}

    run = training(Field(), fl.Pushforward(fl.Rescaling((2, 2)), fl.Normal((2, 2))), "flow")
    assert (
        np.isfinite(run.data.action_mean[-1]) and np.isnan(run.data.energy_mean[-1]) and run.data.trained_kappa[-1] > 0
    )
    found = run.evaluate(200)
    assert "free_energy" not in found and "T" not in found.attrs


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (lambda: fl.MADE((4, 4)), "a density of spins cannot fit"),
        (lambda: fl.IndependentSpins((4, 4)), "a density of spins cannot fit"),
        (lambda: fl.Z2Symmetrized(fl.densities.PixelCNN((4, 4))), "cannot fit"),
        (lambda: fl.densities.PottsMADE((4, 4), q=4), "a density of Potts states with q = 4 cannot fit"),
        (lambda: fl.densities.FieldPixelCNN((4, 4)), "a density of real fields cannot fit"),
    ],
)
@pytest.mark.parametrize("system", [lambda: XY(4, 2.0), lambda: fl.Potts((4, 4), 1.0)], ids=["angles", "states"])
def test_a_density_of_one_kind_refuses_targets_of_another(density, message, system):
    with pytest.raises(ValueError, match=message):
        density().bind(system())
