"""Numbers with their deltas, as pyerrors has them: what goes on in somebody else's analysis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import checked_log_w, relative_weights
from flowlab.estimators.series.gamma import pyerrors_package


def observables_of(
    series: Mapping[str, np.ndarray], *, log_w: ArrayLike | None = None, name: str = "flowlab"
) -> dict[str, Any]:
    """Name -> ``pyerrors.Obs`` of (time, chain) series, each chain a replicum, their Gamma method done.

    Args:
        series: name -> (n, chains) values.
        log_w: (n,) log weights of independent draws, in one chain: observables are then reweighted.
        name: of the ensemble.

    >>> found = observables_of({"m": np.arange(10.0)[:, None]}, log_w=np.zeros(10))
    >>> float(found["m"].value), found["m"].reweighted
    (4.5, True)
    """
    pyerrors = pyerrors_package()
    found = {}
    for key, values in series.items():
        values = np.asarray(values, dtype=np.float64)
        names = [name] if values.shape[1] == 1 else [f"{name}|r{k}" for k in range(values.shape[1])]
        found[key] = pyerrors.Obs(list(values.T), names)
    if log_w is not None:
        weight = pyerrors.Obs([relative_weights(checked_log_w(log_w))[0]], [name])
        found = dict(zip(found, pyerrors.reweight(weight, list(found.values())), strict=True))
    for one in found.values():
        one.gamma_method()
    return found


def write_observables(found: Mapping[str, Any], path: Path) -> None:
    """Write them as ``*.json.gz``, which ``pyerrors.input.json.load_json_dict`` reads; whole or not at all.

    Raises:
        ValueError: for a path that does not end in .json.gz.
    """
    if not path.name.endswith(".json.gz"):
        raise ValueError(f"path must end in .json.gz, got {path.name}")
    temporary = path.with_name(path.name.removesuffix(".json.gz") + ".part.json.gz")
    try:
        pyerrors_package().input.json.dump_dict_to_json(dict(found), str(temporary), description="flowlab")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
