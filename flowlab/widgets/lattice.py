"""Configurations after each layer on a canvas: sent once, then stepped, played and looked at without the kernel."""

from __future__ import annotations

from typing import Any

import ipywidgets
import numpy as np
import traitlets
import xarray as xr

from flowlab.core.datasets import kind_of, layer_names
from flowlab.figures.multilevel import draws_in_levels
from flowlab.figures.shared.kinds import site_colors
from flowlab.figures.shared.sites import site_dims, sites_of
from flowlab.widgets.view import View, script

MOST_BYTES = 800_000
"""Of all configurations of a view together, so that a lab with plotly.js stays below 6 MB."""
CLIPPED = 0.002
"""Of the values of a field: so many may lie beyond the ends of the scale, which a few would else stretch."""


class LatticeView(View):
    """The widget of a :class:`Lattice`; what its state means stands in ``static/lattice.js``."""

    _esm = script("theme.js", "menu.js", "canvas.js", "lattice.js")
    frames = traitlets.Bytes().tag(sync=True)
    shape: traitlets.List[int] = traitlets.List().tag(sync=True)
    dtype = traitlets.Unicode("int8").tag(sync=True)
    scale = traitlets.Float(1.0).tag(sync=True)
    lower = traitlets.Float(-1.0).tag(sync=True)
    upper = traitlets.Float(1.0).tag(sync=True)
    colors: traitlets.List[Any] = traitlets.List().tag(sync=True)
    ticks: traitlets.List[Any] = traitlets.List().tag(sync=True)
    symbol = traitlets.Unicode().tag(sync=True)
    names: traitlets.List[str] = traitlets.List().tag(sync=True)
    word = traitlets.Unicode("layer").tag(sync=True)
    labels: traitlets.List[str] = traitlets.List().tag(sync=True)
    tiles: traitlets.List[str] = traitlets.List().tag(sync=True)
    sites = traitlets.Int(0).tag(sync=True)
    marks = traitlets.Bool(False).tag(sync=True)
    turns = traitlets.Bool(False).tag(sync=True)
    discrete = traitlets.Bool(True).tag(sync=True)
    signed = traitlets.Bool(True).tag(sync=True)
    sides: traitlets.List[int] = traitlets.List().tag(sync=True)
    planes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    width = traitlets.Int(350).tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    sample = traitlets.Int(0).tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    plays = traitlets.Bool(False).tag(sync=True)
    interval = traitlets.Int(700).tag(sync=True)


class Lattice:
    """A picture of configurations after each layer, which the browser draws from one block of numbers.

    Args:
        layers: as :func:`flowlab.figures.configuration` takes it.
        layer: the number widget of the layer, linked to the picture in the browser.
        sample: the number widget of the sample, likewise.
        play: the widget that plays, likewise.

    Attributes:
        samples: how many samples the picture has.
        widget: what a notebook shows.
    """

    def __init__(
        self, layers: xr.Dataset, *, layer: ipywidgets.Widget, sample: ipywidgets.Widget, play: ipywidgets.Widget
    ) -> None:
        state = frames_of(layers)
        self.samples = state["shape"][1]
        self.widget = LatticeView(**state)
        pairs = ((layer, "value", "layer"), (sample, "value", "sample"), (play, "playing", "playing"))
        self._links = [ipywidgets.jslink((other, its), (self.widget, name)) for other, its, name in pairs]

    def redraw(self, layers: xr.Dataset, **instead: Any) -> None:
        """Show other configurations; ``instead`` are parts of the state to have in place of what they say."""
        state = frames_of(layers) | instead
        self.samples = state["shape"][1]
        self.widget.change(**state)


def frames_of(layers: xr.Dataset) -> dict[str, Any]:
    """The state of a view of configurations (layer, sample, *dims): as many samples as fit into ``MOST_BYTES``.

    Spins and states are held as they are in 8 bits, fields and angles in 16 as parts of the largest. Samples with the
    coordinate ``sample_name`` are shown side by side under it.

    >>> data = xr.Dataset({"configuration": (("layer", "sample", "y", "x"), np.ones((3, 2, 4, 4)))})
    >>> state = frames_of(data)
    >>> state["shape"], state["dtype"], len(state["frames"])
    ([3, 2, 4, 4], 'int8', 96)
    """
    kind, sites = kind_of(layers), sites_of(layers["configuration"])
    whole = kind.discrete
    nothing = -128 if whole else -32768
    count = layers.sizes["layer"]
    room = MOST_BYTES // (count * sites.rows * sites.columns * (1 if whole else 2))
    shown = layers["configuration"].isel(sample=slice(max(1, room)))
    values = np.asarray(kind.principal(kind.numbers(shown)), dtype=float).reshape(count, shown.sizes["sample"], -1)
    largest = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    scale = 1.0 if whole else largest / 32000
    units = np.where(np.isfinite(values), np.nan_to_num(values) / scale, nothing)
    frames = np.full((*values.shape[:2], sites.rows, sites.columns), nothing, dtype=np.int8 if whole else np.int16)
    frames[:, :, sites.row, sites.column] = np.rint(units)
    ends = np.nanquantile(np.abs(values), 1 - CLIPPED) if np.isfinite(values).any() else np.nan
    colors = site_colors(layers, xr.DataArray([ends]))
    bar, lower, upper = colors["colorbar"], float(colors["zmin"]), float(colors["zmax"])
    dims = site_dims(layers["configuration"])
    plane = dims == ("y", "x")
    levels = draws_in_levels(layers)
    tiles = layers["sample_name"].values[: shown.sizes["sample"]].tolist() if "sample_name" in layers.coords else []
    texts = [f"{value:g}".replace("-", "−") for value in (lower, 0.0, upper)]
    ticks = zip(bar.get("tickvals", [lower, 0.0, upper]), bar.get("ticktext", texts), strict=True)
    return dict(
        frames=frames.tobytes(), shape=list(frames.shape), dtype=str(frames.dtype), scale=scale,
        lower=lower, upper=upper, colors=[[float(place), str(color)] for place, color in colors["colorscale"]],
        ticks=[list(tick) for tick in ticks], symbol=kind.symbol, names=layer_names(layers),
        word="level" if levels else "layer", tiles=tiles,
        labels=[] if plane else [str(text) for text in sites.labels().ravel()], sites=values.shape[-1],
        marks=whole and not levels, turns=plane and kind.scale == "cyclic", discrete=whole, signed=kind.signed,
        sides=[layers.sizes[dim] for dim in dims] if sites.planes else [], planes=[list(one) for one in sites.planes],
    )  # fmt: skip
