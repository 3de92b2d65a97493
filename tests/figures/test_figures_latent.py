from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab import figures
from flowlab.figures.latent import changed_spins, entropy_text


@pytest.fixture
def pair() -> xr.Dataset:
    """A latent at y 1, x 2 whose flip changes three spins of the sample."""
    s = np.ones((3, 2, 4, 6))
    s[:, :, 0, 0] = -1
    s[0, 1, 1, 2] = -1
    s[2, 1, [1, 1, 3], [2, 3, 5]] *= -1
    return xr.Dataset({"configuration": (("layer", "sample", "y", "x"), s)})


@pytest.fixture
def known() -> xr.Dataset:
    errors = np.full(3, 0.01)
    return xr.Dataset(
        {
            "conditional_entropy": ("site", np.linspace(0.6, 0.1, 24)),
            "conditional_entropy_error": ("site", np.full(24, 0.002)),
            "information_sign": ("k", [0.0, 0.3, 0.5]),
            "information_sign_error": ("k", errors),
            "information_energy": ("k", [0.0, 0.01, 0.2]),
            "information_energy_error": ("k", errors),
        },
        coords={"k": np.arange(3)},
    )


def dots(figure, trace: int) -> set[tuple[int, int]]:
    return set(zip(figure.data[trace].y, figure.data[trace].x, strict=True))


def test_a_flip_shows_before_and_after_and_marks_what_changed(pair: xr.Dataset) -> None:
    figure = figures.latent_flip(pair, (1, 2))
    latent, _, before, _, after, _ = figure.data
    np.testing.assert_array_equal(latent.z, pair["configuration"][0, 0])
    np.testing.assert_array_equal(before.z, pair["configuration"][-1, 0])
    np.testing.assert_array_equal(after.z, pair["configuration"][-1, 1])
    assert dots(figure, 1) == {(1, 2)}
    assert dots(figure, 3) == set()
    assert dots(figure, 5) == {(1, 2), (1, 3), (3, 5)}
    assert changed_spins(pair).sum() == 3
    assert "3 of 24 spins change" in figure.layout.title.text


def test_without_a_flip_nothing_is_marked(pair: xr.Dataset) -> None:
    figure = figures.latent_flip(pair.isel(sample=[0, 0]))
    assert dots(figure, 1) == dots(figure, 5) == set()
    assert "click" in figure.layout.title.text


def test_another_number_of_samples_is_refused(pair: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="two samples on a lattice"):
        figures.latent_flip(pair.isel(sample=[0]))


def test_overview_has_the_entropies_the_place_and_the_information(known: xr.Dataset) -> None:
    figure = figures.latent_overview(known, place=4)
    np.testing.assert_array_equal(figure.data[0].y, known["conditional_entropy"])
    assert (list(figure.data[1].x), list(figure.data[1].y)) == ([5], [known["conditional_entropy"][4]])
    sign, energy = (t for t in figure.data if t.type == "bar")
    np.testing.assert_array_equal(sign.x, [1, 2])
    np.testing.assert_array_equal(sign.y, [0.3, 0.5])
    np.testing.assert_array_equal(energy.y, [0.01, 0.2])
    np.testing.assert_array_equal(energy.error_y.array, [0.01, 0.01])
    assert entropy_text(known, 0) == "H = 0.6000 ± 0.0020 nats"


def test_a_base_without_conditionals_says_so(known: xr.Dataset) -> None:
    bare = known.drop_vars(["conditional_entropy", "conditional_entropy_error"])
    figure = figures.latent_overview(bare, place=4)
    assert "no conditional entropies" in figure.layout.annotations[0].text
    assert len(figure.data[0].x) == len(figure.data[1].x) == 0
    assert entropy_text(bare, 0) == ""


def test_the_pictures_keep_their_traces_before_there_is_anything(known: xr.Dataset) -> None:
    for empty, full in ((figures.latent_overview(None), figures.latent_overview(known, 1)),):
        assert [t.type for t in empty.data] == [t.type for t in full.data]
        assert empty.layout.height == full.layout.height
    assert [t.name for t in figures.latent_information(known).data] == ["with sign M", "with E"]
