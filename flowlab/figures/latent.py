"""What the latents are, what each one does to the sample, and what the first of them know."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowlab.figures.defects import add_spins
from flowlab.figures.shared.style import COLORS, INK, number, styled

INFORMATION = {"sign": ("sign M", COLORS["current"]), "energy": ("E", COLORS["earlier"])}


def latent_flip(pair: xr.Dataset, site: tuple[int, int] | None = None) -> go.Figure:
    """A latent configuration, the sample that it makes, and the sample with one latent flipped; dots: what changed.

    Args:
        pair: what ``Experiment.layers(z=...)`` returns of two latents (sample 0 and 1) on a lattice in the plane.
        site: (y, x) of the latent that is flipped in the second, of several the last; None where the two are equal.

    Raises:
        ValueError: for another number of samples, or another lattice.
    """
    s = np.asarray(pair["configuration"], dtype=float)
    if s.ndim != 4 or s.shape[1] != 2:
        raise ValueError(f"pair must be two samples on a lattice in the plane, got shape {s.shape}")
    before, after = s[:, 0], s[:, 1]
    changed = changed_spins(pair)
    count = int(changed.sum())
    titles = ["latent z", "sample f(z)", "with the latent flipped"]
    figure = make_subplots(rows=1, cols=3, horizontal_spacing=0.05, subplot_titles=titles)
    figure.update_annotations(font_size=12)
    none = np.zeros_like(changed)
    shown = ((before[0], none if site is None else before[0] != after[0]), (before[-1], none), (after[-1], changed))
    for column, (spins, marked) in enumerate(shown, start=1):
        add_spins(figure, spins, marked, pixels=260, row=1, col=column)
    flips = int((before[0] != after[0]).sum())
    where = "click on a latent to flip it" if site is None else f"latent x {site[1]}, y {site[0]} flipped"
    where = f"{flips} latents flipped" if flips > 1 else where
    title = where if site is None else f"{where} · {count} of {changed.size} spins change"
    return styled(figure, title=title, height=340, showlegend=False, dragmode=False,
                  margin=dict(l=40, r=16, t=72, b=32))  # fmt: skip


def changed_spins(pair: xr.Dataset) -> np.ndarray:
    """(y, x) where the second sample differs from the first."""
    s = np.asarray(pair["configuration"][-1], dtype=float)
    return np.asarray((s[0] != s[1]) & np.isfinite(s[0]) & np.isfinite(s[1]))


def latent_information(diagnosis: xr.Dataset) -> go.Figure:
    """The mutual information of the first k latents with the sign of M and with E, in nats, with errors.

    Args:
        diagnosis: ``information_sign`` and ``information_energy`` along ``k``, as ``Experiment.diagnose`` gives them.
    """
    figure = go.Figure()
    _add_information(figure, diagnosis)
    return styled(figure, title="what the first k latents know", height=340, barmode="group")


def latent_overview(diagnosis: xr.Dataset | None, place: int | None = None) -> go.Figure:
    """Conditional entropies in the order of the base, and mutual information of the first latents, side by side.

    Args:
        diagnosis: ``Experiment.diagnose(parts=["entropy", "information"])``, or "information" alone for a base without
            conditionals; None while there is none.
        place: a place in the order of the base to point out, counted from 0.
    """
    figure = make_subplots(rows=1, cols=2, column_widths=[0.56, 0.44], horizontal_spacing=0.1)
    _add_entropy(figure, diagnosis, place, row=1, col=1)
    _add_information(figure, diagnosis, row=1, col=2)
    title = "entropy of each latent given those before it, and what the first k know"
    return styled(figure, title=title, height=330, barmode="group")


def _add_entropy(figure: go.Figure, diagnosis: xr.Dataset | None, place: int | None, **cell: Any) -> None:
    value, error = np.zeros(0), np.zeros(0)
    if diagnosis is not None and "conditional_entropy" in diagnosis:
        value = np.asarray(diagnosis["conditional_entropy"], dtype=float)
        error = np.asarray(diagnosis["conditional_entropy_error"], dtype=float)
    figure.add_scatter(
        x=np.arange(1, len(value) + 1), y=value, error_y=dict(array=error, thickness=1, width=0),
        mode="lines+markers", line=dict(color=COLORS["entropy"], width=1), marker_size=4, showlegend=False,
        hovertemplate="place %{x}<br>%{y:.4f} ± %{error_y.array:.4f} nats<extra></extra>", **cell,
    )  # fmt: skip
    here = [] if place is None or place >= len(value) else [place]
    figure.add_scatter(
        x=[k + 1 for k in here], y=[value[k] for k in here], mode="markers", hoverinfo="skip", showlegend=False,
        marker=dict(size=11, color="white", line=dict(color=COLORS["entropy"], width=2)), **cell,
    )  # fmt: skip
    sites = max(len(value), 2)
    figure.add_scatter(
        x=[0, sites + 1], y=[log(2)] * 2, mode="lines", line=dict(color=COLORS["exact"], dash="dash", width=1.2),
        hoverinfo="skip", showlegend=False, **cell,
    )  # fmt: skip
    words = "ln 2, a free spin" if len(value) or diagnosis is None else "this base has no conditional entropies"
    figure.add_annotation(text=words, x=1.0, xref="x domain", y=log(2), yref="y", xanchor="right", yanchor="bottom",
                          showarrow=False, font_size=11)  # fmt: skip
    figure.update_xaxes(title_text="place in the order of the base", range=[0.0, sites + 1.0], **cell)
    figure.update_yaxes(title_text="H(z<sub>k</sub> | z<sub>&lt;k</sub>) (nats)", range=[0.0, 0.8], **cell)


def _add_information(figure: go.Figure, diagnosis: xr.Dataset | None, **cell: Any) -> None:
    top = 0.0
    for name, (of, color) in INFORMATION.items():
        k, value, error = np.zeros(0), np.zeros(0), np.zeros(0)
        if diagnosis is not None:
            value, error = (
                np.asarray(diagnosis[f"information_{name}{end}"], dtype=float)[1:] for end in ("", "_error")
            )
            k = np.asarray(diagnosis["k"])[1:]
        figure.add_bar(
            x=k, y=np.nan_to_num(value), error_y=dict(array=np.nan_to_num(error), thickness=1.2, width=3, color=INK),
            marker_color=color, name=f"with {of}",
            hovertemplate=f"k = %{{x}}<br>I(z₁…z_k; {of}) = %{{y:.4f}} ± %{{error_y.array:.4f}} nats<extra></extra>",
            **cell,
        )  # fmt: skip
        top = max(top, float(np.nanmax(value + error, initial=0.0)))
    figure.update_xaxes(title_text="number k of first latents", dtick=1, **cell)
    figure.update_yaxes(title_text="I(z<sub>1</sub>…z<sub>k</sub>; ·) (nats)", range=[0.0, 1.08 * max(top, 0.05)],
                        **cell)  # fmt: skip


def entropy_text(diagnosis: xr.Dataset, place: int) -> str:
    """``H = 0.312 ± 0.004 nats`` of the latent at a place; empty where there are no conditional entropies."""
    if "conditional_entropy" not in diagnosis:
        return ""
    value, error = (float(diagnosis[f"conditional_entropy{end}"][place]) for end in ("", "_error"))
    return f"H = {number(value, error)} nats"


def conditional_entropy(diagnosis: xr.Dataset) -> go.Figure:
    """The entropy of each site given those before it, H(s_i | s_<i) in nats, with errors and the ln 2 of a free spin.

    Args:
        diagnosis: dim ``site`` in the order of the autoregression; ``conditional_entropy`` and its error.
    """
    value = np.asarray(diagnosis["conditional_entropy"], dtype=float)
    error = np.asarray(diagnosis["conditional_entropy_error"], dtype=float)
    site = np.arange(1, len(value) + 1)
    total = number(float(value.sum()), digits=5)
    figure = go.Figure()
    figure.add_scatter(
        x=site, y=value, error_y=dict(array=error, thickness=1, width=0),
        mode="lines+markers", line=dict(color=COLORS["entropy"], width=1), marker_size=4,
        name="H(sᵢ | s₍<ᵢ₎)", hovertemplate="site %{x}<br>%{y:.4f} ± %{error_y.array:.4f} nats<extra></extra>",
        showlegend=False,
    )  # fmt: skip
    figure.add_hline(
        y=log(2), line=dict(color=COLORS["exact"], dash="dash", width=1.2),
        annotation=dict(text="ln 2, a free spin", font_size=11), annotation_position="top right",
    )  # fmt: skip
    figure.update_yaxes(title_text="conditional entropy (nats)", range=[0.0, 0.8])
    figure.update_xaxes(title_text="site, in the order of the autoregression", range=[0.0, len(site) + 1])
    return styled(figure, title=f"conditional entropy of each site · sum {total} nats", height=340)
