"""A configuration on its way through the layers, latent first, sample last."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from flowlab.core.datasets import kind_of, layer_names
from flowlab.figures.multilevel import draws_in_levels, relabelled, sites_drawn
from flowlab.figures.shared.bound import bound_per_site
from flowlab.figures.shared.kinds import site_colors
from flowlab.figures.shared.sites import axis_titles, nearest_known, sites_of, without_nan
from flowlab.figures.shared.style import COLORS, INK, MARK, SPIN_SCALE, gaps, number, rounded_up, styled

Array = NDArray[np.float64]


def configuration(layers: xr.Dataset, sample: int = 0, layer: int = -1) -> go.Figure:
    """One configuration after one layer as a heat map; a dot marks each site that this layer changed.

    Args:
        layers: what ``Experiment.layers`` returns: dims layer, sample and those of the system; (y, x) is drawn as it
            is, (z, y, x) plane by plane with its name, the sites of a graph in reading order in a grid.
        sample: which sample.
        layer: which layer, 0 is the latent; negative counts from the end.

    Raises:
        IndexError: for a layer or a sample that is not there.
    """
    layer, sample = _check(layers, layer, sample)
    figure = go.Figure()
    _add_configuration(figure, layers, sample, layer, scale_bar=True, pixels=360)
    _add_names(figure, layers)
    _add_nearest(figure, layers, sample, layer)
    _square_axes(figure, layers)
    figure.update_layout(width=540)
    return styled(figure, title=layer_title(layers, sample, layer), height=500)


def strip(layers: xr.Dataset, sample: int = 0) -> go.Figure:
    """One configuration through all layers side by side, with its magnetization; dots mark what each layer changed."""
    _, sample = _check(layers, 0, sample)
    names = layer_names(layers)
    columns = min(len(names), 6)
    rows = -(-len(names) // columns)
    figure = make_subplots(rows=rows, cols=columns, horizontal_spacing=0.02, vertical_spacing=0.28 / rows,
                           subplot_titles=[f"{k} · {name}" for k, name in enumerate(names)])  # fmt: skip
    for k in range(len(names)):
        cell = dict(row=k // columns + 1, col=k % columns + 1)
        _add_configuration(figure, layers, sample, k, scale_bar=False, pixels=800 // columns, **cell)
        _square_axes(figure, layers, **cell)
        figure.update_xaxes(title_text=f"m = {_signed(layers['magnetization'][k, sample])}", **cell)
        _add_nearest(figure, layers, sample, k, **cell)
    figure.update_xaxes(showticklabels=False, ticks="")
    figure.update_yaxes(showticklabels=False, ticks="", title_text="")
    figure.update_annotations(font_size=12)
    title = f"sample {sample} through the layers" + " · dots: changed by the layer" * (not draws_in_levels(layers))
    return styled(figure, title=title, height=100 + rows * 205, margin=dict(l=20, r=20, t=84, b=44))


def magnetization_histogram(layers: xr.Dataset, layer: int = -1) -> go.Figure:
    """The magnetization per site after one layer (bars), in the latent and in the sample (lines)."""
    layer, _ = _check(layers, layer, 0)
    figure = go.Figure()
    _add_magnetizations(figure, layers, layer)
    figure.update_layout(xaxis_title="magnetization per site, m", yaxis_title="fraction of samples")
    return styled(relabelled(figure, layers), title=f"magnetization · {_short(layers, layer)}", height=340, bargap=0.0)


def field_histogram(layers: xr.Dataset, layer: int = -1) -> go.Figure:
    """The field at all sites after one layer (bars), in the latent and in the sample (lines): one peak or two."""
    layer, _ = _check(layers, layer, 0)
    figure = go.Figure()
    _add_fields(figure, layers, layer)
    kind = kind_of(layers)
    figure.update_layout(xaxis_title=kind.value, yaxis_title="fraction of sites")
    return styled(
        relabelled(figure, layers), title=f"{kind.value.split()[0]} · {_short(layers, layer)}", height=340, bargap=0.0
    )


def correlation(layers: xr.Dataset, layer: int = -1) -> go.Figure:
    """The two-point function along an axis after one layer, next to that of the latent and that of the sample."""
    layer, _ = _check(layers, layer, 0)
    figure = go.Figure()
    _add_correlation(figure, layers, layer)
    figure.update_layout(xaxis_title="distance r (lattice spacings)", yaxis_title=kind_of(layers).two_point)
    return styled(relabelled(figure, layers), title=f"correlation function · {_short(layers, layer)}", height=340)


def bound_by_layer(layers: xr.Dataset) -> go.Figure:
    """What each layer gains: the bound when the flow is cut after it, as its distance from the exact value.

    Where no exact value is known the bounds themselves are drawn, as points. Error bars are one standard error.
    """
    bound = bound_per_site(layers)
    names = [f"{k} · {name}" for k, name in enumerate(layer_names(layers))]
    error = dict(array=bound.error, color=INK, thickness=1.2, width=5)
    figure = go.Figure()
    if isfinite(bound.exact):
        upper = bound.name.startswith("free")  # the gap is negative where a bound is violated
        gap = bound.value - bound.exact if upper else bound.exact - bound.value
        figure.add_bar(
            x=names, y=gap, error_y=error, marker_color=COLORS["bound"], width=0.55, customdata=bound.value,
            hovertemplate="%{x}<br>gap %{y:.6f}<br>bound %{customdata:.6f}<extra></extra>",
        )  # fmt: skip
        label = "(F<sub>bound</sub> − F<sub>exact</sub>)/N (J)" if upper else "ln(Z / Z<sub>bound</sub>)/N (nats)"
        title = f"gap to the exact value after each layer · exact {number(bound.exact, digits=6)}"
        figure.update_yaxes(title_text=label, rangemode="tozero", zeroline=True, zerolinecolor=INK)
    else:
        figure.add_scatter(
            x=names, y=bound.value, error_y=error, mode="markers", marker=dict(size=9, color=COLORS["bound"])
        )
        title = f"{bound.name} after each layer"
        figure.update_yaxes(title_text=bound.axis)
    return styled(figure, title=title, height=340, xaxis_title="layer", showlegend=False)


def layer_overview(layers: xr.Dataset, sample: int = 0, layer: int = 0) -> go.Figure:
    """Configuration, magnetization and correlation function after one layer, as the live panel shows them.

    For a real field, the field at all sites in place of the magnetization. Where there are no distances, as in a spin
    glass, the third picture shows many samples against the one on show.
    """
    layer, sample = _check(layers, layer, sample)
    figure = make_subplots(rows=1, cols=3, column_widths=[0.36, 0.32, 0.32], horizontal_spacing=0.09)
    _add_configuration(figure, layers, sample, layer, scale_bar=False, pixels=300, row=1, col=1)
    _add_names(figure, layers, row=1, col=1)
    _square_axes(figure, layers, row=1, col=1)
    _add_statistics(figure, layers, sample, layer, columns=(2, 3))
    _add_nearest(figure, layers, sample, layer, row=1, col=1)
    return styled(relabelled(figure, layers), title=layer_title(layers, sample, layer), height=400, bargap=0.0)


def layer_statistics(layers: xr.Dataset, sample: int = 0, layer: int = 0) -> go.Figure:
    """What :func:`layer_overview` shows besides the configuration: all samples after one layer."""
    layer, sample = _check(layers, layer, sample)
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.16)
    _add_statistics(figure, layers, sample, layer, columns=(1, 2))
    title = f"{layers.sizes['sample']} samples · {_short(layers, layer)}"
    return styled(relabelled(figure, layers), title=title, height=400, bargap=0.0)


def layer_title(layers: xr.Dataset, sample: int, layer: int) -> str:
    """``layer 2 of 4 · xor 2 · sample 0 · 13 of 64 sites changed``, or by how much a field or angles changed."""
    title = f"{_short(layers, layer)} · sample {sample}"
    if draws_in_levels(layers):
        own = sites_drawn(layers, "field" if "field" in layers else "configuration")[layer]
        exactly = sites_drawn(layers)[layer] - own
        title += f" · draws {own} of {layers.attrs['n_sites']} sites"
        title += f", {exactly} more exactly" if exactly else ""
    elif layer > 0 and kind_of(layers).discrete:
        changed = changed_sites(layers, sample, layer)
        title += f" · {int(changed.sum())} of {changed.size} sites changed"
    elif layer > 0:
        before, now = (np.asarray(layers["configuration"][k, sample], dtype=float) for k in (layer - 1, layer))
        kind = kind_of(layers)
        square = np.asarray(kind.principal(kind.numbers(now - before))) ** 2
        if np.isfinite(square).any():
            title += f" · changed by {np.sqrt(np.nanmean(square)):.2g} rms"
    if bool(np.isnan(layers["configuration"][layer, sample]).any()):
        title += "<br><sub>pale: not yet sampled, shown as the nearest site that is</sub>"
    return title


def _add_statistics(figure: go.Figure, layers: xr.Dataset, sample: int, layer: int, columns: tuple[int, int]) -> None:
    """Of all samples the histogram of the magnetization or field, and the correlation function or a raster."""
    left, right = (dict(row=1, col=column) for column in columns)
    kind = kind_of(layers)
    field = kind.signed and not kind.discrete
    (_add_fields if field else _add_magnetizations)(figure, layers, layer, **left)
    figure.update_xaxes(title_text=kind.value if field else "magnetization per site, m", **left)
    figure.update_yaxes(title_text="fraction of sites" if field else "fraction of samples", **left)
    if "correlation" in layers:
        _add_correlation(figure, layers, layer, showlegend=False, **right)
        figure.update_xaxes(title_text="distance r (lattice spacings)", **right)
        figure.update_yaxes(title_text=kind.two_point, **right)
    else:
        _add_raster(figure, layers, sample, layer, **right)


def changed_sites(layers: xr.Dataset, sample: int, layer: int) -> NDArray[np.bool_]:
    """(*dims) where the configuration differs from the previous layer's; not in the latent, nor where one is NaN."""
    now = np.asarray(layers["configuration"][layer, sample], dtype=float)
    if layer == 0:
        return np.zeros(now.shape, dtype=bool)
    before = np.asarray(layers["configuration"][layer - 1, sample], dtype=float)
    return np.asarray((now != before) & np.isfinite(now) & np.isfinite(before))


def _word(layers: xr.Dataset) -> str:
    """What a layer of these is called."""
    return "level" if draws_in_levels(layers) else "layer"


def _short(layers: xr.Dataset, layer: int) -> str:
    return f"{_word(layers)} {layer} of {layers.sizes['layer'] - 1} · {layer_names(layers)[layer]}"


def _signed(value: xr.DataArray) -> str:
    return f"{float(value):+.3f}".replace("-", "−")


def _check(layers: xr.Dataset, layer: int, sample: int) -> tuple[int, int]:
    found = []
    for name, index in (("layer", layer), ("sample", sample)):
        size = layers.sizes[name]
        if not -size <= index < size:
            raise IndexError(f"{name} must be below {size}, the number there are, got {index}")
        found.append(index % size)
    return found[0], found[1]


def _add_configuration(
    figure: go.Figure, layers: xr.Dataset, sample: int, layer: int, *, scale_bar: bool, pixels: int, **cell: Any
) -> None:
    sites = sites_of(layers["configuration"])
    now = sites.picture(np.asarray(layers["configuration"][layer, sample], dtype=float).ravel())
    colors = site_colors(layers, layers["configuration"][[0, -1], sample])
    kind = kind_of(layers)
    figure.add_heatmap(
        z=without_nan(np.asarray(kind.principal(kind.numbers(now)))), showscale=scale_bar, name="configuration",
        hoverongaps=False, text=sites.labels(), hovertemplate="%{text}: %{z:.3g}<extra></extra>",
        **colors, **gaps(max(now.shape), pixels), **cell,
    )  # fmt: skip
    changed = changed_sites(layers, sample, layer).ravel() & kind.discrete  # a layer changes every site of a field
    size = max(3.0, 0.3 * pixels / max(now.shape))
    figure.add_scatter(
        x=sites.column[changed], y=sites.row[changed], mode="markers", name="changed by this layer", showlegend=False,
        marker=dict(size=min(size, 12.0), color="white", line=dict(color=MARK, width=1.2 if size > 5 else 0.7)),
        hoverinfo="skip", **cell,
    )  # fmt: skip


def _add_names(figure: go.Figure, layers: xr.Dataset, **cell: Any) -> None:
    """The names of the planes above them, where there are several."""
    sites = sites_of(layers["configuration"])
    if len(sites.planes) < 2:
        return
    above = layers.sizes["y"] - 0.5 + sites.gap / 2
    figure.add_scatter(
        x=[column - 0.5 for _, column, _ in sites.planes], y=[row + above for row, _, _ in sites.planes],
        text=[name for *_, name in sites.planes], customdata=[corner for *corner, _ in sites.planes], mode="text",
        textposition="middle right", textfont_size=10,
        name="planes", showlegend=False, hoverinfo="skip", cliponaxis=False, **cell,
    )  # fmt: skip


def _add_nearest(figure: go.Figure, layers: xr.Dataset, sample: int, layer: int, **cell: Any) -> None:
    """Pale, at the sites not yet sampled, what the nearest one holds; nothing where every layer is complete."""
    values = np.asarray(layers["configuration"][:, sample], dtype=float)
    sites = sites_of(layers["configuration"])
    if not sites.planes or not np.isnan(values).any() or np.isnan(values).all():
        return
    pale = sites.picture(nearest_known(values[layer]).ravel())
    figure.add_heatmap(
        z=without_nan(pale), showscale=False, opacity=0.25, name="nearest sampled site",
        hoverinfo="skip", **site_colors(layers, layers["configuration"][:, sample]), **cell,
    )  # fmt: skip


def _add_raster(figure: go.Figure, layers: xr.Dataset, sample: int, layer: int, **cell: Any) -> None:
    """The first 60 samples, a row each, where they agree (amber) with the sample on show and where not (blue).

    Of states and angles, and of fields, the colour is the scalar product of the two sites.

    The rows are in the order of their overlap q with it, so that valleys are seen as blocks.
    """
    kind = kind_of(layers)
    s = np.asarray(kind.components(kind.numbers(layers["configuration"][layer]))).reshape(
        -1, layers.sizes["sample"], layers.attrs["n_sites"]
    )
    product = (s[:, :60] * s[:, [sample]]).sum(0)
    overlap = np.nan_to_num(product.mean(1))
    order = np.argsort(overlap, kind="stable")
    figure.add_heatmap(
        z=without_nan(product[order]), zmin=-1, zmax=1, showscale=False, colorscale=SPIN_SCALE, hoverongaps=False,
        name="samples", customdata=np.broadcast_to(overlap[order, None], product.shape),
        hovertemplate="site %{x}: %{z:+d}<br>q = %{customdata:.3f}<extra></extra>", **cell,
    )  # fmt: skip
    figure.update_xaxes(title_text="site", range=[-0.5, product.shape[1] - 0.5], showgrid=False, **cell)
    figure.update_yaxes(
        title_text="samples, by overlap with this one", range=[-0.5, len(product) - 0.5], showgrid=False,
        showticklabels=False, ticks="", **cell,
    )  # fmt: skip


def _square_axes(figure: go.Figure, layers: xr.Dataset, **cell: Any) -> None:
    """Square sites, and no room around the lattice."""
    sites = sites_of(layers["configuration"])
    anchor = next(figure.select_xaxes(**cell)).plotly_name.replace("xaxis", "x")
    look = dict(constrain="domain", showgrid=False, showline=False)
    if "y" not in layers.sizes or "z" in layers.sizes:
        look |= dict(showticklabels=False, ticks="")
    columns, rows = axis_titles(layers["configuration"])
    figure.update_xaxes(range=[-0.5, sites.columns - 0.5], title_text=columns, **look, **cell)
    figure.update_yaxes(range=[-0.5, sites.rows - 0.5], title_text=rows, scaleanchor=anchor, **look, **cell)


def magnetization_bins(n_sites: int, most: int = 33) -> Array:
    """Edges of at most about ``most`` equal bins, symmetric about 0, that no value of m = Σs/N falls on.

    >>> magnetization_bins(4).tolist()
    [-1.25, -0.75, -0.25, 0.25, 0.75, 1.25]
    """
    values = max(1, -(-(n_sites + 1) // most))
    values += (values + n_sites) % 2 == 0
    half = -(-n_sites // (2 * values)) if n_sites % (2 * values) else n_sites // (2 * values)
    return np.asarray(np.arange(-2 * half - 1, 2 * half + 2, 2) * values / n_sites, dtype=float)


def _add_magnetizations(figure: go.Figure, layers: xr.Dataset, layer: int, **cell: Any) -> None:
    values = np.asarray(layers["magnetization"], dtype=float)
    edges = magnetization_bins(int(layers.attrs["n_sites"]))
    largest = np.nanmax(np.abs(values), initial=0.0)
    kind = kind_of(layers)
    if not kind.signed:
        edges = np.linspace(0.0, 1.0, 34)
    elif largest > edges[-1] or not kind.discrete:
        edges = np.linspace(-largest, largest, 34)
    _add_histograms(figure, values, edges, layer, "m", _word(layers), **cell)


def _add_fields(figure: go.Figure, layers: xr.Dataset, layer: int, **cell: Any) -> None:
    values = np.asarray(layers["configuration"], dtype=float).reshape(layers.sizes["layer"], -1)
    finite = np.abs(values[np.isfinite(values)])
    largest = rounded_up(1.05 * float(np.quantile(finite, 0.999)), 0.5) if len(finite) else 1.0
    _add_histograms(
        figure, values, np.linspace(-largest, largest, 42), layer, kind_of(layers).symbol, _word(layers), **cell
    )


def _add_histograms(
    figure: go.Figure, values: Array, edges: Array, layer: int, symbol: str, word: str, **cell: Any
) -> None:
    """Of (layer, values) what one layer holds as bars, the latent and the sample as lines, on axes that stay."""
    counts = np.array([np.histogram(row[np.isfinite(row)], edges)[0] for row in values], dtype=float)
    fraction = counts / np.maximum(counts.sum(1, keepdims=True), 1.0)
    centres = (edges[1:] + edges[:-1]) / 2
    figure.add_bar(
        x=centres, y=fraction[layer], marker=dict(color=COLORS["current"], line_width=0), opacity=0.55,
        width=float(edges[1] - edges[0]) * 0.92, name=f"this {word}", legendgroup=f"this {word}",
        hovertemplate=symbol + " = %{x:.3f}<br>%{y:.3f}<extra></extra>", **cell,
    )  # fmt: skip
    for name, k in (("latent", 0), (f"last {word}", -1)):
        figure.add_scatter(
            x=centres, y=fraction[k], mode="lines", line=_line(name, shape="hvh"), name=name, legendgroup=name,
            hoverinfo="skip", **cell,
        )  # fmt: skip
    figure.update_yaxes(range=[0.0, rounded_up(1.05 * max(float(fraction.max()), 1e-3), 0.01)], **cell)
    figure.update_xaxes(range=[float(edges[0]), float(edges[-1])], **cell)


def _add_correlation(
    figure: go.Figure, layers: xr.Dataset, layer: int, *, showlegend: bool = True, **cell: Any
) -> None:
    values, word = np.asarray(layers["correlation"], dtype=float), _word(layers)
    distance = np.asarray(layers["distance"], dtype=float)
    figure.add_scatter(
        x=distance, y=values[layer], mode="lines+markers", line=dict(color=COLORS["current"], width=2), marker_size=8,
        name=f"this {word}", legendgroup=f"this {word}", showlegend=showlegend, **cell,
    )  # fmt: skip
    for name, k in (("latent", 0), (f"last {word}", -1)):
        figure.add_scatter(
            x=distance, y=values[k], mode="lines", line=_line(name), name=name, legendgroup=name,
            showlegend=showlegend, **cell,
        )  # fmt: skip
    finite = values[np.isfinite(values)]
    low = min(0.0, float(finite.min()) if len(finite) else 0.0)
    high = rounded_up(max(1.0, float(finite.max()) if len(finite) else 1.0), 0.2)
    figure.update_yaxes(range=[low - 0.04, high + 0.06], **cell)
    figure.update_xaxes(dtick=max(1, len(distance) // 8), **cell)


def _line(name: str, **more: Any) -> dict[str, Any]:
    """Dotted grey for the latent, thin ink for the last layer."""
    latent = name == "latent"
    return dict(color=COLORS["latent" if latent else "physical"], width=1.4, dash="dot" if latent else "solid", **more)
