"""What pictures say to the Dataset of another call, and to what is no Dataset."""

from __future__ import annotations

import inspect

import pytest
import xarray as xr

import flowlab as fl
from flowlab.figures.shared.explaining import GIVEN_BY

OTHER = xr.Dataset({"price": ("day", [1.0, 2.0])})
NOT_OF_A_DATASET = {
    "Figure",
    "save",
    "style",
    "write_report",
    "write_sweep",
    "triangle",
    "check_history",
    "phase_diagram",
}  # the last two say so themselves


def test_every_picture_says_what_it_needs():
    assert GIVEN_BY.keys() == set(fl.figures.__all__) - NOT_OF_A_DATASET


@pytest.mark.parametrize("name", GIVEN_BY)
def test_the_dataset_of_another_call_is_answered_with_the_right_one(name):
    figure = getattr(fl.figures, name)
    with pytest.raises(
        ValueError, match=r"needs '\w+', which the Dataset of .* has; this one has price|layers|run\."
    ) as told:
        figure(OTHER)
    assert name in str(told.value) or "configuration" in str(told.value) or "layers must" in str(told.value)
    with pytest.raises(TypeError, match=rf"figures\.{name} takes the Dataset of .*, got Ising"):
        figure(fl.Ising((4, 4), T=2.0))
    assert inspect.signature(figure).parameters


def test_a_mistake_of_a_picture_itself_is_not_hidden():
    run = fl.experiment("ising-xor", L=4, steps=1, batch=10, device="cpu")
    with pytest.raises(IndexError):
        fl.figures.configuration(run.layers(2), layer=99)


def test_a_triangle_is_of_an_array():
    with pytest.raises(TypeError, match=r"figures\.triangle takes a DataArray of the three configurations"):
        fl.figures.triangle(OTHER)
