"""What the coordinates of Datasets are called, and in which units."""

from __future__ import annotations

import xarray as xr

NAMES = {  # name -> (long_name, units)
    "layer": ("layer", "1"),
    "layer_name": ("name of the layer", ""),
    "layer_kind": ("kind of the layer", ""),
    "time": ("time along the flow", "1"),
    "site": ("site", "1"),
    "place": ("place of the site in the order", "1"),
    "defect": ("defect", ""),
    "temperature": ("temperature", "J/k_B"),
    "kept_temperature": ("temperature at which configurations were kept", "J/k_B"),
    "T": ("temperature", "J/k_B"),
    "beta": ("coupling beta", "1"),
    "kappa": ("hopping parameter kappa", "1"),
    "L": ("side of the lattice", "lattice spacings"),
}


def with_names(dataset: xr.Dataset) -> xr.Dataset:
    """The same, every coordinate with ``long_name`` and ``units``; those that it does not know by their own name.

    >>> with_names(xr.Dataset(coords={"T": [2.0, 2.3]})).T.attrs
    {'long_name': 'temperature', 'units': 'J/k_B'}
    """
    coords = {}
    for name, values in dataset.coords.items():
        long_name, units = NAMES.get(str(name), (str(name).replace("_", " "), "1"))
        coords[name] = values.assign_attrs({"long_name": long_name, "units": units} | values.attrs)
    return dataset.assign_coords(coords)
