"""What is sent of the heat maps of a figure."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowlab.figures import defect_strip, latent_flip
from flowlab.figures.refinement import refinement_strip
from flowlab.widgets.strip import NOTHING, Strip, strip_of


def decoded(state: dict) -> list[np.ndarray]:
    """The pictures as arrays (y, x)."""
    units = np.frombuffer(state["frames"], np.int16)
    values = np.where(units == NOTHING, np.nan, units * state["scale"])
    ends = np.cumsum([rows * columns for rows, columns in state["shapes"]])
    return [part.reshape(shape) for part, shape in zip(np.split(values, ends[:-1]), state["shapes"], strict=True)]


def test_spins_dots_and_captions_are_those_of_the_figure() -> None:
    s = np.ones((3, 2, 4, 6))
    s[0, 1, 1, 2] = -1
    s[2, 1, 3, 5] = s[2, 1, 0, 0] = -1
    s[1, 0, 0, 0] = np.nan
    pair = xr.Dataset({"configuration": (("layer", "sample", "y", "x"), s)})
    state = strip_of(latent_flip(pair, (1, 2)))
    for found, expected in zip(decoded(state), (s[0, 0], s[2, 0], s[2, 1]), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert state["marks"] == [[1 * 6 + 2], [], [0, 3 * 6 + 5]]
    assert state["captions"] == ["latent z", "sample f(z)", "with the latent flipped"]
    assert state["title"] == "latent x 2, y 1 flipped · 2 of 24 spins change"
    assert (state["lower"], state["upper"], state["bar"]) == (-1, 1, False)
    path = pair.isel(sample=0).rename(configuration="defect_configuration")
    assert np.isnan(decoded(strip_of(defect_strip(path)))[1][0, 0])


def test_fields_of_several_lattices_share_one_scale() -> None:
    fine = np.random.default_rng(0).normal(size=(4, 4))
    coarse = np.kron(fine[::2, ::2], np.ones((2, 2)))
    layers = xr.Dataset(
        {"configuration": (("layer", "sample", "y", "x"), np.stack([coarse, coarse + fine, fine])[:, None])},
        coords={"layer_name": ("layer", ["coarse", "noise", "t = 1"]), "layer_kind": ("layer", ["level"] * 2 + ["t"])},
    )
    figure = refinement_strip(layers)
    state = strip_of(figure)
    assert state["shapes"] == [[2, 2], [4, 4], [4, 4], [4, 4]]
    assert (state["upper"], state["symbol"], state["bar"]) == (figure.data[0].zmax, "φ", True)
    np.testing.assert_allclose(decoded(state)[3], fine, atol=1e-4 * np.abs(fine + coarse).max())
    strip = Strip(figure)
    strip.redraw(refinement_strip(layers, moment=0), seen=7.0)
    assert (strip.widget.version, strip.widget.seen) == (1, 7.0)
