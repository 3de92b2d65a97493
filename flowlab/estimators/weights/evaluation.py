"""Every number of a trained density in one Dataset: draws of q with their weights in, scalars with errors out.

Always: ``log_z, log_z_bound, log_z_exact, ess, emdm, acceptance, tau_int, tau_int_rejections, longest_rejection_run``,
and every observable reweighted under its own name. With ``magnetization`` among them also ``abs_magnetization,
susceptibility, susceptibility_connected, binder`` (of overlaps for a glass, see :func:`glass_observables`), and with
``structure_factor_1`` besides ``correlation_length``, or ``correlation_length_connected`` where the field is ordered;
with T also ``free_energy, free_energy_bound`` and their ``_per_site``; with T, ``energy_per_site`` and
``magnetization`` also ``specific_heat``. ``tau_int`` is that of the observable with the largest one, named in its
attribute ``observable``. With samples of the target also the forward check, which sees the modes that q drops:
``forward_log_z, forward_log_z_upper, forward_kl, forward_ess``. Of a target that is the same with all signs changed
also ``positive_fraction``. Where ln q lacks a constant, ``log_z`` and ``log_z_bound`` are NaN, and ``log_z_ratio`` and
``log_z_ratio_bound`` are given; where the draws come from no density, there is no ``emdm`` and no independence chain.

Variables carry ``long_name`` and ``units``, and a ``reason`` where they are NaN. The attributes ``verdict`` and
``reasons`` (a sentence a line) say whether all this may be believed, see
:func:`flowlab.estimators.weights.evidence.verdict`, ``warnings`` those of the sentences that speak against it; where
the verdict is "not to be trusted", UntrustedWarning says so, or LowESSWarning, LostSignWarning or
EquationOfMotionWarning where that alone is the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from flowlab.core.names import about
from flowlab.core.variables import variables_of
from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.observables.fields import field_observables
from flowlab.estimators.observables.glasses import FERROMAGNETIC, FORMULAS, glass_observables
from flowlab.estimators.observables.spins import spin_observables
from flowlab.estimators.series import gamma
from flowlab.estimators.series.chains import chain_mean
from flowlab.estimators.weights import independence, weights
from flowlab.estimators.weights.evidence import (
    EquationOfMotionWarning,
    Evidence,
    UntrustedWarning,
    exact_evidence,
    identity_evidence,
    repeat_evidence,
    share_evidence,
    target_sample_evidence,
    variance_evidence,
    verdict,
    warn,
    weight_evidence,
)
from flowlab.estimators.weights.mode_dropping import effective_mode_dropping, forward_check
from flowlab.estimators.weights.pareto import weights_problem
from flowlab.estimators.weights.symmetry import positive_fraction

TRANSFER_MATRIX = 2.5e-4
"""Accuracy of the exact ln Z of fields, in nats: four of it are the 1e-3 that transfer matrices are taken to."""
WORTH_JUDGING = 100  # draws that weights are worth, from which their errors can be judged
KEEP_SIGN = "odd layers, or a density made even, keep both signs exactly"
IDENTITIES = {  # observable -> its exact mean in every target, what it is, and the category of the warning
    "equation_of_motion": (1.0, "<phi dS/dphi> per site", EquationOfMotionWarning),
    "site_balance": (0.0, "the balance of moves of one site up and down in weight", UntrustedWarning),
}
NOT_DEFINED = {  # name -> why it is NaN
    "correlation_length": "longer than the lattice, so the field is ordered, or the two-point function does not fall",
    "correlation_length_connected": "the connected two-point function does not fall",
}
NO_COARSE_LOG_Z = "ln Z of the coarse lattice is not known"
MoreEvidence = Callable[[FloatArray, float], Iterable[Evidence]]


def evaluation(
    log_weight: ArrayLike,
    log_q: ArrayLike,
    observables: Mapping[str, ArrayLike],
    *,
    n_sites: int,
    T: float | None = None,
    domain: str = "spin",
    side: int | None = None,
    glass: ArrayLike | None = None,
    flip_symmetric: bool = False,
    log_z_exact: float | None = None,
    target_samples: tuple[ArrayLike, ArrayLike] | None = None,
    chains: int | None = None,
    normalised: bool = True,
    proposes: bool = True,
    evidence: MoreEvidence | None = None,
    rng: np.random.Generator,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """All scalars of an evaluation, each sampled one with its ``<name>_error``; what there is, the module says.

    Args:
        log_weight: (n,) ln of the target's unnormalised weight on independent draws from q, in nats.
        log_q: (n,) ln q of the same draws.
        observables: name -> (n,) values on the same draws, e.g. ``energy_per_site`` and ``magnetization``.
        n_sites: number of sites N.
        T: temperature in units of J / k_B; None or NaN where there is none.
        domain: "spin", "potts", "real" or "angle".
        side: L, the longest side of the lattice, for ``correlation_length``.
        glass: (m, N) the first of these draws where the couplings are random.
        flip_symmetric: whether the target is the same with all signs changed.
        log_z_exact: the exact ln Z in nats, or None where unknown.
        target_samples: (log_weight_p, log_q_p) on independent samples of the target.
        chains: where the draws come from that many Markov chains, in the order (step, chain): all errors then allow for
            the memory of the chains, ``tau_int_draws``; None for independent draws.
        normalised: whether ``log_q`` is; False where it lacks a constant, the ln Z of a coarse lattice.
        proposes: whether the draws come from a density q that a chain could propose by, unlike those of annealing.
        evidence: called with the log weights and the factor by which a memory of the draws stretches errors; what else
            speaks for or against the draws.
        rng: decides what the independence chain accepts.
        attrs: attributes to keep, e.g. seed and step: numbers and strings (None is left out).

    Returns:
        Dataset of scalars with the attributes ``attrs, n, n_sites, domain, T, verdict, reasons`` and ``warnings``.

    Raises:
        ValueError: for shapes that differ, NaN, or an unknown domain.

    >>> m = np.random.default_rng(0).choice([-1.0, 1.0], 100)
    >>> found = evaluation(
    ...     np.zeros(100), np.full(100, -np.log(2.0)), {"energy_per_site": -(m**2), "magnetization": m},
    ...     n_sites=1, T=2.0, log_z_exact=np.log(2.0), rng=np.random.default_rng(0),
    ... )
    >>> round(float(found.log_z), 6), float(found.ess), round(float(found.emdm), 6)
    (0.693147, 1.0, 1.0)
    """
    kind = variables_of(domain, q=2)  # how many states there are says nothing here
    values = _checked_observables(log_weight, log_q, observables)
    draws = _Draws(
        np.asarray(log_weight, dtype=np.float64), np.asarray(log_q, dtype=np.float64), values, n_sites, _known(T), side,
        glass, _known(log_z_exact), target_samples, normalised, chains,
    )  # fmt: skip
    variables, stretch = draws.estimates(rng, proposes)
    if flip_symmetric and "magnetization" in values:
        variables |= _variables("positive_fraction", positive_fraction(values["magnetization"]))
    judged = verdict(draws.evidence(variables, kind.discrete, flip_symmetric, stretch, evidence))
    warn(judged)
    own = {"n": draws.log_w.size, "n_sites": n_sites, "domain": domain, "T": draws.T} | judged.attrs
    return xr.Dataset(variables, attrs=_storable({**(attrs or {}), **own}))


@dataclass(frozen=True)
class _Draws:
    """The draws of one evaluation and what is known of their target; see :func:`evaluation`."""

    log_weight: FloatArray
    log_q: FloatArray
    values: dict[str, FloatArray]
    n_sites: int
    T: float | None
    side: int | None
    glass: ArrayLike | None
    log_z_exact: float | None
    target_samples: tuple[ArrayLike, ArrayLike] | None
    normalised: bool
    chains: int | None

    @property
    def log_w(self) -> FloatArray:
        return self.log_weight - self.log_q

    def estimates(self, rng: np.random.Generator, proposes: bool) -> tuple[dict[str, xr.Variable], float]:
        """Every variable with its error, and the factor by which a memory of the draws stretched the errors."""
        variables = self._free_energies() | _variables("ess", weights.ess(self.log_w))
        variables |= self._mode_dropping() if proposes else {}
        if self.target_samples is not None and self.normalised:
            for name, estimate in forward_check(*self.target_samples)._asdict().items():
                variables |= _variables(f"forward_{name}", estimate)
        variables |= _chain_variables(self.log_w, self.values, rng) if proposes else {}
        variables |= self._observables(rng)
        stretch = 1.0
        if self.chains is not None:
            series = {"w": np.exp(self.log_w - self.log_w.max()), **self.values}
            variables, stretch = _with_memory(variables, series, self.chains)
        if problem := weights_problem(self.log_w):
            _explain(variables, f"not known: {problem}")
        return variables, stretch

    def _free_energies(self) -> dict[str, xr.Variable]:
        log_z, bound = weights.log_z(self.log_w), weights.log_z_bound(self.log_w)
        variables: dict[str, xr.Variable] = {}
        if not self.normalised:
            variables |= {**_variables("log_z_ratio", log_z), **_variables("log_z_ratio_bound", bound)}
            log_z, bound = Estimate(math.nan, math.nan), Estimate(math.nan, math.nan)
        unknown = "" if self.normalised else NO_COARSE_LOG_Z
        variables |= {**_variables("log_z", log_z, reason=unknown), **_variables("log_z_bound", bound, reason=unknown)}
        exact = math.nan if self.log_z_exact is None else self.log_z_exact
        variables |= _variables("log_z_exact", exact, reason="no exact value is known")
        if self.T is not None:
            for name, estimate in (("free_energy", log_z), ("free_energy_bound", bound)):
                variables |= _variables(name, _scaled(estimate, -self.T))
                variables |= _variables(f"{name}_per_site", _scaled(estimate, -self.T / self.n_sites))
        return variables

    def _mode_dropping(self) -> dict[str, xr.Variable]:
        if not self.normalised:
            return _variables("emdm", Estimate(math.nan, math.nan), reason=NO_COARSE_LOG_Z)
        emdm = effective_mode_dropping(
            self.log_weight, self.log_q, log_z_exact=self.log_z_exact, target_samples=self.target_samples
        )
        return _variables(
            "emdm",
            Estimate(emdm.value, emdm.error),
            reason=emdm.reason,
            reference=emdm.reference,
            log_q_threshold=emdm.threshold,
        )

    def _observables(self, rng: np.random.Generator) -> dict[str, xr.Variable]:
        measured = _observable_estimates(self.log_w, self.values, self.n_sites, self.T, self.side)
        if self.glass is not None:
            measured = _glass_estimates(measured, self.glass, self.log_w, rng)
        usual = "every magnetization is zero" if self.glass is None else "too few configurations"
        variables: dict[str, xr.Variable] = {}
        for name, estimate in measured.items():
            formula = {} if self.glass is None else FORMULAS.get(name, {})
            variables |= _variables(name, estimate, reason=NOT_DEFINED.get(name, usual), **formula)
        return variables

    def evidence(
        self,
        variables: Mapping[str, xr.Variable],
        discrete: bool,
        flip_symmetric: bool,
        stretch: float,
        more: MoreEvidence | None,
    ) -> list[Evidence]:
        """What speaks for and against the estimates."""
        seen = [self.log_weight, *(column for name, column in self.values.items() if name not in IDENTITIES)]
        found: list[Evidence] = []
        if self.log_z_exact is not None and self.normalised:
            log_z, bound = _estimate(variables, "log_z"), weights.log_z_bound(self.log_w)
            found += exact_evidence(
                log_z, bound, self.log_z_exact, self.log_w.size, 0.0 if discrete else TRANSFER_MATRIX
            )
        found += weight_evidence(self.log_w)
        found += [] if discrete or self.chains is not None else repeat_evidence(seen)
        found += [] if more is None else list(more(self.log_w, stretch))
        if self.target_samples is not None and self.normalised:
            found += target_sample_evidence(self.log_w, *self.target_samples)
        if flip_symmetric and "magnetization" in self.values:
            positive = 0.5 * (1 + np.sign(self.values["magnetization"]))
            share = share_evidence("M > 0", positive, 0.5, self.log_w, stretch=stretch, cure=KEEP_SIGN)
            found += [Evidence("both signs of M are drawn alike")] if share is None else [share]
        if float(variables["ess"]) * self.log_w.size >= WORTH_JUDGING:
            for name, (known, what, category) in IDENTITIES.items():
                if name in self.values and not math.isnan(float(variables[f"{name}_error"])):
                    found.append(identity_evidence(what, _estimate(variables, name), known, warning=category))
        return found + variance_evidence(self.log_w, seen, known=any(one.independent for one in found))


def _known(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else float(number)


def _estimate(variables: Mapping[str, xr.Variable], name: str) -> Estimate:
    return Estimate(float(variables[name]), float(variables[f"{name}_error"]))


def scalars(dataset: xr.Dataset) -> dict[str, float | None]:
    """The scalar variables of a Dataset as one flat dictionary for JSON: NaN and infinities become None.

    >>> scalars(xr.Dataset({"ess": 0.5, "emdm": np.nan}))
    {'ess': 0.5, 'emdm': None}
    """
    numbers = {str(name): float(variable) for name, variable in dataset.data_vars.items() if variable.ndim == 0}
    return {name: number if math.isfinite(number) else None for name, number in numbers.items()}


def columns(dataset: xr.Dataset) -> dict[str, list[float | None]]:
    """The one-dimensional variables of a Dataset and their coordinates as lists for JSON, NaN and infinities as None.

    >>> columns(xr.Dataset({"log_z": ("temperature", [2.5, np.nan])}, {"temperature": [1.0, 2.0]}))
    {'temperature': [1.0, 2.0], 'log_z': [2.5, None]}
    """
    lines = {str(name): variable for name, variable in dataset.data_vars.items() if variable.ndim == 1}
    used = [name for name in dataset.coords if any(name in line.dims for line in lines.values())]
    found = {str(name): dataset[name] for name in used} | lines
    return {
        name: [float(x) if math.isfinite(x) else None for x in line.values]
        for name, line in found.items()
        if line.dtype.kind in "iuf"
    }


def _chain_variables(
    log_w: FloatArray, observables: Mapping[str, FloatArray], rng: np.random.Generator
) -> dict[str, xr.Variable]:
    chain = independence.independence_chain(log_w, rng)
    times = {name: gamma.tau_int(values[chain.indices]) for name, values in observables.items()}
    times = {name: time for name, time in times.items() if not math.isnan(time.value)}
    slowest = max(times, key=lambda name: float(times[name].value), default="")
    return {
        **_variables("acceptance", independence.acceptance(log_w)),
        **_variables(
            "tau_int",
            times.get(slowest, Estimate(math.nan, math.nan)),
            reason=f"no observable varies along a chain of {log_w.size} steps",
            observable=slowest,
        ),
        **_variables("tau_int_rejections", independence.tau_int_rejections(chain.accepted)),
        **_variables("longest_rejection_run", float(independence.longest_rejection_run(chain.accepted))),
    }


def _observable_estimates(
    log_w: FloatArray, observables: Mapping[str, FloatArray], n_sites: int, T: float | None, side: int | None
) -> dict[str, Estimate]:
    found = {name: weights.reweighted(values, log_w=log_w) for name, values in observables.items()}
    m, e = observables.get("magnetization"), observables.get("energy_per_site")
    if m is not None and e is not None and T is not None:
        found |= spin_observables(e, m, n_sites=n_sites, T=T, log_w=log_w)
    elif m is not None:
        found |= field_observables(observables, n_sites=n_sites, side=side, log_w=log_w)
    return found


def _glass_estimates(
    measured: Mapping[str, Estimate], glass: ArrayLike, log_w: FloatArray, rng: np.random.Generator
) -> dict[str, Estimate]:
    kept = {name: estimate for name, estimate in measured.items() if name not in FERROMAGNETIC}
    return kept | glass_observables(glass, log_w=log_w[: len(np.asarray(glass))], rng=rng)


def _checked_observables(
    log_weight: ArrayLike, log_q: ArrayLike, observables: Mapping[str, ArrayLike]
) -> dict[str, FloatArray]:
    shape = np.shape(log_weight)
    values = {name: np.asarray(array, dtype=np.float64) for name, array in observables.items()}
    for name, array in {"log_q": np.asarray(log_q), **values}.items():
        if array.shape != shape:
            raise ValueError(f"{name} must have the shape of log_weight, {shape}, got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got {(~np.isfinite(array)).sum()} NaN or infinite values")
    return values


def _variables(name: str, value: Estimate | float, *, reason: str = "", **attrs: Any) -> dict[str, xr.Variable]:
    """The variable of one number and, for an Estimate, that of its error; ``reason`` is kept where the value is NaN."""
    numbers = {name: value.value, f"{name}_error": value.error} if isinstance(value, Estimate) else {name: value}
    variables = {}
    for key, number in numbers.items():
        extra = attrs if key == name else {}
        why = {"reason": reason or "not defined for these samples"} if math.isnan(number) else {}
        variables[key] = xr.Variable((), float(number), about(key, **extra, **why))
    return variables


def _with_memory(
    variables: dict[str, xr.Variable], series: Mapping[str, FloatArray], chains: int
) -> tuple[dict[str, xr.Variable], float]:
    """The same with all errors √(2 τ) times as large, τ the largest autocorrelation time along the chains; √(2 τ)."""
    times = {name: chain_mean(values.reshape(-1, chains)) for name, values in series.items()}
    times = {name: time for name, time in times.items() if not math.isnan(time.tau_int)}
    slowest = max(times, key=lambda name: times[name].tau_int, default="")
    tau = Estimate(times[slowest].tau_int, times[slowest].tau_int_error) if slowest else Estimate(math.nan, math.nan)
    reason = "too few draws from each chain to see its memory"
    factor = math.sqrt(max(2 * tau.value, 1.0)) if slowest else math.nan
    stretched = {}
    for name, variable in variables.items():
        if name.endswith("_error"):
            why = {"reason": reason} if math.isnan(factor) else {}
            variable = xr.Variable((), factor * float(variable), variable.attrs | why)
        stretched[name] = variable
    return stretched | _variables("tau_int_draws", tau, reason=reason, observable=slowest), factor


def _explain(variables: dict[str, xr.Variable], reason: str) -> None:
    """Say why an error is NaN of a value that is not."""
    for name, variable in variables.items():
        value = variables.get(name.removesuffix("_error"), variable)
        if math.isnan(float(variable)) and not math.isnan(float(value)):
            variable.attrs["reason"] = reason


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(factor * estimate.value, abs(factor) * estimate.error)


def _storable(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as NetCDF can hold them: no None, no booleans."""
    return {key: int(value) if isinstance(value, bool) else value for key, value in attrs.items() if value is not None}
