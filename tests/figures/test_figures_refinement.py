from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab.figures.refinement import learned_couplings, moments, refinement_strip, refinements, time_of


def made(sides: tuple[int, ...], d: int = 2, samples: int = 3) -> xr.Dataset:
    """Layers as a stack of doublings gives them: all on the finest lattice, random fields at every step."""
    rng, finest = np.random.default_rng(0), sides[-1]

    def on_finest(side: int) -> np.ndarray:
        x = rng.normal(size=(samples, *[side] * d))
        for axis in range(1, d + 1):
            x = x.repeat(finest // side, axis)
        return x

    states = [("latent", "flow", on_finest(finest)), (f"coarse {sides[0]}", "level", on_finest(sides[0]))]
    for side in sides[1:]:
        states += [(f"noise {side}", "level", on_finest(side)), ("t = 0.5", "time", on_finest(side))]
        last = ("t = 1", "time") if side == finest else (f"coarse {side}", "level")
        states.append((*last, on_finest(side)))
    names, kinds, fields = zip(*states, strict=True)
    return xr.Dataset(
        {"configuration": (("layer", "sample", *("z", "y", "x")[3 - d :]), np.stack(fields))},
        coords={"layer_name": ("layer", list(names)), "layer_kind": ("layer", list(kinds))},
    )


def test_one_doubling_side_by_side_on_one_scale() -> None:
    layers = made((4, 8))
    assert refinements(layers) == [(1, 2, (2, 3, 4))]
    coarse, upsampled, noised, flowed = refinement_strip(layers, sample=1, moment=1).data
    fields = layers["configuration"].values[:, 1]
    np.testing.assert_array_equal(coarse.z, fields[1, ::2, ::2])
    for trace, layer in ((upsampled, 1), (noised, 2), (flowed, 3)):
        np.testing.assert_array_equal(trace.z, fields[layer])
    assert len({(trace.zmin, trace.zmax) for trace in (coarse, upsampled, noised, flowed)}) == 1
    assert coarse.zmax >= np.abs(fields).max()
    assert [time_of(layers, k) for k in range(3)] == ["t = 0", "t = 0.5", "t = 1"]


def test_lines_between_sites_pale_no_picture_more_than_another() -> None:
    """The coarse field and its upsampling hold the same values and must look alike."""
    for sides, width in (((4, 8), 1), ((16, 32), 0)):
        traces = refinement_strip(made(sides), moment=-1).data
        assert {(trace.xgap, trace.ygap) for trace in traces} == {(width, width)}


def test_the_first_doubling_of_a_stack_is_drawn_on_its_own_lattice() -> None:
    layers = made((2, 4, 8))
    assert [level.coarse for level in refinements(layers)] == [1, 4]
    assert [layer for _, layer in moments(layers)] == [2, 3, 4, 5, 6, 7]
    assert [time_of(layers, k) for k in (0, 2, 3)] == ["4 × 4, t = 0", "4 × 4, t = 1", "8 × 8, t = 0"]
    early, late = refinement_strip(layers, moment=1), refinement_strip(layers, moment=-1)
    assert [np.shape(trace.z) for trace in early.data] == [(2, 2), (4, 4), (4, 4), (4, 4)]
    assert [np.shape(trace.z) for trace in late.data] == [(4, 4), (8, 8), (8, 8), (8, 8)]
    assert early.layout.xaxis4.range == (-0.5, 3.5)


@pytest.mark.parametrize("d", [1, 3])
def test_other_dimensions(d: int) -> None:
    figure = refinement_strip(made((2, 4), d=d))
    if d == 1:
        assert [len(trace.y) for trace in figure.data] == [3, 5, 5, 5]
    else:
        assert [np.shape(trace.z) for trace in figure.data] == [(2, 2), (4, 4), (4, 4), (4, 4)]


def test_what_is_not_there_is_refused() -> None:
    layers = made((4, 8))
    with pytest.raises(IndexError, match="sample must be below 3"):
        refinement_strip(layers, sample=3)
    with pytest.raises(IndexError, match="moment must be below 3"):
        refinement_strip(layers, moment=3)
    with pytest.raises(ValueError, match="a coarse field"):
        refinement_strip(layers.isel(layer=[0, 3]))
    assert refinements(layers.drop_vars("layer_kind")) == []


def test_couplings_against_the_step() -> None:
    step = np.arange(1, 6)
    columns = {"coarse_kappa": 0.26 - 0.001 * step, "trained_kappa": np.full(5, 0.26), "noise_sigma": 0.6 + 0.01 * step}
    data = xr.Dataset({k: ("step", v) for k, v in columns.items()}, coords={"step": step}, attrs={"steps": 40})
    figure = learned_couplings(data)
    fine, coarse, sigma = figure.data
    np.testing.assert_allclose(coarse.y, columns["coarse_kappa"])
    np.testing.assert_allclose(fine.y, 0.26)
    np.testing.assert_allclose(sigma.y, columns["noise_sigma"])
    assert "0.2550" in figure.layout.title.text
    assert figure.layout.xaxis.range == (0, 40)
    empty = learned_couplings(data.isel(step=slice(0)).drop_vars(list(columns)))
    assert [len(trace.x) for trace in empty.data] == [0, 0, 0]
