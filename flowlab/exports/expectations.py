"""Means of observables of one's own, with errors: of models by their weights, of chains by their memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.numbers import whole_number
from flowlab.estimators import Estimate
from flowlab.estimators.series.chains import chain_mean
from flowlab.estimators.weights.weights import reweighted

Observable = Callable[[np.ndarray], Any]


def expect(of: Any, observable: Observable, n: int = 10_000, *, seed: int | None = None) -> Estimate:
    """The target's mean of a number or an array for each configuration, with one standard error.

    Models are weighed; of chains, and of ensembles from a chain, the memory is in the error.

    Args:
        of: a run, or what :func:`.ensemble` or :func:`.read_ensemble` returns.
        observable: function of configurations (n, *shape), a numpy array, that gives (n,) or (n, ...) values, e.g.
            ``lambda x: x.mean((1, 2)) ** 4``.
        n: draws of a model; chains give all that they have kept.
        seed: of the draws, the run's own where not given.

    Returns:
        Estimate of a number, or of an array in the shape of the values of one configuration.

    Raises:
        ValueError: where the function gives another number of values than it got configurations.

    >>> from flowlab.runs import experiment
    >>> found = expect(experiment("phi4-free", L=4), lambda x: x**2, 500)
    >>> found.value.shape, found.error.shape
    ((4, 4), (4, 4))
    """
    return _mean(_source(of, n, seed), observable)


def with_observables(
    run: Any,
    found: xr.Dataset,
    observables: Mapping[str, Observable],
    n: int,
    *,
    seed: int | None = None,
    at: Mapping[str, float] | None = None,
) -> xr.Dataset:
    """An evaluation with observables of one's own beside its numbers: ``<name>`` and ``<name>_error``.

    Args:
        run: what was evaluated.
        found: its evaluation.
        observables: name -> function, as :func:`expect` takes it.
        n, seed: draws of a model.
        at: couplings of a run over a range of them.

    Raises:
        ValueError: for a name that the evaluation has itself, or a function that does not fit.
    """
    if taken := sorted(set(observables) & set(map(str, found.variables))):
        raise ValueError(f"observables must have names of their own, and an evaluation has {', '.join(taken)}")
    source = _source(run, n, seed, **(at or {}))
    variables: dict[str, Any] = {}
    for name, observable in observables.items():
        value, error = _mean(source, observable)
        dims = [f"{name}_{k}" for k in range(np.ndim(value))]
        about = {"long_name": name, "source": "an observable of the caller's"}
        variables |= {
            name: (dims, value, about),
            f"{name}_error": (dims, error, about | {"long_name": f"{name}, error"}),
        }
    return found.assign(variables)


def _source(of: Any, n: int, seed: int | None, **at: float) -> Any:
    """What means are taken over: draws of a model, made once; chains and ensembles as they are."""
    if hasattr(of, "data_vars") or hasattr(of, "weighted") or hasattr(of, "chain"):
        return of
    return of.sample(whole_number("n", n), seed=of.seed if seed is None else seed, **at)


def _mean(source: Any, observable: Observable) -> Estimate:
    if hasattr(source, "data_vars"):
        return _of_ensemble(source, observable)
    return _weighed(source.weighted(), observable) if hasattr(source, "weighted") else _of_chain(source, observable)


def _of_ensemble(found: xr.Dataset, observable: Observable) -> Estimate:
    method = found.attrs.get("method", "weighted" if "log_q" in found else "chain")
    if method == "weighted" and "log_q" in found:
        return _weighed(found, observable)
    values = _values(observable, found["configuration"].values)
    value, error = _remembered(values[:, None])
    return Estimate(value, error / np.sqrt(float(found.attrs.get("ess", 1.0))))


def _weighed(drawn: xr.Dataset, observable: Observable) -> Estimate:
    values = _values(observable, drawn["configuration"].values)
    log_w = (drawn["log_weight"] - drawn["log_q"]).values
    value, error = reweighted(values.reshape(len(values), -1), log_w=log_w)
    return _shaped(np.asarray(value), np.asarray(error), values.shape[1:])


def _of_chain(run: Any, observable: Observable) -> Estimate:
    """Of all configurations that a run of chains has kept beyond what it discards, (time, chain)."""
    if hasattr(run, "temperatures"):
        x = run.reference().configuration.transpose("sample", "replica", ...).values
    else:
        kept = run.recent(run.step).configuration.transpose("step", "chain", ...)
        x = kept.values[run._first() // run.keep_every :]
    flat = _values(observable, x.reshape(-1, *x.shape[2:]).astype(np.float64))
    return _remembered(flat.reshape(*x.shape[:2], *flat.shape[1:]))


def _remembered(values: np.ndarray) -> Estimate:
    """The mean over (time, chain, ...) with the error of its memory."""
    shape = values.shape[2:]
    columns = values.reshape(*values.shape[:2], -1)
    found = [chain_mean(columns[..., k]) for k in range(columns.shape[-1])]
    return _shaped(np.array([one.value for one in found]), np.array([one.error for one in found]), shape)


def _shaped(value: np.ndarray, error: np.ndarray, shape: tuple[int, ...]) -> Estimate:
    if not shape:
        return Estimate(float(value.ravel()[0]), float(error.ravel()[0]))
    return Estimate(value.reshape(shape), error.reshape(shape))


def _values(observable: Observable, x: np.ndarray) -> np.ndarray:
    values = np.asarray(observable(x), dtype=np.float64)
    if values.ndim < 1 or len(values) != len(x):
        got = values.shape if values.ndim else "one number"
        raise ValueError(f"observable must give a value for each of {len(x)} configurations, got {got}")
    return values
