"""Runs over a range of couplings: trained, resumed, evaluated anywhere in it, gone on with at one."""

import json
import warnings

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.cli import main
from flowlab.estimators import UntrustedWarning
from flowlab.training import ForwardKL, OverCouplings, PathGradient, ReverseKL

OVER = {"beta": (0.3, 0.5)}
FAST = {"device": "cpu", "steps": 6, "batch": 40, "L": 4, "threads": 1}
STUDIES = {
    "ising-coloured": {"over": "beta:0.3:0.5", "L": 8, "hidden": 8},
    "ising-rigcs": {"over": "beta:0.3:0.5", "hidden": 4},
    "ising-mlmc-hb": {"over": "beta:0.3:0.5"},
    "ising-van": {"over": "T:2:3.4", "channels": 2, "layers": 2, "kernel": 3},
    "ising-han": {"over": "beta:0.3:0.5", "L": 8, "width": 2},
    "phi4-multilevel": {"over": "beta:0.4:0.6", "beta": 0.5, "L": 8, "hidden": 8},
    "phi4-flow": {"over": "beta:0.4:0.6", "beta": 0.5, "hidden": 8},
    "phi4-hybrid": {"over": "beta:0.4:0.6,lam:0.3:0.6", "beta": 0.5},
    "phi4-pixelcnn": {"over": "beta:0.4:0.6", "beta": 0.5, "channels": 2, "layers": 2, "kernel": 3},
    "phi4-cnf": {"over": "beta:0.4:0.6", "beta": 0.5, "kappa": None},
    "phi4-free": {"over": "mass:0.8:1.2", "mass": 1.0},
    "ising-xor": {"over": "beta:0.3:0.5"},
    "ising-xor masks": {"over": "beta:0.3:0.5", "base": "independent", "construction": "xor", "baseline": "learned"},
    "ising-tokens": {"over": "beta:0.3:0.5", "layers": 1},
    "ising-tokens walls": {"over": "beta:0.3:0.5", "ansatz": "walls_made"},
    "glass-autoregressive": {"over": "beta:0.3:0.5", "T": 2.5},
    "glass-autoregressive graph": {"over": "beta:0.3:0.5", "T": 2.5, "network": "graph"},
    "glass-reverse": {"over": "beta:0.3:0.5", "T": 2.5, "layers": 2},
    "glass-xor": {"over": "beta:0.3:0.5", "T": 2.5, "base": "made"},
}


def build(name, **keys):
    run = fl.experiment(name.split()[0], **FAST | STUDIES[name] | keys)
    vars(run).setdefault("log_z_exact", None)
    return run


@pytest.mark.parametrize("name", STUDIES)
def test_studies_train_over_a_range_and_evaluate_in_it(name):
    run = build(name, **{"over_degree" if name.startswith("glass") else "degree": 2})
    data = run.run(progress=False)
    assert (data.ess_min <= data.ess_mean).all() and (data.ess_min > 0).all()
    (coupling,) = list(run.over)[:1]
    value = {"T": 2.5, "beta": 0.42, "mass": 1.1}[coupling]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrustedWarning)
        found = run.evaluate(200, **{coupling: value})
    shown = {"T": "T = 2.5", "beta": "T = 2.381", "mass": "m = 1.1"}[coupling]
    assert ("β = 0.42" if "phi4" in name and coupling == "beta" else shown) in found.attrs["system"]
    assert found.attrs["step"] == 6 and np.isfinite(found.log_z_bound)


def test_every_study_that_trains_has_a_range_or_says_why_not():
    covered = {name.split()[0] for name in STUDIES}
    for name, study in fl.runs.studies().items():
        if "over" in study.defaults:
            alike = name in (
                "phi4-affine",
                "phi4-spline",
                "phase-diagram",
                "potts-coloured",
                "xy-coloured",
            )  # tested where they are
            assert name in covered or name.startswith("sk-") or alike, name
            continue
        with pytest.raises(ValueError, match=f"^{name} has no key over: "):
            study.given({"over": "beta:0.3:0.5"})


def test_numbers_at_a_coupling_are_those_of_that_system():
    run = build("ising-coloured", steps=40, batch=200, hidden=8, grow=False, lr=3e-2)
    run.run(progress=False)
    for beta in (0.32, 0.48):
        found = run.evaluate(2000, beta=beta)
        exact = fl.exact.kaufman((8, 8), beta)
        assert found.log_z_exact == pytest.approx(exact.log_z)
        assert abs(float(found.log_z) - exact.log_z) < 4 * float(found.log_z_error) < 0.6
        again = run.evaluate(2000, T=1 / beta)
        assert float(again.log_z) == pytest.approx(float(found.log_z), abs=1e-9)


@pytest.fixture(scope="module")
def known():
    """A run whose density is near enough to the target for all of its range, and a curve of it."""
    run = build("ising-coloured", L=4, steps=150, batch=200, hidden=8, lr=2e-2)
    run.run(progress=False)
    return run, run.curve(n=4000, beta=np.linspace(0.3, 0.5, 9))


def test_a_curve_is_within_errors_of_kaufman(known):
    _, found = known
    exact = [fl.exact.kaufman((4, 4), float(beta)) for beta in found.beta]
    np.testing.assert_allclose(found.log_z_exact, [one.log_z for one in exact])
    np.testing.assert_allclose(found.energy_per_site_exact, [one.energy / 16 for one in exact])
    np.testing.assert_allclose(found.specific_heat_exact, [one.specific_heat / 16 for one in exact])
    for name, values in {
        "log_z": [one.log_z for one in exact],
        "free_energy_per_site": [-one.log_z / 16 / beta for one, beta in zip(exact, found.beta.values, strict=True)],
        "energy_per_site": [one.energy / 16 for one in exact],
        "specific_heat": [one.specific_heat / 16 for one in exact],
    }.items():
        off = (found[name].values - values) / found[f"{name}_error"].values
        assert np.abs(off).max() < 4 and (found[f"{name}_error"] > 0).all(), (name, off)
    assert all(verdict.startswith("consistent") for verdict in found.verdict.values)
    assert (found.log_z_error < 0.02).all() and (found.worth > 1000).all()


def test_curves_are_derivatives_of_each_other(known):
    run, _ = known
    close = run.curve(n=1000, beta=0.4 + 1e-3 * np.arange(-2, 3))
    beta_f = close.beta.values * close.free_energy_per_site.values
    slope = np.gradient(beta_f, close.beta.values, edge_order=2)
    np.testing.assert_allclose(slope[1:-1], close.energy_per_site[1:-1], rtol=1e-5)
    T = 1 / close.beta.values
    heat = np.gradient(close.energy_per_site.values, T, edge_order=2)
    np.testing.assert_allclose(heat[1:-1], close.specific_heat[1:-1], rtol=1e-3)


def test_a_curve_has_smaller_errors_than_evaluations_of_as_many_draws(known):
    run, found = known
    each = 4000 // found.sizes["beta"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrustedWarning)
        alone = [run.evaluate(each, beta=float(beta)) for beta in found.beta]
    for name in ("log_z", "energy_per_site", "abs_magnetization", "binder"):
        mean = np.mean([float(one[f"{name}_error"]) for one in alone])
        assert float(found[f"{name}_error"].mean()) < 0.8 * mean, name
        off = [(float(one[name]) - float(found[name][i])) / float(one[f"{name}_error"]) for i, one in enumerate(alone)]
        assert np.abs(off).max() < 5, name


def test_a_curve_keeps_the_names_that_are_asked_for_and_its_replicas(known):
    run, whole = known
    found = run.curve(["binder", "log_z"], n=500, beta=[0.35, 0.4])
    assert set(found.data_vars) >= {"binder", "binder_error", "binder_replicas", "log_z", "verdict", "worth"}
    assert "abs_magnetization" not in found and found.binder.attrs["long_name"].startswith("Binder")
    assert whole.log_z_replicas.dims == ("replica", "beta") and whole.sizes["replica"] == 50
    again = run.curve("log_z", n=500, T=1 / np.array([0.35, 0.4]))
    np.testing.assert_allclose(again.log_z, found.log_z, rtol=1e-6)
    with pytest.raises(ValueError, match=r"a curve has .*, got bindr"):
        run.curve("bindr", n=100, beta=[0.4])


def test_curves_that_make_no_sense_are_refused(known):
    run, _ = known
    with pytest.raises(ValueError, match="a curve needs the values of one coupling, got beta, T"):
        run.curve(beta=[0.4], T=[2.5])
    with pytest.raises(ValueError, match=r"beta must lie in \[0.3, 0.5\]"):
        run.curve(beta=[0.4, 0.6])
    with pytest.raises(ValueError, match="beta must be finite numbers along a line"):
        run.curve(beta=[[0.4]])
    with pytest.raises(ValueError, match="needs at least 10 samples, got 5"):
        run.curve(n=5, beta=[0.3, 0.5])
    with pytest.warns(DeprecationWarning, match="curve"):
        run.curve(100, beta=[0.4])


def test_a_run_at_one_coupling_has_no_others():
    run = fl.experiment("ising-van", L=4, steps=1, batch=8, channels=2, device="cpu")
    with pytest.raises(ValueError, match=r"trained at one coupling and has no others to evaluate, got beta=0.37"):
        run.evaluate(10, beta=0.37)
    over = build("ising-coloured")
    with pytest.raises(ValueError, match="trained over beta, got h"):
        over.evaluate(10, h=0.1)
    with pytest.raises(ValueError, match=r"beta must lie in \[0.3, 0.5\]"):
        over.evaluate(10, beta=0.6)


@pytest.mark.parametrize("over", ["beta", "beta:0.5:0.4", "beta:a:b", "beta:0.3:0.4,beta:0.3:0.4", ":0.1:0.2"])
def test_a_range_that_makes_no_sense_is_refused(over):
    with pytest.raises(ValueError, match=r"over must be a coupling and its interval, as beta:0.35:0.55"):
        build("ising-coloured", over=over)


def test_keys_without_effect_are_refused():
    for keys in ({"anneal": 0.5}, {"over": None, "degree": 2}, {"over": None, "defence": 0.2}):
        with pytest.raises(ValueError, match="has no effect"):
            build("ising-coloured", **keys)
    with pytest.raises(ValueError, match=r"beta must lie in \[0.2, 0.4\]"):
        build("ising-coloured", over="beta:0.2:0.4")
    with pytest.raises(ValueError, match="over has no effect where training is sequential"):
        build("glass-autoregressive", training="sequential")


def test_resumed_is_uninterrupted(tmp_path):
    whole = build("ising-coloured")
    whole.run(progress=False)
    run = build("ising-coloured")
    run.attach(tmp_path / "run")
    run.run(3, progress=False)
    loaded = fl.load(tmp_path / "run")
    loaded.run(progress=False)
    for name in ("loss", "ess", "ess_min", "log_z_bound", "grad_norm"):
        assert np.array_equal(loaded.data[name], whole.data[name], equal_nan=True), name
    for name, value in whole.density.state_dict().items():
        assert torch.equal(loaded.density.state_dict()[name], value)
    own = [r.evaluate(100, beta=0.35) for r in (whole, fl.load(tmp_path / "run"))]
    assert float(own[0].log_z) == float(own[1].log_z)


def test_at_one_coupling_it_goes_on_with_the_weights_there():
    run = build("ising-coloured")
    run.run(progress=False)
    one = run.at(beta=0.35, steps=2)
    assert one.keys["over"] is None and type(one.density) is fl.Multilevel and one.parent["copied"] == 1
    expected = run.reading()[1].at(beta=0.35)
    assert all(torch.equal(value, expected.state_dict()[name]) for name, value in one.density.state_dict().items())
    again, other = run.at(steps=3), run.at(over="beta:0.35:0.5", degree=5)
    assert again.over == OVER and other.over == {"beta": (0.35, 0.5)} and other.parent["copied"] == 1
    x, _ = expected.sample(10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(other.density.at(beta=0.4).log_prob(x), run.reading()[1].at(beta=0.4).log_prob(x))
    assert run.grow(steps=4).density.shape == (16, 8)


@pytest.mark.parametrize("name", ["ising-coloured", "ising-van", "phi4-multilevel"])
def test_before_its_first_step_it_has_the_ln_q_of_the_model_there(name):
    run = build(name)
    run.run(progress=False)
    coupling, value = ("T", 2.2) if name == "ising-van" else ("beta", 0.47)
    one = run.at(**{coupling: value}, steps=3)
    x, log_q = run.reading()[1].at(**{coupling: value}).sample(20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(one.density.log_prob(x), log_q, rtol=0, atol=1e-4)
    y, _ = one.density.sample(20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(x, y)
    assert one.target.value_of(coupling) == pytest.approx(value) and one.steps == 3 and one.step == 0


@pytest.mark.parametrize(("keys", "title"), [({}, "β = 0.52"), ({"kappa": 0.25}, "κ = 0.26")])
@pytest.mark.parametrize("asked", [{"kappa": 0.26}, {"beta": 0.52}])
def test_ln_z_at_one_coupling_has_the_constants_of_the_range(keys, title, asked):
    """λ a site lies between the forms of phi^4; the study is built in one, and asked in words of the other."""
    run = build("phi4-multilevel", over="kappa:0.2:0.3", beta=None if keys else 0.5, **keys)
    one = run.at(**asked, steps=3)
    x = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(one.system.log_weight(x), run.system.at(kappa=0.26).log_weight(x))
    assert title in one.system.title
    with pytest.raises(ValueError, match="kappa must be a finite number"):
        run.at(kappa=float("nan"))


def test_a_plain_run_begins_one_over_a_range():
    plain = build("ising-coloured", over=None, anneal=0.0)
    plain.run(progress=False)
    over = plain.at(over="beta:0.3:0.5")
    assert over.parent["copied"] == 1
    x, _ = plain.density.sample(5)
    torch.testing.assert_close(over.density.log_prob(x), plain.density.log_prob(x))


def test_each_coupling_has_its_part_of_the_interval_and_of_the_batch():
    seen = []

    class Watching(ReverseKL):
        def loss(self, density, target, n, *, generator=None):
            seen.append((target.value_of("beta"), target.value_of("h"), n, density.couplings["beta"]))
            return super().loss(density, target, n, generator=generator)

    over = OVER | {"h": (0.0, 1.0)}
    density = fl.Conditional(fl.MADE((2, 2)), over, 1)
    target = fl.Ising((2, 2), T=2.5, h=0.5)
    density.bind(target)
    loss = OverCouplings(Watching(), over).loss(density, target, 40, generator=torch.Generator().manual_seed(0))
    assert sorted(int((beta - 0.3) / 0.05) for beta, _, _, _ in seen) == [0, 1, 2, 3]
    assert sorted(int(h / 0.25) for _, h, _, _ in seen) == [0, 1, 2, 3]
    assert {n for _, _, n, _ in seen} == {10} and all(beta == pytest.approx(at) for beta, _, _, at in seen)
    assert density.couplings == {"beta": pytest.approx(0.4), "h": 0.5} and len(loss.draw.x) == 10
    assert loss.value.requires_grad


def test_couplings_are_drawn_where_the_ess_is_lowest():
    objective = OverCouplings(ReverseKL(), OVER, 4, adaptive=0.8, cells=5)
    target, spawned = fl.Ising((2, 2), T=2.5), torch.Generator().manual_seed(0)

    def drawn():
        points = [point["beta"] for _ in range(500) for point in objective._couplings(4, target, spawned)]
        return np.histogram(points, 5, (0.3, 0.5))[0] / len(points)

    angles = np.diff(np.arccos(1 - 2 * np.linspace(0, 1, 6))) / np.pi
    np.testing.assert_allclose(drawn(), angles, atol=0.02)
    objective.ess_beta.copy_(torch.tensor([0.9, 0.9, 0.9, 0.1, 0.9]))
    np.testing.assert_allclose(drawn(), 0.2 * angles + 0.8 * np.array([1, 1, 1, 9, 1]) / 13, atol=0.02)
    for wrong in ({"adaptive": 1.0}, {"cells": 0}):
        with pytest.raises(ValueError, match=r"adaptive must lie in \[0, 1\) and cells be at least 1"):
            OverCouplings(ReverseKL(), OVER, **wrong)


def test_records_have_the_ess_over_a_grid_of_couplings():
    run = build("ising-coloured", L=4, steps=12)
    data = run.run(progress=False)
    assert data.ess_beta.dims == ("step", "beta") and data.sizes["beta"] == 10
    np.testing.assert_allclose(data.beta, np.linspace(0.31, 0.49, 10))
    last = data.ess_beta[-1].values
    np.testing.assert_array_equal(last, run.objective.ess_beta.numpy())
    assert np.nanmin(last) > 0 and np.isnan(data.ess_beta[0].values).sum() >= 6
    plain = build("ising-van", over=None)
    assert "beta" not in plain.data.dims


def test_runs_kept_without_the_cells_go_on():
    objective = OverCouplings(ReverseKL(), OVER)
    objective.load_state_dict({"objective.average": torch.tensor(float("nan"), dtype=torch.float64)})
    assert bool(objective.ess_beta.isnan().all())


def test_objectives_of_samples_are_refused():
    with pytest.raises(ValueError, match="made of own draws, got ForwardKL"):
        OverCouplings(ForwardKL(torch.ones(4, 2, 2)), OVER)
    with pytest.raises(ValueError, match="over must name a coupling"):
        OverCouplings(PathGradient(), {})


def test_a_path_gradient_vanishes_in_none_of_the_orders():
    run = build("phi4-multilevel", steps=2)
    assert type(run.objective.objective) is PathGradient
    run.objective.loss(run.density, run.target, 40, generator=torch.Generator().manual_seed(0)).value.backward()
    assert all(float(p.grad.abs().max()) > 0 for p in run.density.slopes.values())


def test_the_command_line_evaluates_at_a_coupling(tmp_path, capsys):
    out = str(tmp_path / "run")
    keys = ["L=8", "over=beta:0.3:0.5", "hidden=8", "batch=40", "steps=4", "device=cpu"]
    assert main(["run", "ising-coloured", *keys, "--out", out, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", out, "beta=0.37", "-n", "500", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["beta"] == 0.37 and found["log_z_exact"] == pytest.approx(fl.exact.kaufman((8, 8), 0.37).log_z)
    assert (tmp_path / "run" / "evaluation_beta=0.37.nc").exists()
    assert main(["evaluate", out, "beta=much"]) == 2 and "beta must be a number" in capsys.readouterr().err
    assert main(["evaluate", out, "beta=0.9"]) == 2 and "beta must lie in" in capsys.readouterr().err


def test_draws_at_a_neighbour_give_the_gradient_of_the_variance_under_the_target():
    """Half of the variance of ln q - ln p under p, by enumeration, of spins that q draws one way only."""
    over, target = {"beta": (0.3, 0.5)}, fl.Ising((2, 2), T=2.5)
    objective, generator = OverCouplings(ReverseKL(), over, near=0.5), torch.Generator().manual_seed(0)
    objective._couplings = lambda *_: [{"beta": 0.45}]
    objective._neighbour = lambda *_: {"beta": 0.38}
    density = fl.Conditional(fl.IndependentSpins((2, 2)), over, 1)
    with torch.no_grad():
        for weights in density.parameters():
            weights.fill_(0.4)
    objective._from_neighbour(density, target, 200_000, generator).backward()
    found = [weights.grad.clone() for weights in density.parameters()]
    density.zero_grad()
    density.bind(here := target.at(T=1 / 0.45))
    x = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4).view(-1, 2, 2)
    p, R = here.log_weight(x).softmax(0), density.log_prob(x) - here.log_weight(x)
    ((p * R.square()).sum() - (p * R).sum().square()).div(2).backward()
    for weights, gradient in zip(density.parameters(), found, strict=True):
        np.testing.assert_allclose(gradient / ReverseKL.from_neighbours[0], weights.grad, rtol=0.03, atol=0.03)
    with pytest.raises(ValueError, match=r"near must lie in \[0, 1\)"):
        OverCouplings(ReverseKL(), over, near=1.0)


def test_draws_at_a_neighbour_change_nothing_where_a_density_is_exact():
    over, target = {"beta": (0.3, 0.5)}, fl.Ising((8,), T=2.5).decimate()  # of which a heat bath is exact
    density = fl.Conditional(fl.Multilevel((4,), "heat_bath"), over, 1)
    density.bind(target)
    OverCouplings(ReverseKL(), over)._from_neighbour(density, target, 100, None).backward()
    assert all(float(weights.grad.abs().max()) < 1e-5 for weights in density.parameters() if weights.grad is not None)
    assert OverCouplings(ReverseKL(), over, near=0.0)._from_neighbour(density, target, 100, None) == 0.0


def test_beside_a_path_gradient_draws_at_a_neighbour_have_no_outliers():
    over, target = {"beta": (0.3, 0.5)}, fl.Ising((2, 2), T=2.5)
    density = fl.Conditional(fl.IndependentSpins((2, 2)), over, 1)
    with torch.no_grad():
        for weights in density.parameters():
            weights.fill_(3.0)  # which draws spins far too seldom that p has half of the time

    def gradient(objective):
        density.zero_grad()
        generator = torch.Generator().manual_seed(0)
        OverCouplings(objective, over)._from_neighbour(density, target, 4000, generator).backward()
        return float(sum(weights.grad.norm() ** 2 for weights in density.parameters())) ** 0.5

    assert 0 < gradient(PathGradient()) < 0.5 * gradient(ReverseKL())


def test_neighbours_lie_beside_the_couplings_and_inside_of_their_intervals():
    over, target = {"beta": (0.3, 0.5)}, fl.Ising((2, 2), T=2.5)
    objective, generator = OverCouplings(ReverseKL(), over, near=0.2), torch.Generator().manual_seed(0)
    for beta in (0.3, 0.4, 0.5):
        found = [objective._neighbour({"beta": beta}, target, generator)["beta"] for _ in range(200)]
        assert min(found) >= 0.3 and max(found) <= 0.5 and max(abs(one - beta) for one in found) <= 0.04
        assert max(found) - min(found) > (0.07 if beta == 0.4 else 0.035)
