"""Where the sites of a system lie in a flat picture."""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Array = NDArray[np.float64]
BATCH_DIMS = ("layer", "sample", "replica", "step", "temperature")


class Sites(NamedTuple):
    """The place of every site in a picture.

    Attributes:
        row, column: (n_sites,) int, in the order of a flattened configuration.
        rows, columns: the size of the picture.
        label: (n_sites,) str, what a person reads when pointing at a site.
        planes: (row, column, name) of the lower left site of every plane (y, x); none of a graph or a line.
        gap: rows and columns between two planes.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    rows: int
    columns: int
    label: NDArray[np.str_]
    planes: tuple[tuple[int, int, str], ...] = ()
    gap: int = 0

    def picture(self, values: Array) -> Array:
        """Values (n_sites,) laid out as (rows, columns), NaN where there is no site."""
        flat = np.full((self.rows, self.columns), np.nan)
        flat[self.row, self.column] = values
        return flat

    def labels(self) -> NDArray[np.str_]:
        """The labels laid out as (rows, columns)."""
        text = np.full((self.rows, self.columns), "", dtype=self.label.dtype)
        text[self.row, self.column] = self.label
        return text


def site_dims(configuration: xr.DataArray) -> tuple[str, ...]:
    """The dims of the lattice or graph: those of a configuration that count neither samples nor layers.

    >>> site_dims(xr.DataArray(np.ones((2, 3, 3)), dims=("sample", "y", "x")))
    ('y', 'x')
    """
    return tuple(str(dim) for dim in configuration.dims if dim not in BATCH_DIMS)


def sites_of(configuration: xr.DataArray) -> Sites:
    """The places of the sites of a configuration, by its dims.

    (y, x) as it is; (z, y, x) as planes beside and above each other, with room for its name above each; anything with
    one dim in reading order from the lower left, in a grid as square as its number of sites allows.

    >>> sites_of(xr.DataArray(np.ones((5, 6)), dims=("sample", "site"))).picture(np.arange(6.0)).tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    >>> sites_of(xr.DataArray(np.ones((2, 4, 4)), dims=("z", "y", "x"))).planes
    ((0, 0, 'z = 0'), (0, 5, 'z = 1'))
    """
    dims = site_dims(configuration)
    shape = tuple(configuration.sizes[dim] for dim in dims)
    index = np.indices(shape).reshape(len(shape), -1)
    planes: list[tuple[int, int, str]] = []
    gap = 0
    if len(shape) == 1:
        columns = _columns(shape[0])
        row, column = index[0] // columns, index[0] % columns
    elif len(shape) == 2:
        row, column = index
        planes = [(0, 0, "")]
    else:
        gap = max(1, round(shape[-2] / 5))
        places = list(np.ndindex(shape[:-2]))
        across = _columns(len(places))
        corners = [(k // across * (shape[-2] + gap), k % across * (shape[-1] + gap)) for k in range(len(places))]
        row, column = (np.repeat(each, shape[-2] * shape[-1]) for each in zip(*corners, strict=True))
        row, column = row + index[-2], column + index[-1]
        called = [", ".join(f"{d} = {i}" for d, i in zip(dims, place, strict=False)) for place in places]
        planes = [(*corner, name) for corner, name in zip(corners, called, strict=True)]
    names = dims[::-1]
    label = np.array([", ".join(f"{d} {i}" for d, i in zip(names, each[::-1], strict=True)) for each in index.T])
    return Sites(row, column, int(row.max()) + 1 + gap, int(column.max()) + 1, label, tuple(planes), gap)


def axis_titles(configuration: xr.DataArray) -> tuple[str, str]:
    """What the columns and the rows of a picture of the sites are.

    >>> axis_titles(xr.DataArray(np.ones((5, 6)), dims=("sample", "x")))
    ('sites in reading order', '')
    """
    dims = site_dims(configuration)
    if len(dims) == 2:
        return dims[1], dims[0]
    return ("sites in reading order" if len(dims) == 1 else "in every plane x to the right and y up"), ""


def _columns(n: int) -> int:
    """Columns of the most nearly square grid for n cells: a divisor where one is near, else the root rounded up."""
    root = round(n**0.5)
    exact = [c for c in range(-(-n // max(root, 1)), 2 * root + 1) if n % c == 0 and c * c >= n]
    return exact[0] if exact else int(np.ceil(n**0.5))


def without_nan(values: Array) -> Array | list[list[float | None]]:
    """The values; as lists with None where some are NaN, which JSON does not have."""
    if np.isfinite(values).all():
        return values
    return [[float(value) if isfinite(value) else None for value in row] for row in values]


def nearest_known(values: Array) -> Array:
    """At the sites of a torus that are NaN, the value of the nearest one that is not; NaN at the others."""
    unknown = np.isnan(values)
    if not unknown.any() or unknown.all():
        return np.full_like(values, np.nan)
    from scipy.ndimage import distance_transform_edt

    tiled = np.tile(unknown, (3,) * values.ndim)
    middle = tuple(slice(side, 2 * side) for side in values.shape)
    places = distance_transform_edt(tiled, return_distances=False, return_indices=True)
    nearest = values[tuple(place[middle] % side for place, side in zip(places, values.shape, strict=True))]
    return np.asarray(np.where(unknown, nearest, np.nan))
