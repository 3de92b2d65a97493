"""Where the uncertainty of an autoregressive density sits."""

from __future__ import annotations

from math import log

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowlab.figures.style import COLORS, number, styled


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
