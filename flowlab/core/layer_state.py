"""One stop on the way from latent to sample."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor

LayerKind = Literal["flow", "level", "time"]


class LayerState(NamedTuple):
    """The configurations as they stand after one layer.

    Attributes:
        name: what a person calls the layer, e.g. ``"latent"`` or ``"xor 2"``.
        kind: ``"flow"`` (a layer of a flow), ``"level"`` (a scale) or ``"time"`` (a point of an ODE).
        time: position from 0 (latent) to 1 (sample).
        x: (n, *shape) configurations after the layer.
        log_q: (n,) ln of the density of x after this layer.
    """

    name: str
    kind: LayerKind
    time: float
    x: Tensor
    log_q: Tensor
