"""Numbers of a run as functions of a coupling."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from flowlab import exact
from flowlab.core.names import labelled
from flowlab.estimators import UntrustedWarning


def curve(run: Any, n: int, seed: int | None, **grid: ArrayLike) -> xr.Dataset:
    """What :meth:`flowlab.Experiment.curve` returns.

    Raises:
        ValueError: for other than one coupling, or couplings that the run is not trained for.
    """
    if len(grid) != 1:
        raise ValueError(f"a curve needs the values of one coupling, got {', '.join(grid) or 'none'}")
    (name, values), points = next(iter(grid.items())), []
    along = np.atleast_1d(np.asarray(values, dtype=float))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrustedWarning)  # the verdicts are in the result
        for value in along:
            found = run.evaluate(n, seed=seed, **{name: float(value)})
            target = run.target.at(**dict([run.target.spelled(name, float(value))]))
            known = {f"{key}_exact": ((), one) for key, one in exact.moments_per_site(target.physical).items()}
            points.append(found.assign({key: ((), found.attrs[key]) for key in ("verdict", "reasons")} | known))
    several = xr.concat(points, dim=name, combine_attrs="drop_conflicts", join="outer", coords="minimal")
    return labelled(several.assign_coords({name: along}))
