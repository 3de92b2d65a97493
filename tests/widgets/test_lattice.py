"""What is sent of configurations, and the links to their controls."""

from __future__ import annotations

import ipywidgets
import numpy as np
import pytest
import xarray as xr

from flowlab.widgets.lattice import MOST_BYTES, Lattice, frames_of


def layers(values: np.ndarray, dims: tuple[str, ...] = ("y", "x"), **attrs: object) -> xr.Dataset:
    return xr.Dataset({"configuration": (("layer", "sample", *dims), values)}, attrs=attrs)


def decoded(state: dict) -> np.ndarray:
    units = np.frombuffer(state["frames"], state["dtype"]).reshape(state["shape"])
    return np.where(units == np.iinfo(units.dtype).min, np.nan, units * state["scale"])


def test_spins_are_sent_as_they_are() -> None:
    s = np.where(np.random.default_rng(0).random((3, 5, 4, 6)) < 0.5, -1.0, 1.0)
    state = frames_of(layers(s, domain="spin"))
    assert (state["dtype"], state["lower"], state["upper"], state["marks"]) == ("int8", -1.0, 1.0, True)
    np.testing.assert_array_equal(decoded(state), s)


def test_a_field_is_sent_to_four_digits_on_one_scale() -> None:
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 4))
    state = frames_of(layers(x, domain="real"))
    np.testing.assert_allclose(decoded(state), x, atol=1e-4 * np.abs(x).max())
    assert (np.abs(x) <= state["upper"]).mean() > 0.99
    assert state["lower"] == -state["upper"]
    assert not state["marks"] and not state["turns"]
    assert frames_of(layers(x, domain="angle"))["turns"]


def test_what_is_not_drawn_yet_is_nothing() -> None:
    s = np.ones((2, 1, 4, 4))
    s[0, 0, 1::2] = np.nan
    np.testing.assert_array_equal(decoded(frames_of(layers(s, domain="spin"))), s)


@pytest.mark.parametrize("domain", ["spin", "real"])
def test_little_is_sent_of_large_lattices(domain: str) -> None:
    state = frames_of(layers(np.ones((5, 200, 128, 128)), domain=domain))
    assert MOST_BYTES / 2 < len(state["frames"]) <= MOST_BYTES < 1e6
    assert state["shape"][1] < 200


def test_sites_of_a_graph_and_of_a_cube_are_laid_out_and_named() -> None:
    graph = frames_of(layers(np.ones((1, 1, 6)), ("site",), domain="spin"))
    assert (graph["shape"], graph["labels"][4]) == ([1, 1, 2, 3], "site 4")
    cube = frames_of(layers(np.ones((1, 1, 2, 3, 3)), ("z", "y", "x"), domain="spin"))
    assert np.isfinite(decoded(cube)).sum() == cube["sites"] == 18
    assert cube["sides"] == [2, 3, 3] and graph["sides"] == []
    assert cube["planes"] == [[0, 0, "z = 0"], [0, 4, "z = 1"]]


def test_states_have_a_colour_each() -> None:
    state = frames_of(layers(np.array([[[[0.0, 1.0], [2.0, 0.0]]]]), domain="potts", q=3))
    assert [text for _, text in state["ticks"]] == ["0", "1", "2"]
    assert (state["lower"], state["upper"]) == (-0.5, 2.5)


def test_a_change_is_one_message_and_keeps_what_a_person_chose(monkeypatch) -> None:
    layer, sample, play = ipywidgets.IntSlider(), ipywidgets.IntSlider(), ipywidgets.Play()
    lattice = Lattice(layers(np.ones((3, 2, 4, 4)), domain="spin"), layer=layer, sample=sample, play=play)
    lattice.widget.layer = 2
    sent = []
    monkeypatch.setattr(
        type(lattice.widget), "_send", lambda self, message, buffers=None: sent.append((message, buffers))
    )
    lattice.redraw(layers(-np.ones((3, 2, 4, 4)), domain="spin"))
    ((message, buffers),) = sent
    assert message["state"]["version"] == 1
    assert np.frombuffer(buffers[0], "int8").tolist() == [-1] * 96
    assert lattice.widget.layer == 2
