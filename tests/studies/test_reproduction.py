"""Figures of the papers: what they run exists; they go on, and are judged."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from flowlab.cli import main
from flowlab.runs.registry import find
from flowlab.storage.netcdf import from_netcdf
from flowlab.studies.papers.figures import FIGURES, Arm, Claim, Figure, Scale
from flowlab.studies.papers.reproduction import judged, keys_of, reproduce


@pytest.mark.parametrize("figure", FIGURES.values(), ids=lambda figure: f"{figure.paper}-{figure.number}")
def test_all_that_a_figure_runs_exists_and_larger_scales_are_the_presets(figure) -> None:
    assert set(figure.scales) == {"smoke", "figures", "paper"} and figure.claims
    for scale, size in figure.scales.items():
        assert size.seeds >= 3 and (scale != "paper" or not size.keys), "as published"
        for arm in figure.arms:
            for side in size.sides:
                find(arm.study).given(keys_of(arm, side, size))
    names = {arm.name for arm in figure.arms}
    assert all({claim.arm, claim.other or claim.arm} <= names for claim in figure.claims)


TINY = Figure(
    "004",
    "tiny",
    "Two heat baths",
    (Arm("as published", "ising-mlmc-hb", "paper", {"steps": 0}), Arm("tuned", "ising-mlmc-hb", "paper")),
    {"smoke": Scale((4,), samples=100, keys={"steps": 2, "batch": 20})},
    (Claim("tuning helps", "ess", "greater", "tuned", "as published"), Claim("it is sure", "ess", "exceeds", "tuned")),
)


def test_a_figure_goes_on_and_is_kept_and_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FIGURES, ("004", "tiny"), TINY)
    how = ["reproduce", "004", "--figure", "tiny", "--out", str(tmp_path / "runs"), "--quiet"]
    how += ["--results", str(tmp_path / "results")]
    assert main(how) == 0
    told = capsys.readouterr().out
    path = tmp_path / "results" / "004-tiny-smoke.nc"
    assert "tuning helps: cannot be said at this size (ess of tuned > as published: " in told
    found = from_netcdf(path.read_bytes())
    assert dict(found.sizes) == {"arm": 2, "L": 1, "seed": 3, "claim": 2} and path.stat().st_size < 300_000
    assert found.attrs["scale"] == "smoke" and json.loads(found.attrs["keys"])["as published, L = 4"]["steps"] == 0
    assert {"versions", "commit", "title", "criterion"} <= set(found.attrs) and (found.seconds > 0).all()
    again = reproduce("004", "tiny", out=tmp_path / "runs", progress=False)
    np.testing.assert_array_equal(again.seconds, found.seconds)  # nothing was run again
    assert main(["reproduce", "--results", str(tmp_path / "results")]) == 0
    told = capsys.readouterr().out
    assert "flowlab reproduce 003 --figure table3" in told and "not measured" in told
    assert main(["reproduce", "003", "--figure", "tabel3"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_a_part_of_a_figure_is_judged_with_what_was_run_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(TINY.scales["smoke"], sides=(4, 8), seeds=1)
    heat, tuned = TINY.arms
    monkeypatch.setitem(FIGURES, ("004", "tiny"), replace(TINY, scales={"smoke": small}, reference=heat.name))
    how = {"out": tmp_path, "progress": False}
    first = reproduce("004", "tiny", arms=[heat.name], sides=[4], **how)
    assert (first.state.sel(arm=heat.name, L=4) == "finished").all() and (first.state == "not run").sum() == 3
    assert first.answer.sel(L=4).values.tolist() == [f"{tuned.name}: not run"] * 2
    then = reproduce("004", "tiny", arms=[tuned.name], sides=[4], **how)
    assert (then.state.sel(L=4) == "finished").all() and (then.state.sel(L=8) == "not run").all()
    np.testing.assert_array_equal(then.ess.sel(arm=heat.name), first.ess.sel(arm=heat.name))
    energy = then.energy_per_site.sel(L=4)
    there = energy.sel(arm=heat.name).mean()
    np.testing.assert_allclose(then.energy_per_site_deviation.sel(L=4), (energy - there) / abs(there), atol=1e-12)
    monkeypatch.setitem(FIGURES, ("004", "tiny"), replace(TINY, scales={"smoke": replace(small, keys={"steps": 3})}))
    other = reproduce("004", "tiny", arms=[heat.name], sides=[8], **how)
    assert (other.state.sel(arm=tuned.name, L=4) == "not run").all(), "what was run had other keys"
    with pytest.raises(ValueError, match="arms must be among as published, tuned, got untuned"):
        reproduce("004", "tiny", arms=["untuned"], **how)
    with pytest.raises(ValueError, match="sides must be among 4, 8, got 6"):
        reproduce("004", "tiny", sides=[6], **how)


def test_runs_that_are_not_to_be_trusted_do_not_count() -> None:
    over = ("arm", "L", "seed")
    found = xr.Dataset(
        {"ess": (over, [[[0.9, 0.91, 0.92, 0.1]]]), "verdict": (over, [[["consistent"] * 3 + ["not to be trusted"]]])},
        {"arm": ["a"], "L": [4], "seed": range(4)},
    )
    one = judged(found, (Claim("above", "ess", "exceeds", "a", bar=0.8),))
    assert one.answer.item() == "yes" and one.seeds_used.item() == 3
    some = found.assign(verdict=found.verdict.where(found.seed > 0, "not to be trusted"))
    assert judged(some, (Claim("above", "ess", "exceeds", "a", bar=0.8),)).answer.item().startswith("cannot be said")
