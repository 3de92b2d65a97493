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
}


def build(name, **keys):
    run = fl.experiment(name, **FAST | STUDIES[name] | keys)
    vars(run).setdefault("log_z_exact", None)
    return run


@pytest.mark.parametrize("name", STUDIES)
def test_studies_train_over_a_range_and_evaluate_in_it(name):
    run = build(name, degree=2)
    data = run.run(progress=False)
    assert (data.ess_min <= data.ess_mean).all() and (data.ess_min > 0).all()
    coupling = {"T": 2.5} if name == "ising-van" else {"beta": 0.42}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrustedWarning)
        found = run.evaluate(200, **coupling)
    beta = 0.4 if name == "ising-van" else 0.42
    named = found.attrs["kappa"] * 2 if name.startswith("phi4") else 1 / found.attrs["T"]
    assert (named == pytest.approx(beta) and "T = 2" in found.attrs["system"]) or "β = 0.42" in found.attrs["system"]
    assert found.attrs["step"] == 6 and np.isfinite(found.log_z_bound)


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


def test_a_curve_is_an_evaluation_at_every_point():
    run = build("ising-coloured", L=4)
    run.run(progress=False)
    betas = np.array([0.3, 0.4, 0.5])
    found = run.curve(300, beta=betas)
    assert found.sizes["beta"] == 3 and np.array_equal(found.beta, betas) and found.verdict.dims == ("beta",)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrustedWarning)
        one = run.evaluate(300, beta=0.4)
    for name in ("free_energy_per_site", "energy_per_site", "specific_heat", "abs_magnetization", "binder"):
        assert float(found[name][1]) == float(one[name]) and f"{name}_error" in found
    exact = [fl.exact.kaufman((4, 4), beta) for beta in betas]
    np.testing.assert_allclose(found.log_z_exact, [known.log_z for known in exact])
    np.testing.assert_allclose(found.energy_per_site_exact, [known.energy / 16 for known in exact])
    np.testing.assert_allclose(found.specific_heat_exact, [known.specific_heat / 16 for known in exact])
    with pytest.raises(ValueError, match="a curve needs the values of one coupling, got beta, T"):
        run.curve(beta=betas, T=betas)


@pytest.mark.parametrize("name", ["ising-coloured", "ising-van", "phi4-multilevel"])
def test_one_seed_draws_the_same_random_numbers_at_every_coupling(name):
    run = build(name)
    run.run(progress=False)
    coupling, values = ("T", (2.1, 2.5, 3.2)) if name == "ising-van" else ("beta", (0.42, 0.45, 0.5))
    for value in values:
        found = run.sample(7, seed=3, **{coupling: value})
        target = run.target.at(**dict([run.target.spelled(coupling, value)]))
        generator = fl.core.named_generator(3, "sample", run.step)
        x, log_q = run.reading()[1].at(**{coupling: value}).sample(7, generator=generator)
        s = torch.as_tensor(found.configuration.values, dtype=x.dtype)
        assert torch.equal(target.reduce(s), x)
        log_w = target.log_weight(x.double()) + float(target.log_z_offset) - log_q.double()
        np.testing.assert_allclose(found.log_weight - found.log_q, log_w, rtol=0, atol=1e-9)
        assert found.attrs["seed"] == 3 and target.physical.title == found.attrs["system"]
        assert np.array_equal(run.sample(7, seed=3, **{coupling: value}).configuration, found.configuration)
    own = run.sample(7, seed=3, **{coupling: run.target.value_of(coupling)})
    assert np.array_equal(own.configuration, run.sample(7, seed=3).configuration)
    with pytest.raises(ValueError, match="trained over"):
        run.sample(7, h=0.1)


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
