"""The study of a phase diagram: what it returns, with one coupling and with two."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.cli import main
from flowlab.figures import transition_curves

FAST = {"steps": 8, "batch": 40, "degree": 2, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def ising(tmp_path_factory):
    out = tmp_path_factory.mktemp("diagram") / "ising"
    return out, fl.sweep("phase-diagram", out=out, sizes="4,8", points=7, evaluate=400, **FAST)


def test_one_coupling_gives_curves_peaks_and_crossings(ising):
    out, found = ising
    assert found.log_z.dims == ("L", "beta") and found.log_z_replicas.dims == ("L", "replica", "beta")
    assert found.L.values.tolist() == [4, 8] and found.attrs["along"] == "beta"
    assert found.specific_heat_peak_at.dims == ("L",) and found.crossing.dims == ("smaller",)
    exact = [[fl.exact.kaufman((L, L), float(beta)).log_z for beta in found.beta] for L in (4, 8)]
    np.testing.assert_allclose(found.log_z_exact, exact)
    jump = 2 * np.sqrt(found.specific_heat.max("beta") / (found.L**2)) / 0.52
    assert (found.latent_heat >= jump * 0.99).all() and (found.latent_heat_error >= 0).all()
    again = fl.sweep("phase-diagram", out=out, sizes="4,8", points=7, evaluate=400, **FAST)
    assert again.log_z.equals(found.log_z)
    assert len(transition_curves(found).data) > 10


def test_the_command_line_says_where_the_transition_is(tmp_path, capsys):
    keys = ["sizes=4,8", "over=beta:0.4:0.5", "steps=4", "batch=40", "degree=1", "points=3", "device=cpu"]
    assert main(["sweep", "phase-diagram", *keys, "-n", "100", "--out", str(tmp_path / "a"), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "specific_heat_peak_at" in said and "crossing" in said and "2 of 2 runs finished" in said
    keys = ["L=4,8", "over=beta:0.4:0.5", "steps=4", "batch=40", "degree=1", "device=cpu"]
    assert main(["sweep", "ising-coloured", *keys, "-n", "100", "--out", str(tmp_path / "b"), "--quiet"]) == 0
    assert "2 of 2 runs finished" in capsys.readouterr().out


def test_what_is_an_option_is_said(tmp_path, capsys):
    assert main(["sweep", "phase-diagram", "sizes=4", "evaluate=100", "--out", str(tmp_path)]) == 2
    assert "evaluate is given as --evaluate 100" in capsys.readouterr().err


def test_temperature_and_field_are_two_couplings():
    found = fl.sweep(
        "phase-diagram", over="beta:0.4:0.5,h:-0.1:0.1", sizes="4", points=3, lines=3, evaluate=100, **FAST
    )
    assert dict(found.log_z.sizes) == {"L": 1, "h": 3, "beta": 3} and list(found.h) == [-0.1, 0.0, 0.1]
    assert bool((found.magnetization.isel(h=0) < found.magnetization.isel(h=2)).all())


def test_two_couplings_give_a_map():
    found = fl.sweep(
        "phase-diagram", system="phi4", over="kappa:0.2:0.3,lam:0.3:0.7", sizes="4", points=5, lines=2, evaluate=100,
        **FAST,
    )  # fmt: skip
    assert found.log_z.dims == ("L", "lam", "kappa") and found.log_z_curvature_peak_at.dims == ("lam", "L")
    assert "crossing" not in found and "specific_heat" not in found
    assert [trace.type for trace in transition_curves(found).data].count("heatmap") == 3


def test_of_potts_states_the_transition_is_looked_for_around_its_own():
    found = fl.sweep("phase-diagram", system="potts", q=4, sizes="4", points=3, evaluate=100, **FAST)
    assert float(found.beta[0]) < np.log(3) < float(found.beta[-1]) and found.beta[1] == pytest.approx(
        np.log(3), abs=0.01
    )
    exact = [fl.exact.log_z(fl.Potts((4, 4), 1 / float(beta), 4)) for beta in found.beta]
    np.testing.assert_allclose(found.log_z_exact[0], exact)
    assert found.latent_heat.dims == ("L",) and found.specific_heat_peak_at.dims == ("L",)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"sizes": "8,4"}, "sizes must be sides that ascend"),
        ({"over": "beta:0.5:0.4"}, "over must be a coupling and its interval"),
        ({"lam": 0.4}, "has no effect but for phi"),
        ({"q": 4}, "has no effect but for the Potts model"),
        ({"lines": 3}, "has no effect where one coupling changes"),
        ({"system": "phi4", "over": "beta:0.5:0.6,lam:0.1:0.2", "lam": 0.1}, "has no effect where it is one of"),
        ({"system": "phi4", "over": "beta:0.5:0.6,lam:0.1:0.2,h:0:1"}, "one coupling or two"),
    ],
)
def test_keys_that_make_no_sense_are_refused(keys, said):
    with pytest.raises(ValueError, match=said):
        fl.sweep("phase-diagram", **FAST, **keys)
