"""Studies of samplers for criticality: what they build, what they refuse, that they learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator

FAST = {"device": "cpu", "batch": 100}
STUDIES = {
    "ising-coloured": {"lr": 2e-2, "steps": 100, "batch": 200},
    "ising-rigcs": {"lr": 2e-2},
    "ising-rigcs transformer": {
        "network": "transformer",
        "hidden": 8,
        "lr": 3e-3,
        "steps": 30,
        "batch": 50,
        "anneal": 0.0,
    },
    "ising-han": {"lr": 2e-2, "steps": 150, "batch": 200},
    "ising-van": {"channels": 4, "layers": 2, "kernel": 5, "lr": 2e-2},
    "phi4-multilevel": {"beta": 0.576, "lr": 1e-2, "hidden": 8, "steps": 20, "anneal": 0.0},
    "phi4-pixelcnn": {"L": 4, "beta": 0.4, "lr": 1e-2, "channels": 6, "kernel": 3, "steps": 15, "anneal": 0.0},
}
SINGLE = ("ising-van", "phi4-pixelcnn")
"""Those that do not grow."""


def build(name, **keys):
    return fl.experiment(name.split()[0], **FAST | {"L": 8, "steps": 40} | STUDIES.get(name, {}) | keys)


def bound(run):
    """E[log_weight - ln q] of the density as it is."""
    x, log_q = run.density.sample(400, generator=named_generator(0, "bound"))
    return float((run.target.log_weight(x) - log_q).mean())


@pytest.mark.parametrize("name", STUDIES)
def test_a_short_run_improves(name):
    run = build(name)
    if name.startswith("phi4"):
        vars(run)["log_z_exact"] = None  # takes longer than the rest
    before = bound(run)
    data = run.run(progress=False)
    stages = data.stage.values
    last = 0 if name in SINGLE else 1
    assert stages.max() == last and (np.diff(stages) >= 0).all()
    own = stages == last
    assert np.isfinite(data.log_z_bound.values[own]).all() and np.isnan(data.log_z_bound.values[~own]).all()
    assert bound(run) > before + (0.15 if "transformer" in name else 0.4)  # these start at the heat bath
    if name in ("ising-coloured", "ising-han"):
        found = run.evaluate(4000)
        assert abs(float(found.log_z - found.log_z_exact)) < 4 * float(found.log_z_error) < 0.05
        assert float(found.ess) > 0.5


def test_heat_bath_is_published_before_it_is_tuned():
    run = build("ising-mlmc-hb", L=4)
    assert not run.before and run.annealing is None
    assert abs(float(run.evaluate(2000).ess) - 0.86) < 0.086
    run = build("ising-mlmc-hb")
    assert all(name.endswith("shift") for name, _ in run.density.named_parameters())
    before = run.evaluate(4000).log_z_bound
    run = build("ising-mlmc-hb", lr=1e-2, batch=400)
    run.run(progress=False)
    assert float(run.evaluate(4000).log_z_bound) > float(before) + 0.01


def test_growth_spends_the_steps_as_it_is_told():
    run = build("ising-coloured", L=16, steps=100, share=2.0)
    assert [stage.steps for stage in run.before] == [40, 40] and run.own_steps == 20 and run.steps == 100
    assert [stage.system.shape for stage in run.before] == [(4, 4), (8, 8)]
    assert [stage.annealing is None for stage in [*run.before, run]] == [False, True, True]
    run = build("ising-coloured", L=16, steps=60, shares="1,2,3")
    assert [stage.steps for stage in run.before] == [10, 20] and run.own_steps == 30
    assert not build("ising-coloured", grow=False).before
    assert not build("ising-coloured", L=4).before
    assert [stage.system.shape for stage in build("ising-han", L=16).before] == [(4, 4), (8, 8)]
    assert [stage.system.shape for stage in build("phi4-multilevel", L=20).before] == [(10, 10)]
    assert build("phi4-multilevel", L=20).density.coarsest == 5 and build("ising-rigcs", L=12).density.coarsest == 3


def test_larger_lattices_learn_at_a_lower_rate_where_asked():
    def rates(**keys):
        return [
            stage.optimisation.learning_rate["base"] for stage in build("ising-coloured", L=16, lr=0.02, **keys).stages
        ]

    assert rates() == [0.02, 0.02, 0.02]
    assert rates(over="beta:0.3:0.5", lr_growth=0.5) == [0.02, 0.01, 0.005]
    assert rates(base="made", shares="1,1,1,1", lr_growth=0.5) == [0.02, 0.02, 0.01, 0.005]
    with pytest.raises(ValueError, match="lr_growth has no effect on a run that does not grow"):
        build("ising-coloured", grow=False, lr_growth=0.5)


def test_couplings_of_the_smaller_lattices():
    same, flowing = (build("ising-coloured", L=16, coupling=kind) for kind in ("physical", "renormalised"))
    assert [round(float(stage.system.couplings["T"]) * 0.44, 6) for stage in same.before] == [1, 1]
    beta = [1 / float(stage.system.couplings["T"]) for stage in [*flowing.before, flowing]]
    assert beta == sorted(beta) and beta[0] < beta[-1] == pytest.approx(0.44)
    first = flowing.before[0]
    rise = [1 / first.annealing(progress)["T"] for progress in (0.0, 0.1, 0.1999)]
    assert rise == sorted(rise) and rise[0] == pytest.approx(beta[0] / 5) and beta[0] > rise[-1] > 0.999 * beta[0]


@pytest.mark.parametrize(("coupling", "level", "origin"), [("physical", 0, 0), ("renormalised", 1, 0)])
def test_stages_hand_on_the_level_that_stays_what_it_is(coupling, level, origin):
    run = build("ising-rigcs", L=8, coupling=coupling, steps=2, batch=10, lr=0.1)
    run.run(1, progress=False)
    shown, trained = run.reading()[1].state_dict(), run.before[0].density.state_dict()
    assert np.array_equal(shown[f"conditionals.{level} centre.kernel"], trained[f"conditionals.{origin} centre.kernel"])
    fresh = build("ising-rigcs", L=8, coupling=coupling).density.state_dict()
    assert not np.array_equal(shown["conditionals.0 centre.kernel"], fresh["conditionals.0 centre.kernel"])


def test_presets_of_papers_warn_that_they_were_something_else():
    for name, preset in (("ising-rigcs", "paper-8"), ("ising-van", "paper"), ("phi4-pixelcnn", "paper")):
        with pytest.warns(DeprecationWarning, match=f"preset={preset} of {name} is not what it was"):
            fl.experiment(name, preset=preset, L=8)


def test_the_coarsest_lattice_is_trained_alone_and_handed_on():
    keys = {"L": 8, "base": "pixelcnn", "coarsest": 2, "coupling": "renormalised", "symmetric": False, "anneal": 0.0}
    run = build("ising-rigcs", **keys, shares="2,1,1", steps=4, batch=10)
    assert [stage.system.shape[0] for stage in run.stages] == [2, 4, 8] and run.before[0].steps == 2
    assert run.before[0].target is run.before[0].system, "nothing is summed over where it is alone"
    run.run(3, progress=False)
    alone = run.before[0].density.state_dict()
    fresh = build("ising-rigcs", **keys).density.base.state_dict()
    handed = run.before[1].density.base.state_dict()
    assert any(not np.array_equal(alone[name], fresh[name]) for name in alone)
    assert all((alone[name] - handed[name]).abs().max() < 0.02 for name in alone), "it went one step further"
    shown = run.reading()[1].base.state_dict()
    assert all(np.array_equal(shown[name], handed[name]) for name in handed)
    with pytest.raises(ValueError, match="or one more before them for L = 2 alone, got '1,2,3,4'"):
        build("ising-rigcs", **keys, shares="1,2,3,4")
    with pytest.raises(ValueError, match="shares must be 2 positive numbers, for L = 4, 8, got '1,1,1'"):
        build("ising-rigcs", shares="1,1,1")


def test_renormalised_couplings_of_small_lattices_vanish_and_are_numbers():
    run = build(
        "ising-rigcs", L=128, coarsest=2, coupling="renormalised", base="pixelcnn", shares="1,1,1,1,1,1,1", batch=2
    )
    K = [1 / float(stage.system.couplings["T"]) for stage in run.stages]
    assert sorted(K) == K and 0 < K[0] <= 1e-29 and K[-1] == pytest.approx(0.44)
    assert np.isfinite(
        [float(stage.target.log_weight(stage.density.sample(3)[0]).sum()) for stage in run.stages[:2]]
    ).all()


def test_the_field_of_view_and_the_constants_of_convolutions_are_keys():
    def seen(**keys):
        density = build("ising-rigcs", **keys).density
        with torch.no_grad():  # away from the start, where constants and outputs are small
            for weight in density.conditionals.parameters():
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
        x, log_q = density.sample(20, generator=named_generator(0, "seen"))
        torch.testing.assert_close(density.log_prob(x), log_q, atol=1e-3, rtol=1e-4)
        return density.conditionals["0 centre"].nowhere.shape[1], bool(
            (density.log_prob(-x) - log_q).abs().max() < 1e-3
        )

    assert seen() == (49, True) and seen(kernels="3,1") == (9, True) and seen(symmetric=False) == (49, False)
    with pytest.raises(ValueError, match="kernels must be two odd sides"):
        build("ising-rigcs", kernels="4,3")
    with pytest.raises(ValueError, match="kernels must be two odd sides with a comma between, as 5,3, got 'x'"):
        build("ising-rigcs", kernels="x")
    with pytest.raises(ValueError, match="kernels has no effect but for convolutions site by site"):
        build("ising-coloured", kernels="3,3")


def test_a_heat_bath_without_steps_is_measured_as_published():
    run = build("ising-mlmc-hb", steps=0)
    before = bound(run)
    data = run.run(progress=False)
    assert run.step == 1 and np.isfinite(data.log_z_bound.values).all() and bound(run) == before
    assert all(float(weight) == 0 for weight in run.density.parameters())
    assert run.state == "finished" and run.keys["steps"] == 0
    with pytest.raises(ValueError, match="steps must be at least 1 but for a heat bath"):
        build("ising-rigcs", steps=0)


def test_weights_of_a_heat_bath_from_before_mean_what_they_meant():
    density = build("ising-mlmc-hb").density
    state = density.state_dict()
    K = {name: density.get_submodule(name.rpartition(".")[0]).K for name in state}
    old = {name.replace("shift", "scale"): torch.tensor(1.3) for name in state}
    density.load_state_dict(old)
    assert all(float(value) == pytest.approx(0.3 * K[name]) for name, value in density.state_dict().items())


def test_a_masked_network_draws_the_coarsest_lattice():
    run = build("ising-coloured", L=8, coarsest=4, base="made", steps=30, lr=2e-2)
    assert isinstance(run.density.base.density, fl.MADE) and run.density.base.shape == (4, 4)
    before = bound(run)
    run.run(progress=False)
    assert bound(run) > before + 0.2
    assert bool((run.density.flip_action() == -1).all())


def test_a_warm_start_takes_over_and_does_not_grow():
    run = build("ising-han", steps=4)
    run.run(progress=False)
    larger = run.grow()
    assert not larger.before and larger.annealing is None and larger.system.shape == (16, 16)
    name = "networks.domain 7.skip.weight"
    assert np.array_equal(larger.density.state_dict()[name], run.density.state_dict()[name])


def test_growth_keeps_a_coupling_that_the_study_chose():
    small = build("phi4-multilevel", L=8, beta=None, steps=2)
    for larger in (small.grow(), small.grow().grow()):
        assert larger.keys["beta"] == small.system.beta == 0.576
        assert float(larger.system.couplings["kappa"]) == float(small.system.couplings["kappa"])
    other = small.grow(kappa=0.3)
    assert other.keys["beta"] is None and float(other.system.couplings["kappa"]) == 0.3
    assert fl.experiment("phi4-multilevel", L=32, grow=False, device="cpu").system.beta == 0.662


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("ising-coloured", {"L": 12, "coarsest": 2}, r"L must be coarsest · 2\^k .* got L = 12 and coarsest = 2"),
        ("ising-rigcs", {"L": 6, "coarsest": 6}, r"L must be coarsest · 2\^k .* got L = 6 and coarsest = 6"),
        ("ising-han", {"L": 12}, "L must be 2, 4, 8, 16, ..., .* got 12"),
        ("ising-coloured", {"kind": "painted"}, "kind must be one of coloured, autoregressive, heat_bath"),
        ("phi4-multilevel", {"kind": "heat_bath", "beta": 0.5}, "kind must be one of coloured, autoregressive"),
        ("ising-rigcs", {"network": "cnn"}, "network must be one of convolution, transformer"),
        ("ising-mlmc-hb", {"network": "transformer"}, "network has no effect on a heat bath, which has no networks"),
        ("phi4-pixelcnn", {"components": 0}, "components must be at least 1"),
        ("ising-coloured", {"share": 0.0}, "share must be positive"),
        ("ising-coloured", {"L": 16, "shares": "1,2"}, "shares must be 3 positive numbers, for L = 4, 8, 16"),
        ("ising-coloured", {"L": 16, "shares": "1,two,3"}, "shares must be 3 positive numbers"),
        ("ising-coloured", {"L": 16, "steps": 2}, "steps must be more than the 2 smaller lattices"),
        ("ising-coloured", {"T": 0.0}, "T must be positive, got 0.0"),
        ("ising-han", {"T": 0.0}, "T must be positive, got 0.0"),
        ("ising-coloured", {"hidden": 0}, "hidden must be at least 1, or none, got 0"),
        ("ising-rigcs", {"hidden": -1}, "hidden must be at least 1, or none, got -1"),
        ("phi4-multilevel", {"hidden": 0}, "hidden must be at least 1, got 0"),
        ("ising-rigcs", {"network": "transformer", "blocks": 0}, "blocks must be at least 1, got 0"),
        ("ising-coloured", {"blocks": 2}, "blocks has no effect without a transformer: leave it at 1, got 2"),
        ("ising-rigcs", {"heads": 4}, "heads has no effect without a transformer"),
        ("ising-rigcs", {"colours": 2}, "colours has no effect on the kind autoregressive: leave it at 4, got 2"),
        ("ising-mlmc-hb", {"window": 12}, "window has no effect on the kind heat_bath"),
        ("ising-mlmc-hb", {"hidden": 12}, "hidden has no effect on a heat bath"),
        ("ising-mlmc-hb", {"share": 0.5}, "share has no effect on a run that does not grow"),
        (
            "ising-rigcs",
            {"grow": False, "shares": "2000,2000"},
            "shares has no effect .* leave it at None, got 2000,2000",
        ),
        ("ising-han", {"grow": False, "share": 1.0}, "share has no effect on a run that does not grow"),
        ("phi4-multilevel", {"kind": "autoregressive", "colours": 2}, "colours has no effect on the kind autoreg"),
        ("phi4-multilevel", {"grow": False, "shares": "1,1"}, "shares has no effect on a run that does not grow"),
        ("ising-rigcs", {"network": "transformer", "heads": 0}, "heads must be at least 1, got 0"),
        ("phi4-multilevel", {"beta": 0.5, "kappa": 0.2}, "give beta or kappa, not both"),
    ],
)
def test_refuses(name, keys, message):
    with pytest.raises(ValueError, match=message):
        build(name, **keys)


def test_growth_keeps_the_coarsest_lattice():
    small = build("ising-coloured", L=6, steps=2)
    small.run(progress=False)
    with pytest.raises(ValueError, match="expected a side of 2, got 3"):
        build("ising-coloured", L=8).density.warm_start(small.density)
    with pytest.raises(ValueError, match=r"L must be coarsest · 2\^k"):
        build("ising-coloured", L=8, steps=2).at(L=12, coarsest=2)


def test_a_ring_grows_from_the_smallest_that_has_something_to_learn():
    run = fl.experiment("ising-coloured", L=16, d=1, steps=6, batch=20)
    assert run.describe()["stages"] == "8, 16"
    run.run(progress=False)
    with pytest.raises(ValueError, match=r"L must be at least 4 · coarsest on a ring, d=1, got L=4 and coarsest=2"):
        fl.experiment("ising-coloured", L=4, d=1)
    with pytest.raises(ValueError, match="grow has no effect where nothing lies between"):
        fl.experiment("ising-coloured", L=8, d=1, grow=False)
