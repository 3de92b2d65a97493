"""run.check: a collapsed density is found, a right one passes, chains that remember their start are not believed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.analysis.checks import check, comparison
from flowlab.analysis.checks.check import check_evidence
from flowlab.cli import main
from flowlab.densities import IndependentPotts, IndependentSpins, Normal
from flowlab.estimators.weights.pareto import weights_problem
from flowlab.mcmc import opposite
from flowlab.systems import FreeField, Ising, Phi4, Potts
from flowlab.training import ReverseKL, Training


def training(target, density) -> Training:
    return Training(target, density, ReverseKL(), steps=2, batch=4, learning_rate={"base": 1e-9})


def check_reasons(run) -> list[str]:
    return [found.sentence for found in check_evidence(run) if found.fails]


def test_a_state_that_is_never_drawn_is_found() -> None:
    run = training(Potts((3, 3), T=0.7), IndependentPotts((3, 3), 3, bias=6.0))
    found = run.check(20.0, n=2000)
    assert found.attrs["verdict"].startswith("not to be trusted: "), found.attrs
    assert any("state or sector 1 in 0 % of the draws" in line for line in found.attrs["reasons"].splitlines())
    assert check_reasons(run) and all(line.startswith("check: ") for line in check_reasons(run))
    assert found.sel(quantity="sector_fraction_0").raw == pytest.approx(1.0, abs=0.01)
    assert {"reference", "reference_error", "value", "value_error", "r_hat"} <= set(found.data_vars)
    assert float(found.total_variation_raw_overlap) > 0.3


def test_the_exact_density_is_consistent() -> None:
    run = training(Potts((3, 3), T=1e6), IndependentPotts((3, 3), 3))
    found = run.check(20.0, n=2000, seed=3)
    assert found.attrs["verdict"].startswith("consistent: "), found.attrs
    assert found.attrs["reasons"] == "" and found.attrs["seed"] == 3 and check_reasons(run) == []
    assert abs(found.sel(quantity="log_z").reference - 9 * np.log(3)) < 0.01


@pytest.mark.parametrize("shape", [(8,), (4, 4), (2, 4, 3)], ids=str)
def test_clusters_check_an_ising_model_of_any_dimension(shape) -> None:
    run = training(Ising(shape, T=1e6), IndependentSpins(shape))
    found = run.check(5.0, n=500)
    assert found.attrs["verdict"].startswith("consistent: "), found.attrs
    assert found.attrs["chain"] == "Swendsen and Wang's clusters"


def test_chains_that_keep_their_start_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(system, *, generator):
        chains = opposite.opposite(system, generator=generator)
        chains._advance = lambda state, steps: state
        return chains

    monkeypatch.setattr(check, "opposite", stuck)
    run = training(Potts((3, 3), T=0.7), IndependentPotts((3, 3), 3))
    found = run.check(0.3, n=500)
    assert found.attrs["verdict"].startswith("not checked: reference not thermalised: ")
    assert check_reasons(run) == [] and found.attrs["thermalised"] == 0
    assert "forward_kl" not in run.evaluate(200)  # its configurations are no samples of the target


def test_evaluations_take_up_the_references_and_other_steps_not_the_verdict(tmp_path) -> None:
    run = fl.experiment("phi4-free", L=4, steps=4, batch=8, out=tmp_path / "a")
    run.run(2, progress=False)
    assert run.checked is None and "forward_kl" not in run.evaluate(200)
    run.check(20.0, n=500)
    again = fl.load(tmp_path / "a")
    assert again.checked is not None and again.checked.attrs["verdict"] == run.checked.attrs["verdict"]
    assert again.checked.attrs["step"] == 2
    assert "forward_kl" in again.evaluate(200)
    reasons = check_reasons(again)
    run.run(progress=False)
    assert run.checked is not None and check_reasons(run) == [] and check_reasons(again) == reasons


def test_a_broken_symmetry_of_fields_is_found_and_both_signs_are_seen_by_the_chains() -> None:
    class Shifted(Normal):
        def log_prob(self, x):
            return super().log_prob(x - 1.0)

        def draw(self, n, *, generator=None):
            x = super().draw(n, generator=generator).x + 1.0
            return fl.core.Draw(x, self.log_prob(x), torch.zeros(n))

    found = training(Phi4((2, 2), kappa=0.5, lam=1.0), Shifted((2, 2))).check(20.0, n=1000)
    assert abs(found.sel(quantity="positive_fraction").reference - 0.5) < 0.1
    assert found.sel(quantity="positive_fraction").raw > 0.9
    assert found.attrs["verdict"].startswith("not to be trusted")


def test_the_command_line_checks_and_keeps(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    fl.experiment("phi4-free", L=4, steps=2, batch=8, out=tmp_path / "a").run(1, progress=False)
    assert main(["check", str(tmp_path / "a"), "--seconds", "2"]) == 0
    assert "magnetization" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "a"), "--seconds", "0.2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"].split(":")[0] in {"consistent", "not to be trusted", "not checked"}
    assert (tmp_path / "a" / "check.nc").exists()
    assert main(["check", str(tmp_path / "a"), "--seconds", "0"]) == 2


def test_a_time_that_is_none_is_refused() -> None:
    run = training(FreeField((2, 2), mass=1.0), Normal((2, 2)))
    with pytest.raises(ValueError, match="seconds must be positive, got 0"):
        run.check(0)


class Own(fl.System):
    """A field of one's own that says nothing beyond its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.shape, self.dims, self.domain, self.couplings = (4,), ("x",), "real", {}

    def log_weight(self, x):
        return -(x**2 + x * x.roll(1, 1) / 4).sum(1)

    def observables(self, x):
        return {}


def test_a_system_without_observables_is_looked_at_and_checked_by_density_and_by_chain() -> None:
    run = training(Own(), fl.Normal((4,)))
    assert run.check(20.0, n=500).attrs["verdict"].startswith(("consistent", "not to be trusted"))
    found = run.evaluate(500)
    assert found.emdm.attrs["reference"] == "samples of the target" and 0 < float(found.emdm) <= 1
    chain = fl.ChainRun(Own(), fl.HMC(Own(), tuning=20), chains=16, steps=60, every=2)
    chain.run(progress=False)
    assert "acceptance" in repr(chain) and "<table>" in chain._repr_html_() and chain.data.sizes["step"] == 60
    assert chain.check(20.0).attrs["verdict"].startswith("consistent"), chain.checked.attrs


def test_what_has_no_draws_is_not_checked() -> None:
    glass = fl.SpinGlass.sherrington_kirkpatrick(4, T=1.0)
    run = fl.runs.TemperingRun(
        glass, fl.mcmc.ParallelTempering(glass, [1.0, np.inf], replicas=3), temperatures=(1.0,), steps=20
    )
    assert run.check(0.1).attrs["verdict"] == "not checked: TemperingRun trains no density"


class Lying(IndependentPotts):
    """Says a ln q that is the same constant too high for every configuration, which neither draws nor chains see."""

    def log_prob(self, x):
        return super().log_prob(x) + 0.04

    def draw(self, n, *, generator=None):
        drawn = super().draw(n, generator=generator)
        return drawn._replace(log_q=drawn.log_q + 0.04, score=drawn.score + 0.04)


def test_the_exact_ln_z_speaks_where_there_is_one() -> None:
    found = training(Potts((3, 3), T=100.0), Lying((3, 3), 3)).check(20.0, n=2000, seed=3)
    assert found.attrs["verdict"].startswith("not to be trusted: ln Z is "), found.attrs
    assert "exactly" in found.attrs["verdict"] and "errors too low" in found.attrs["verdict"]


def test_weights_of_unknown_error_are_not_consistent() -> None:
    """Where nothing reweighted has an error, nothing reweighted was compared."""
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (2000, 3, 3))).double()
    drawn = check.Drawn(x.numpy(), np.log1p(np.random.default_rng(5).pareto(1.3, 2000)), None, normalised=True)
    found = check.check(Potts((3, 3), T=1e6), drawn, 5.0, 0)
    assert weights_problem(drawn.log_w) and comparison.worth(drawn.log_w) > 100
    assert found.attrs["verdict"].startswith("not to be trusted: the tail of the 2000 weights is heavy"), found.attrs
