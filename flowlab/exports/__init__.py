"""Results taken elsewhere, and configurations brought in: ensembles, observables of one's own, one file for a run."""

from flowlab.exports.ensembles import ensemble, read_ensemble, write_ensemble
from flowlab.exports.expectations import expect, with_observables
from flowlab.exports.formats import export, to_arviz, to_pyerrors, to_zarr
from flowlab.exports.tables import to_dataframe

__all__ = [
    "ensemble",
    "expect",
    "export",
    "read_ensemble",
    "to_arviz",
    "to_dataframe",
    "to_pyerrors",
    "to_zarr",
    "with_observables",
    "write_ensemble",
]
