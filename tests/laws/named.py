"""Whether a Dataset speaks the names of the table."""

from __future__ import annotations

import xarray as xr

from flowlab.core.names import about, known

# Axes of a lattice or of draws, and keys of studies that are swept over: called what they are.
FREE = {"x", "y", "z", "x_field", "y_field", "batch", "length", "seed_J"}


def assert_named(found: xr.Dataset, where: str) -> set[str]:
    """Every variable and coordinate has the long name and the units of the table; returns their names."""
    for name, variable in found.variables.items():
        if name in FREE:
            continue
        assert known(str(name)) is not None, f"{where}: {name} is not in flowlab.core.names"
        expected = about(str(name))
        assert {key: variable.attrs.get(key) for key in expected} == expected, f"{where}: {name}"
    return {str(name) for name in found.variables}
