from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from flowlab.core import Spins
from flowlab.figures.triangles import cloud_of
from flowlab.widgets import TrianglesPanel
from flowlab.widgets.panels.triangles import Region, within

N = 16


def two_patterns(seed: int, size: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    patterns = np.where(np.arange(N) < [[N], [N // 2]], 1.0, -1.0)
    s = patterns[rng.integers(2, size=size)] * rng.choice([-1.0, 1.0], (*size, 1))
    return np.where(rng.random(s.shape) < 0.05, -s, s)


@pytest.fixture(scope="module")
def one_panel() -> Iterator[TrianglesPanel]:
    names = ("layer", ["latent", "affine 1"])
    free = np.where(np.random.default_rng(3).random((200, N)) < 0.5, -1.0, 1.0)
    s = np.stack([free, two_patterns(0, (200,))])
    layers = xr.Dataset({"configuration": (("layer", "sample", "site"), s)}, coords={"layer_name": names})
    sets = (("replica", "sample", "site"), two_patterns(1, (4, 100)))
    run = SimpleNamespace(
        system=SimpleNamespace(shape=(N,), dims=("site",), variables=Spins()),
        data=xr.Dataset(attrs=dict(T=0.5)), state="finished",
        error=None, step=7, temperatures=(0.5,), layers=lambda n, *, seed: layers,
        reference=lambda T: xr.Dataset({"configuration": sets}, attrs=dict(T=T)),
    )  # fmt: skip
    panel = TrianglesPanel(run, n=200)
    yield panel
    panel.close()


@pytest.fixture
def panel(one_panel: TrianglesPanel, until) -> TrianglesPanel:
    """The last layer, the signed convention, and nothing selected."""
    one_panel.publisher.wake()
    until(lambda: one_panel.reference is not None and not one_panel.publisher.alive)
    one_panel.layer.value, one_panel.tolerance.value, one_panel.convention.value = 1, 0.05, "signed"
    one_panel.select([])
    return one_panel


def select(panel: TrianglesPanel, name: str, x: tuple[float, float], y: tuple[float, float]) -> None:
    """A box, as the browser reports it."""
    axis = "" if name == "model" else "2"
    box = dict(type="rect", xref=f"x{axis}", yref=f"y{axis}", x0=x[0], x1=x[1], y0=y[0], y1=y[1])
    panel.live.widget.set_state({"selections": [box]})


def shown(panel: TrianglesPanel) -> np.ndarray:
    """(3, N) the configurations on show."""
    return np.array([np.ravel(t.z) for t in panel.corners.figure.data if t.type == "heatmap"], dtype=float)


def sides(s: np.ndarray, folded: bool = False) -> np.ndarray:
    q = np.array([s[0] @ s[1], s[0] @ s[2], s[1] @ s[2]]) / N
    return np.sort((1 - (np.abs(q) if folded else q)) / 2)


def test_clouds_and_fractions_follow_the_layer(panel: TrianglesPanel) -> None:
    assert "layer 1 of 1" in panel.live.figure.layout.title.text
    _, *lines = panel.line.value.split("</tr>")
    assert ["model" in lines[0], "parallel tempering" in lines[1]] == [True, True]
    before = panel.line.value
    panel.layer.value = 0
    assert panel.line.value.split("</tr>")[1] != before.split("</tr>")[1]
    assert panel.line.value.split("</tr>")[2] == before.split("</tr>")[2]


def test_the_tolerance_moves_triangles_between_the_kinds(panel: TrianglesPanel) -> None:
    def bars() -> tuple[float, ...]:
        return next(t for t in panel.live.figure.data if t.type == "bar").y

    before = bars()[0]
    panel.tolerance.value = 0.15
    assert bars()[0] > before
    assert sum(bars()) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["model", "parallel tempering"])
def test_a_selected_region_shows_triangles_of_it(panel: TrianglesPanel, name: str) -> None:
    select(panel, name, (0.3, 1.0), (-0.1, 0.06))
    assert f"of <b>{name}</b> in the region" in panel.chosen.value
    seen = []
    for _ in range(4):
        s = shown(panel)
        d = sides(s)
        assert 0.3 < d[1] - d[0] < 1.0
        assert d[2] - d[1] < 0.06
        rows = panel.data["configuration"][1].values if name == "model" else None
        assert rows is None or all((rows == each).all(1).any() for each in s)
        seen.append(s)
        panel.next.click()
    assert any(not np.array_equal(seen[0], s) for s in seen[1:])
    marked = {t.name: t.selectedpoints for t in panel.live.figure.data if t.type == "scatter"}
    assert marked[name]
    assert marked["model" if name != "model" else "parallel tempering"] is None


def test_the_region_stays_with_another_layer(panel: TrianglesPanel) -> None:
    select(panel, "model", (-0.1, 0.2), (-0.1, 0.2))
    of_last = panel.chosen.value
    panel.layer.value = 0
    assert "in the region" in panel.chosen.value
    assert panel.chosen.value != of_last
    d = sides(shown(panel))
    assert max(d[1] - d[0], d[2] - d[1]) < 0.2


def test_a_lasso_that_holds_nothing_says_so(panel: TrianglesPanel) -> None:
    lasso = dict(type="path", xref="x", yref="y", path="M0.5,-0.1L1.0,-0.1L1.0,0.06L0.5,0.06Z")
    panel.live.widget.set_state({"selections": [lasso]})
    assert "in the region" in panel.chosen.value
    panel.live.widget.set_state({"selections": [lasso | {"path": "M5,5L6e0,5L6,6.0Z"}]})
    assert panel.chosen.value == "no triangle of model in the region"
    assert panel.next.disabled


def test_another_convention_forgets_the_region(panel: TrianglesPanel) -> None:
    select(panel, "model", (0.3, 1.0), (-0.1, 0.06))
    panel.convention.value = "folded"
    assert panel.region is None
    assert "in all" in panel.chosen.value
    assert "folded" in panel.live.figure.layout.title.text
    text = panel.corners.figure.layout.title.text
    assert f"{round(sides(shown(panel), folded=True)[0], 3):.3g}" in text


def test_within_a_lasso_is_what_lies_inside() -> None:
    triangle = Region("model", np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    points = np.random.default_rng(0).random((2, 500))
    np.testing.assert_array_equal(within(triangle, *points), points.sum(0) < 1)


def test_all_triangles_are_there_before_a_region_is_chosen(panel: TrianglesPanel) -> None:
    assert f"of {cloud_of(panel.model.found['signed'].isel(layer=1))[0].size} of" in panel.chosen.value
