from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from flowlab.estimators.observables.walls import wall_length
from flowlab.runs import experiment
from flowlab.training import Training
from flowlab.widgets import DefectsPanel


@pytest.fixture(scope="module")
def run() -> Training:
    """Odd masks from a random start: all-up does not stay all-up, so that the gauge matters."""
    made = experiment("ising-xor", L=4, T=2.5, layers=3, start="random", parity="odd", steps=3, batch=50)
    made.run(progress=False)
    return made


@pytest.fixture(scope="module")
def one_panel(run: Training) -> Iterator[DefectsPanel]:
    panel = DefectsPanel(run)
    yield panel
    panel.close()


@pytest.fixture
def panel(one_panel: DefectsPanel, until) -> DefectsPanel:
    """Settled, with all spins up."""
    one_panel.publisher.wake()
    until(lambda: one_panel.diagnosis.data is not None and one_panel.path is not None)
    one_panel.clear.click()
    until(lambda: not one_panel._stale and not one_panel.publisher.alive)
    return one_panel


def click(panel: DefectsPanel, x: int, y: int) -> None:
    """A click on the first picture, as the browser reports it."""
    panel.live.widget._handle_custom_msg({"type": "click", "x": x, "y": y, "trace": 0}, [])


def test_the_island_is_there_first(until) -> None:
    run = experiment("ising-xor", L=4, T=2.5, layers=1, steps=1, batch=50)
    panel = DefectsPanel(run)
    assert "working" in panel.message.value
    assert panel.defect.options == ("painted",)
    panel.publisher.wake()
    until(lambda: panel.defect.value == "island")
    assert (panel.spins == -1).sum() == 4
    panel.close()


@pytest.mark.parametrize("name", ["single flip", "flat wall pair", "checkerboard", "uniform"])
def test_a_chosen_defect_passes_as_the_diagnosis_says(panel: DefectsPanel, until, name: str) -> None:
    found = panel.diagnosis.data.sel(defect=name)
    panel.defect.value = name
    until(lambda: panel.path is not None and not panel._stale and f"<b>{name}</b>" in panel.line.value)
    for variable in ("defect_configuration", "defect_wall_length", "defect_flipped_sites"):
        np.testing.assert_array_equal(panel.path[variable], found[variable])
    heats = [t for t in panel.strip.figure.data if t.type == "heatmap"]
    for heat, spins in zip(heats, found["defect_configuration"].values[::-1], strict=True):
        np.testing.assert_array_equal(heat.z, spins)
    assert f"wall length {int(found['defect_wall_length'][-1])}," in panel.line.value


def test_clicks_paint(panel: DefectsPanel, run: Training, until) -> None:
    for x, y in ((1, 2), (2, 2), (0, 0), (0, 0)):
        click(panel, x=x, y=y)
    assert "working" in panel.message.value
    until(lambda: "<b>painted</b> · 2 down" in panel.line.value and not panel._stale)
    painted = np.ones((4, 4))
    painted[2, 1:3] = -1
    np.testing.assert_array_equal(panel.live.figure.data[0].z, painted)
    s = run.layers(x=np.stack([painted, np.ones((4, 4))]))["configuration"].values
    assert (s[0, 1] == -1).any(), "the gauge matters here"
    np.testing.assert_array_equal(panel.path["defect_wall_length"], wall_length(s[:, 0] * s[:, 1]))
    assert list(panel.live.figure.data[2].y) == panel.path["defect_wall_length"].values[::-1].tolist()


def test_a_stroke_paints_all_its_sites_once(panel: DefectsPanel, until) -> None:
    sites = [[0, 1], [1, 1], [2, 1]]
    for count in (1, 3, 3):
        x, y = sites[count - 1]
        stroke = {"type": "click", "x": x, "y": y, "trace": 0, "sites": sites[:count], "value": -1.0, "stroke": count}
        panel.live.widget._handle_custom_msg(stroke, [])
    until(lambda: "<b>painted</b> · 3 down" in panel.line.value and not panel._stale)
    assert panel.live.widget.seen == 3
    assert (panel.spins[1] == [-1, -1, -1, 1]).all()
    assert (panel.curves.figure.data[0].y == panel.path["defect_wall_length"].values[::-1]).all()


def test_painting_over_a_chosen_defect_begins_from_it(panel: DefectsPanel, until) -> None:
    panel.defect.value = "island"
    panel.paint(3, 3)
    assert panel.defect.value == "painted"
    until(lambda: "<b>painted</b> · 5 down" in panel.line.value)


def test_what_was_painted_is_kept_in_a_saved_lab(panel: DefectsPanel) -> None:
    assert panel.page()[0]["parts"][0]["options"][0] != "painted"  # nothing is
    panel.paint(2, 1)
    controls, lines, *_ = panel.page()
    assert controls["parts"][0]["options"][0] == "painted"
    assert lines["frames"][0].startswith("<b>painted</b> · 1 down · wall length 4,")


def test_the_distances_of_the_diagnosis_are_in_words(panel: DefectsPanel) -> None:
    found = panel.diagnosis.data
    assert f"{float(found['latent_distance_equal']):.2f}" in panel.about.value
    assert "topology" in panel.about.value


def test_what_has_no_flow_or_too_few_sites_is_refused(make_run) -> None:
    with pytest.raises(TypeError, match=r"needs a flow, got .* without layers"):
        DefectsPanel(experiment("ising-xor", L=4, layers=0, steps=1, batch=10))
    with pytest.raises(TypeError, match="sides of at least 4"):
        DefectsPanel(experiment("ising-xor", L=2, layers=1, kernel=3, steps=1, batch=10))
    with pytest.raises(TypeError, match="got a run that trains none"):
        DefectsPanel(make_run())


def test_a_snapshot_is_static(panel: DefectsPanel) -> None:
    assert "backwards through the layers" in panel.snapshot().layout.title.text
