"""Figures as PNG: what a page without scripts shows of them."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from plotly.subplots import make_subplots

from flowlab import figures
from flowlab.figures.stills import encoded
from flowlab.figures.stills.image import beneath, png
from flowlab.figures.stills.notebook import StillRenderer

RED = np.array([200, 30, 30])


def pixels(figure: go.Figure | Mapping[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB")).astype(int)


def red(image: np.ndarray) -> np.ndarray:
    """Where an image has the colour that the tests draw with."""
    return np.abs(image - RED).sum(axis=2) < 60


def bare(**layout: object) -> go.Figure:
    """A figure of 400 x 300 pixels without axes, titles and margins: 100 pixels are a quarter of the width."""
    empty = dict(visible=False)
    size = dict(width=400, height=300, margin=dict(l=0, r=0, t=0, b=0), showlegend=False)
    return go.Figure(
        layout={**size, "xaxis": {**empty, "range": [0, 4]}, "yaxis": {**empty, "range": [0, 3]}, **layout}
    )


def test_a_point_a_bar_and_a_site_stand_where_plotly_has_them() -> None:
    color = "rgb(200,30,30)"
    point = bare().add_scatter(x=[1], y=[1], mode="markers", marker=dict(size=20, color=color))
    assert red(pixels(point))[200, 100] and not red(pixels(point))[100, 200]
    bar = bare().add_bar(x=[3], y=[2], width=[1], marker_color=color)
    assert red(pixels(bar))[110:290, 260:340].all() and not red(pixels(bar))[:90].any()
    site = bare().add_heatmap(
        x=[1, 2], y=[1, 2], z=[[0, 1], [0, 0]], colorscale=[[0, "white"], [1, color]], showscale=False
    )
    assert red(pixels(site))[160:240, 160:240].all() and red(pixels(site)).sum() < 12_000


def test_what_was_asked_for_only_is_drawn() -> None:
    hidden = bare().add_scatter(x=[0, 4], y=[1, 1], line=dict(color="rgb(200,30,30)"), visible="legendonly")
    unknown = bare().add_trace(go.Scatter3d(x=[1], y=[1], z=[1]))
    assert not red(pixels(hidden)).any()
    assert (pixels(unknown) == 255).all()


def test_subplots_shapes_and_notes() -> None:
    figure = make_subplots(rows=1, cols=2, subplot_titles=["left", "right"])
    figure.add_scatter(x=[1, 2], y=[1, 2], row=1, col=1).add_bar(x=["a", "b"], y=[3, 1], row=1, col=2)
    figure.add_hline(y=1.5, line=dict(color="rgb(200,30,30)", width=6), row=1, col=1)
    figure.add_annotation(text="<b>here</b> &lt;", x=1.5, y=1.5, row=1, col=1)
    figure.update_yaxes(type="log", row=1, col=2)
    found = red(pixels(figure.update_layout(width=800, height=400)))
    assert found[:, 100:300].any() and not found[:, 440:].any()


def test_labels_that_need_more_room_than_the_margin_get_it() -> None:
    figure = go.Figure(go.Scatter(y=[1, 2], name="a name that is far longer than most names of curves are"))
    figure.update_layout(showlegend=True, margin_l=5, yaxis_title="a title", width=700)
    image = pixels(figure)
    assert (image[:, :2] == 255).all() and (image[:, -2:] == 255).all()


def test_it_is_small_and_stands_beside_the_live_figure() -> None:
    noise = np.random.default_rng(0).normal(size=(128, 128))
    bundle = StillRenderer().to_mimebundle(go.Figure(go.Heatmap(z=noise)).to_dict())
    assert 5_000 < len(base64.b64decode(bundle["image/png"])) < 100_000


def test_several_are_one_picture() -> None:
    one = png(bare())
    assert Image.open(io.BytesIO(beneath([one, one]))).size == (400, 600)
    assert base64.b64decode(encoded(bare(), bare())["image/png"]) == beneath([one, one])


@pytest.mark.parametrize("shell", ["jupyter", "other"])
def test_only_a_jupyter_page_is_sent_stills(shell: str) -> None:
    chosen = "plotly_mimetype" if shell == "jupyter" else "json"
    code = f"""
import json, sys
import plotly.io as pio
pio.renderers.default = {chosen!r}
import flowlab.figures
print(json.dumps([pio.renderers.default, "matplotlib" in sys.modules]))
"""
    found = json.loads(subprocess.check_output([sys.executable, "-c", code], timeout=120))
    assert found == [{"jupyter": "plotly_mimetype+still", "other": "json"}[shell], False]


@pytest.mark.parametrize(("ending", "begins"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_figure_is_saved_for_print(tmp_path, ending: str, begins: bytes) -> None:
    figure = go.Figure([go.Scatter(y=[1, 2]), go.Scatter(y=[2, 1])])
    wide, narrow = (figures.save(figure, tmp_path / f"{w}.{ending}", width=w).read_bytes() for w in ("page", "column"))
    assert wide.startswith(begins) and narrow.startswith(begins) and wide != narrow
    if ending == "png":
        assert Image.open(io.BytesIO(wide)).size[0] == pytest.approx(178 / 25.4 * 300, abs=10)
    with pytest.raises(ValueError, match=r"path must end in \.pdf, \.svg or \.png, got x\.eps"):
        figures.save(figure, tmp_path / "x.eps")
    with pytest.raises(ValueError, match="width must be column, page, or positive millimetres, got 'wide'"):
        figures.save(figure, tmp_path / "x.pdf", width="wide")
