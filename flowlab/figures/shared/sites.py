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
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    rows: int
    columns: int
    label: NDArray[np.str_]

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

    (y, x) as it is; (z, y, x) as planes beside and above each other with a blank line between them; anything with
    one dim in reading order from the lower left, in a grid as square as its number of sites allows.

    >>> sites_of(xr.DataArray(np.ones((5, 6)), dims=("sample", "site"))).picture(np.arange(6.0)).tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    """
    dims = site_dims(configuration)
    shape = tuple(configuration.sizes[dim] for dim in dims)
    index = np.indices(shape).reshape(len(shape), -1)
    if len(shape) == 1:
        columns = _columns(shape[0])
        row, column = index[0] // columns, index[0] % columns
    elif len(shape) == 2:
        row, column = index
    else:
        planes = index[:-2].T @ np.cumprod([1, *shape[-3:0:-1]])[: len(shape) - 2][::-1]
        columns = _columns(int(planes.max()) + 1)
        row = planes // columns * (shape[-2] + 1) + index[-2]
        column = planes % columns * (shape[-1] + 1) + index[-1]
    names = dims[::-1]
    label = np.array([", ".join(f"{d} {i}" for d, i in zip(names, each[::-1], strict=True)) for each in index.T])
    return Sites(row, column, int(row.max()) + 1, int(column.max()) + 1, label)


def axis_titles(configuration: xr.DataArray) -> tuple[str, str]:
    """What the columns and the rows of a picture of the sites are.

    >>> axis_titles(xr.DataArray(np.ones((5, 6)), dims=("sample", "x")))
    ('sites in reading order', '')
    """
    dims = site_dims(configuration)
    if len(dims) == 2:
        return dims[1], dims[0]
    return ("sites in reading order" if len(dims) == 1 else "planes in reading order, x to the right and y up"), ""


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


def nearest_known(picture: Array) -> Array:
    """At the sites of a torus that are NaN, the value of the nearest one that is not; NaN at the others."""
    unknown = np.isnan(picture)
    if not unknown.any() or unknown.all():
        return np.full_like(picture, np.nan)
    from scipy.ndimage import distance_transform_edt

    tiled = np.tile(unknown, (3, 3))
    rows, columns = distance_transform_edt(tiled, return_distances=False, return_indices=True)
    n, m = picture.shape
    nearest = picture[rows[n : 2 * n, m : 2 * m] % n, columns[n : 2 * n, m : 2 * m] % m]
    return np.asarray(np.where(unknown, nearest, np.nan))
