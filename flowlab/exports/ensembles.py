"""Configurations as others take them: with weights, resampled, or as a Markov chain; out of files and in."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr

from flowlab.core import System
from flowlab.core.generators import named_seed
from flowlab.core.names import labelled
from flowlab.core.numbers import whole_number
from flowlab.estimators.weights.independence import independence_chain, tau_int_rejections
from flowlab.storage.files import write_atomic
from flowlab.storage.identity import absolute, plain
from flowlab.storage.netcdf import from_netcdf, to_netcdf

Method = Literal["metropolis", "weighted", "resampled"]
Format = Literal["npy", "nc", "h5"]
FIRST = 0.1
"""Part of a Metropolis chain, at its beginning, that is left out."""
SAME = 1e-4
"""Relative difference of log weights up to which those in a file are the system's; single precision keeps them so."""


def ensemble(run: Any, n: int, method: Method = "metropolis", *, seed: int | None = None) -> xr.Dataset:
    """n configurations of a run's system, with what is needed to use them elsewhere.

    ``"weighted"``: independent draws of the model; every mean needs their weights, ``exp(log_weight_ratio)``.
    ``"metropolis"``: the chain that the model proposes for, a tenth of it left out at its beginning: means need no
    weights, errors need its ``tau_int``. ``"resampled"``: n of n draws by their weights, with replacement; means have a
    bias that falls as 1/n, and errors are √(1/ess) times those of independent ones. Runs of Markov chains give what
    they have kept, and know no ln q.

    Args:
        run: any run.
        n: how many.
        method: see above.
        seed: of the draws.

    Returns:
        Dataset with ``configuration`` (sample, *dims), of models also ``log_q``, ``log_weight`` and
        ``log_weight_ratio``, the difference. Attributes: ``method``, ``tau_int`` and its error for a chain, the
        couplings in all conventions (JSON text ``conventions``) and the action in words.

    Raises:
        ValueError: for a method that there is not, or a run that has nothing to draw.

    >>> from flowlab.runs import experiment
    >>> found = ensemble(experiment("phi4-free", L=4), 50, seed=1)
    >>> found.configuration.shape, found.attrs["method"], found.attrs["tau_int"] >= 0.5
    ((50, 4, 4), 'metropolis', True)
    """
    if method not in ("metropolis", "weighted", "resampled"):
        raise ValueError(f"method must be metropolis, weighted or resampled, got {method!r}")
    n = whole_number("n", n)
    proposed = n + int(FIRST * n) if method == "metropolis" else n
    drawn: xr.Dataset = run.sample(proposed, seed=seed)
    about: dict[str, Any] = {"method": method} | conventions(run.system)
    if "log_q" not in drawn:
        return labelled(drawn.assign_attrs(about | {"method": "chain"}))
    ratio = drawn["log_weight"] - drawn["log_q"]
    drawn = drawn.assign(log_weight_ratio=ratio)
    rng = np.random.default_rng(named_seed(drawn.attrs["seed"], "ensemble"))
    if method == "metropolis":
        chain = independence_chain(ratio.values, rng)
        tau = tau_int_rejections(chain.accepted)
        about |= {"tau_int": float(tau.value), "tau_int_error": float(tau.error)}
        about["acceptance"] = float(chain.accepted.mean())
        drawn = drawn.isel(sample=chain.indices[proposed - n :])
    elif method == "resampled":
        weights = np.exp(ratio.values - ratio.values.max())
        places = (rng.random() + np.arange(n)) / n  # systematic: the least noise that resampling can add
        about["ess"] = float(weights.sum() ** 2 / (n * (weights**2).sum()))
        drawn = drawn.isel(sample=rng.permutation(np.searchsorted(np.cumsum(weights) / weights.sum(), places)))
    return labelled(drawn.assign_attrs(about))


def conventions(system: System) -> dict[str, str]:
    """The couplings of a system as attributes: ``conventions``, JSON text, and its ``action`` in words.

    >>> from flowlab.systems import Phi4
    >>> json.loads(conventions(Phi4((4, 4), kappa=0.25, lam=0.5))["conventions"])["m2-lambda"]["lambda"]
    8.0
    """
    return {"conventions": json.dumps(plain(system.conventions)), "action": system.action_in_words}


def write_ensemble(found: xr.Dataset, path: str | Path, format: Format | None = None) -> Path:
    """Write an ensemble to a file: ``npy`` (n, *shape) as public data sets have it, NetCDF or HDF5.

    Beside an ``npy`` stand the other columns as ``<name>.<column>.npy`` and all attributes as ``<name>.json``.

    Args:
        found: what :func:`ensemble` returns.
        path: the file; its ending says the format where none is given.

    Raises:
        ValueError: for a format that there is not.
    """
    path = absolute(path)
    kind = format or path.suffix.removeprefix(".")
    attrs = plain(found.attrs)
    if kind == "nc":
        write_atomic(path, to_netcdf(found))
    elif kind == "npy":
        for name, one in found.data_vars.items():
            place = path if name == "configuration" else path.with_suffix(f".{name}.npy")
            write_atomic(place, _npy(one.values))
        write_atomic(path.with_suffix(".json"), json.dumps(attrs, indent=1, ensure_ascii=False).encode())
    elif kind == "h5":
        write_atomic(path, _hdf5(found, attrs))
    else:
        raise ValueError(f"format must be npy, nc or h5, got {kind!r}")
    return path


def read_ensemble(path: str | Path, system: System) -> xr.Dataset:
    """A user's own configurations of a system: npy, NetCDF (``configuration``) or HDF5 (``configuration``).

    What it returns is ``reference=`` of an evaluation, ``ForwardKL(torch.as_tensor(found.configuration.values))``, or
    where chains start.

    Args:
        path: of the file; in an npy the first axis counts configurations, and is more than one where there are several.
        system: of which they are.

    Returns:
        Dataset with ``configuration`` (sample, *dims) and ``log_weight``, by the system.

    Raises:
        ValueError: for another shape, values that the system's variables cannot have, or log weights in the file that
            are not the system's up to a constant; says which configuration.
        OSError: for a file that cannot be read.

    >>> import tempfile
    >>> from flowlab.systems import Ising
    >>> file = Path(tempfile.mkdtemp()) / "mine.npy"
    >>> np.save(file, np.ones((3, 2, 2), dtype=np.int8))
    >>> read_ensemble(file, Ising((2, 2), T=2.0)).log_weight.values.tolist()
    [4.0, 4.0, 4.0]
    """
    path = absolute(path)
    columns = _columns(path)
    if "configuration" not in columns:
        raise ValueError(f"{path} must have a variable configuration, it has {', '.join(columns) or 'none'}")
    values = np.asarray(columns["configuration"])
    if values.shape[1:] != tuple(system.shape) or values.ndim != len(system.shape) + 1:
        want = ", ".join(map(str, system.shape))
        raise ValueError(f"{path} must hold configurations of shape (n, {want}), got {values.shape}")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])
        raise ValueError(f"configuration {bad} of {path} has values that are not finite")
    x = torch.as_tensor(values, dtype=torch.float64)
    try:
        system.check_configurations(x)
    except ValueError as error:
        raise ValueError(f"{path} holds no configurations of {system.title}: {error}") from None
    with torch.no_grad():
        log_weight = system.log_weight(x).double().cpu().numpy()
    if "log_weight" in columns:
        _refuse_other(path, np.asarray(columns["log_weight"], dtype=np.float64), log_weight, system)
    data = {
        "configuration": (("sample", *system.dims), values.astype(np.float64)),
        "log_weight": ("sample", log_weight),
    }
    return labelled(xr.Dataset(data, attrs={"source": path.name, "system": system.title} | conventions(system)))


def _refuse_other(path: Path, theirs: np.ndarray, ours: np.ndarray, system: System) -> None:
    """ValueError where log weights differ by more than a constant."""
    if theirs.shape != ours.shape:
        raise ValueError(f"log_weight in {path} must have the shape {ours.shape}, got {theirs.shape}")
    apart = np.abs((theirs - theirs[:1]) - (ours - ours[:1]))
    worst = int(apart.argmax())
    if not apart[worst] <= SAME * (1 + np.abs(ours).max()):
        raise ValueError(
            f"{path} is of another system than {system.title}: the log weight of configuration {worst} relative to the "
            f"first is {theirs[worst] - theirs[0]:.6g} in the file, {ours[worst] - ours[0]:.6g} by the system"
        )


def _columns(path: Path) -> dict[str, Any]:
    kind = path.suffix
    if kind == ".npy":
        found = {"configuration": np.load(path, allow_pickle=False)}
        beside = path.with_suffix(".log_weight.npy")
        return found | ({"log_weight": np.load(beside, allow_pickle=False)} if beside.exists() else {})
    if kind == ".nc":
        return {str(name): one.values for name, one in from_netcdf(path.read_bytes()).data_vars.items()}
    if kind in (".h5", ".hdf5"):
        import h5py

        with h5py.File(path, "r") as file:
            return {name: file[name][()] for name in ("configuration", "log_weight") if name in file}
    raise ValueError(f"{path} must end in .npy, .nc, .h5 or .hdf5")


def _npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _hdf5(found: xr.Dataset, attrs: Any) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, one in found.data_vars.items():
            file.create_dataset(str(name), data=one.values)
        for key, value in attrs.items():
            file.attrs[key] = value if isinstance(value, int | float | str) else json.dumps(value)
    return buffer.getvalue()
