"""A sweep as curves, whose points open their runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import flowlab as fl
from flowlab.figures import phase_diagram, sweep
from flowlab.runs.sweeps import keep
from flowlab.widgets import PhaseDiagram

T = [2.0, 2.5, 3.0]


def swept(done: int = 3) -> xr.Dataset:
    known = np.array([[1.0, 1.1], [2.0, 2.1], [3.0, 3.1]])
    known[done:] = np.nan
    numbers = {"log_z": 16 * known, "log_z_exact": 16.16 * known, "free_energy_per_site": -known, "ess": known / 4}
    variables = {name: (("T", "seed"), value) for name, value in numbers.items()}
    variables["free_energy_per_site_error"] = (("T", "seed"), 0.01 * np.ones((3, 2)))
    states = [["finished" if k < done else "ready"] * 2 for k in range(3)]
    runs = [[f"T={t},seed={s}" for s in (0, 1)] for t in T]
    variables |= {"state": (("T", "seed"), states), "run": (("T", "seed"), runs)}
    return xr.Dataset(variables, {"T": T, "seed": [0, 1]}, {"study": "ising-van"})


def test_runs_that_are_not_to_be_trusted_are_hollow_and_what_is_not_known_is_not_promised() -> None:
    words = [["consistent: it agrees"] * 2, ["not to be trusted: few", "not checked: nothing"], ["not checked"] * 2]
    found = swept().assign(verdict=(("T", "seed"), words), log_z_exact=(("T", "seed"), np.full((3, 2), np.nan)))
    for figure in (phase_diagram(found, "log_z"), sweep(found, ["log_z", "ess"])):
        assert figure.layout.title.text == "ising-van · hollow: not to be trusted"
        symbols = [trace.marker.symbol for trace in figure.data]
        assert symbols[:2] == [("circle", "circle-open", "circle"), ("circle",) * 3]
        assert all(trace.line.dash is None for trace in figure.data)


def test_a_curve_for_each_other_key_with_errors_and_exact_lines() -> None:
    figure = phase_diagram(swept(), "free_energy_per_site")
    points = [trace for trace in figure.data if trace.customdata is not None]
    assert [trace.name for trace in points] == ["seed = 0", "seed = 1"]
    assert list(points[1].y) == [-1.1, -2.1, -3.1]
    assert list(points[0].error_y.array) == [0.01] * 3
    exact = [trace for trace in figure.data if trace.line.dash == "dash"]
    np.testing.assert_allclose(exact[0].y, [-1.01, -2.02, -3.03])
    assert "dashed: exact" in figure.layout.title.text and "hollow" not in figure.layout.title.text
    assert len(phase_diagram(swept(), "ess", along="seed").data) == 3
    with pytest.raises(ValueError, match="quantity must be one of"):
        phase_diagram(swept(), "nothing")
    with pytest.raises(ValueError, match="along must be one of"):
        phase_diagram(swept(), "ess", along="L")


def test_a_click_opens_the_run(tmp_path: Path, until) -> None:
    for seed in (0, 1):
        run = fl.experiment("ising-van", L=4, T=2.5, steps=2, batch=10, seed=seed, out=tmp_path / f"T=2.5,seed={seed}")
        run.run(progress=False)
    diagram = PhaseDiagram(swept(), tmp_path)
    trace = next(k for k, one in enumerate(diagram.live.figure.data) if one.name == "seed = 1")
    diagram.live.widget.clicked({"x": 2.5, "y": -2.1, "trace": trace})
    until(lambda: diagram.place.children)
    assert diagram.lab.experiment.seed == 1
    diagram.open("T=9")
    assert "Error" in diagram.line.value
    diagram.lab.close()
    diagram.close()


def test_a_sweep_that_goes_on_is_followed(tmp_path: Path) -> None:
    keep(swept(1), tmp_path)
    diagram = PhaseDiagram(tmp_path)
    assert "2 finished, 4 ready" in diagram.line.value
    assert diagram.refresh()
    keep(swept(3), tmp_path)
    assert not diagram.refresh()
    assert list(diagram.live.figure.data[1].y) == [-1.0, -2.0, -3.0]
    assert "6 finished" in diagram.line.value
    diagram.close()


def test_runs_that_were_not_kept_cannot_be_opened() -> None:
    diagram = PhaseDiagram(swept())
    diagram.open("T=2.0,seed=0")
    assert "folder=" in diagram.line.value
    diagram.close()
