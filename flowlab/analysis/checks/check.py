"""An independent answer for a run: chains of its system, begun hot and cold, beside what its density draws."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowlab.analysis.checks import comparison
from flowlab.analysis.checks.chain_looks import FIRST, Looks, Series, columns_of
from flowlab.analysis.checks.comparison import Compared, Shares
from flowlab.core import System, named_generator
from flowlab.core.names import labelled
from flowlab.estimators.series.chains import chain_mean
from flowlab.estimators.series.starts import R_HAT, SIGMAS
from flowlab.estimators.weights.evaluation import TRANSFER_MATRIX
from flowlab.estimators.weights.evidence import Evidence
from flowlab.estimators.weights.pareto import weights_problem
from flowlab.mcmc.opposite import opposite

BYTES = 1 << 24
"""Size of the configurations that are kept with the run, at most."""
FEWEST = 12
"""Looks at the chains from which anything can be said."""
COMPARABLE = 2.0
"""Errors of the chains, in those of the model, at which they need not go on."""
SUMMED = ("energy_per_site", "action_per_site")
"""Observables whose fluctuations are compared too."""
BETWEEN_TABLES = 0.5
"""Seconds between two tables that whoever watches a check is given, at least; making them takes a fifth of the time."""
Watch = Callable[[xr.Dataset | None], bool]
"""Given the table so far, None before there is one; whether the check goes on."""


class Drawn(NamedTuple):
    """What a run draws, to be checked.

    Attributes:
        configurations: (n, *shape) independent ones of the physical system.
        log_w: (n,) log_weight - ln q of them, ln Z of the physical system being its normalisation; None without q.
        ratio: the same of any configurations (m, *shape), inf where q draws nothing; None where it cannot be told.
        normalised: whether ln q is.
    """

    configurations: np.ndarray
    log_w: np.ndarray | None
    ratio: Callable[[Tensor], np.ndarray] | None
    normalised: bool


class Found(NamedTuple):
    """A comparison of draws with chains.

    Attributes:
        rows: every quantity.
        distributions: the shares of the magnetization, of the overlap of two spin configurations.
        outside: fraction of the chains' configurations that q gives no probability.
    """

    rows: dict[str, Compared]
    distributions: dict[str, Shares]
    outside: float

    @property
    def disagreeing(self) -> list[str]:
        """Quantities in which chains remember how they began."""
        return [name for name, row in self.rows.items() if not row.reference.agree]

    @property
    def precise(self) -> bool:
        """Whether the errors of the chains are comparable to the model's, or what differs is far beyond them."""
        for row in self.rows.values():
            own, z = (row.raw, row.z_raw) if math.isnan(row.z) else (row.value, row.z)
            rounding = 10 * comparison.ROUNDING * (1 + abs(row.reference.value))
            if row.reference.error > max(COMPARABLE * own.error, rounding) and not abs(z) > 2 * SIGMAS:
                return False
        return True


def check(
    system: System,
    drawn: Drawn,
    seconds: float,
    seed: int,
    attrs: Mapping[str, Any] | None = None,
    log_z_exact: float | None = None,
    watch: Watch | None = None,
) -> xr.Dataset:
    """Draws of a model beside chains of the same system that began hot and cold.

    Clusters, parallel tempering, hybrid Monte Carlo or replica exchange (:func:`flowlab.mcmc.opposite.opposite`),
    until their errors are as small as the model's or the time ends. A row a quantity: ``value`` by importance
    weights, ``raw`` of the draws as they are, which show what weights hide, ``reference`` of the chains, each with
    its ``_error``; ``z`` and ``z_raw`` in errors; ``z_starts`` and ``r_hat`` say whether the chains have forgotten
    how they began. Also the total variation of P(m) and of the distribution of overlaps, and ``configuration``
    (draw, *dims): samples of the target.

    Args:
        system: the physical system.
        drawn: what is checked.
        seconds: time for the chains, at most; less where their errors have become as small as the model's.
        seed: of the chains.
        attrs: attributes to keep.
        log_z_exact: exact ln Z of the system, where it is known: more than chains know.
        watch: called now and then with the table so far, None before there is one; False ends the check.

    Raises:
        ValueError: for a time that is not positive.
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    attrs = {**(attrs or {}), "seed": seed, "thermalised": 0}
    try:
        chains = opposite(system, generator=named_generator(seed, "check"))
    except (TypeError, ValueError) as error:
        return xr.Dataset(
            attrs=attrs | verdict_attrs("not checked", [f"there is no chain for {system.title}: {error}"])
        )
    looks, due = Looks(system, chains), FIRST
    watched = None if watch is None else _Watched(watch, system, drawn)
    end = time.monotonic() + seconds
    latest = end + max(5.0, seconds)  # a loaded machine may not get to the fewest looks in a short time
    while (now := time.monotonic()) < end or (looks.useful < FEWEST and now < latest):
        looks.look()
        if watched is not None and not watched.goes_on(looks):
            break
        if looks.count >= due:
            found, due = compare(system, drawn, looks.series(), chains.hot), due * 3 // 2
            if found.precise and not found.disagreeing and looks.problem() is None:
                break
            if due > looks.most:
                due = looks.most * 3 // 4
    if looks.useful < FEWEST:
        few = f"{looks.useful} useful looks at {chains.what} in {seconds:g} s, at least {FEWEST} are needed"
        return xr.Dataset(attrs=attrs | verdict_attrs("not checked", [few]))
    series = looks.series()
    found = compare(system, drawn, series, chains.hot)
    problems = [*disagreements(found), *filter(None, [looks.problem()])]
    thermalised = not problems
    if thermalised:
        kind, why = "consistent", reasons(found, drawn, chains.what)
        if log_z_exact is not None:
            accuracy = 0.0 if system.variables.discrete else TRANSFER_MATRIX
            why = beside_exact(found, log_z_exact, accuracy + 1 / len(drawn.configurations)) + why
        kind = "not to be trusted" if why else kind
        why = why or [agreement(found, chains.what)]
    else:
        kind, why = (
            "not checked",
            [
                "reference not thermalised: "
                + "; ".join(problem.removeprefix("not thermalised: ") for problem in problems)
            ],
        )
    own = {"chain": chains.what, "chains": chains.chains, "sweeps": looks.steps, "thermalised": int(thermalised)}
    return dataset(system, found, series).assign_attrs(attrs | own | verdict_attrs(kind, why))


def verdict_attrs(kind: str, why: list[str]) -> dict[str, str]:
    """The attributes ``verdict`` and ``reasons``; what is consistent has no reasons against it."""
    return {"verdict": f"{kind}: {why[0]}", "reasons": "" if kind == "consistent" else "\n".join(why)}


def compare(system: System, drawn: Drawn, series: Series, hot: int) -> Found:
    """Every quantity of a model's draws and of chains."""
    model = columns_of(system, torch.from_numpy(drawn.configurations))
    centres = {name: float(series.columns[name].mean()) for name in SUMMED if name in series.columns}
    mine, theirs = (comparison.moments(one, centres, system.n_sites) for one in (model, series.columns))
    rows = {name: comparison.compared(mine[name], drawn.log_w, theirs[name], hot) for name in mine}
    judged = ["magnetization", *centres]
    distributions = {name: comparison.shares(mine[name], drawn.log_w, theirs[name]) for name in judged}
    snapshots = series.configurations
    if len(snapshots) >= 4:
        q, along = np.abs(overlaps(system, drawn.configurations[None]))[0], np.abs(overlaps(system, snapshots))
        both = None if drawn.log_w is None else drawn.log_w[0 : 2 * len(q) : 2] + drawn.log_w[1 : 2 * len(q) : 2]
        rows["abs_overlap"] = comparison.compared(q, both, along, hot // 2)
        rows["overlap_squared"] = comparison.compared(q**2, both, along**2, hot // 2)
        distributions["overlap"] = comparison.shares(q, both, along)
    outside = 0.0
    if drawn.ratio is not None and drawn.log_w is not None and len(snapshots) >= 4:
        log_w = drawn.ratio(torch.from_numpy(snapshots).flatten(0, 1)).reshape(snapshots.shape[:2])
        outside = float(np.isposinf(log_w).mean())
        if outside == 0.0:
            distributions["log_w"] = comparison.shares(drawn.log_w.round(2), drawn.log_w, log_w.round(2))
            rows |= comparison.compared_weights(drawn.log_w, log_w, hot, normalised=drawn.normalised)
    return Found(rows, distributions, outside)


def overlaps(system: System, x: np.ndarray) -> np.ndarray:
    """(steps, n, *shape) configurations -> (steps, n // 2) overlaps of the pairs (0, 1), (2, 3)..

    >>> from flowlab.systems import Ising
    >>> overlaps(Ising((2, 2), T=1.0), np.ones((1, 4, 2, 2)))
    array([[1., 1.]])
    """
    n = x.shape[1] // 2 * 2
    parts = []
    for row in x[:, :n]:
        one, other = (system.variables.components(torch.from_numpy(row[first::2]).float()) for first in (0, 1))
        parts.append((one * other).sum(0).flatten(1).mean(1).double().numpy())
    return np.stack(parts)


def disagreements(found: Found) -> list[str]:
    """What chains remember of their start, in words."""
    words = []
    for name in found.disagreeing:
        start = found.rows[name].reference
        if abs(start.z) < SIGMAS:
            words.append(f"chains stay apart in {name} (r_hat {start.r_hat:.3g}, at most {R_HAT})")
        else:
            words.append(f"hot and cold starts differ in {name} by {abs(start.z):.1f} errors")
    return words


def reasons(found: Found, drawn: Drawn, what: str) -> list[str]:
    """Why the draws are not to be trusted, beside chains that are; empty where nothing speaks against them."""
    said = []
    if drawn.log_w is not None and (few := comparison.worth(drawn.log_w)) < comparison.FEW:
        said.append(f"the weights of {len(drawn.log_w)} draws are worth {few:.3g} of them, less than {comparison.FEW}")
    elif drawn.log_w is not None and (problem := weights_problem(drawn.log_w)):
        said.append(f"{problem}: nothing reweighted has a known error")
    if found.outside:
        said.append(f"q gives no probability to {found.outside:.2g} of the configurations of {what}")
    for name, row in found.rows.items():
        weighted = not math.isnan(row.z)
        z, own = (row.z, row.value) if weighted else (row.z_raw if drawn.log_w is None else 0.0, row.raw)
        if abs(z) > SIGMAS:
            by = " by importance weights" if weighted else ""
            mine, theirs = (f"{x.value:.5g} ± {x.error:.2g}" for x in (own, row.reference))
            said.append(f"{name} is {mine}{by}, {theirs} in {what}: {abs(z):.3g} errors apart")
        if "_fraction" in name:
            said += seldom(name, row)
    for name, one in found.distributions.items():
        missing = float(one.reference[one.seldom].sum())
        if missing > 0 and name != "log_w":  # heavy weights are no fault where the draws find them
            said.append(f"the draws hardly visit values of {name} that hold {missing:.0%} of the target")
        elif one.differs:
            said.append(
                f"the distribution of {name} differs from that of {what}: total variation {one.variation:.2g}, "
                f"{one.floor:.2g} from noise alone"
            )
    return said


def beside_exact(found: Found, exact: float, accuracy: float) -> list[str]:
    """What speaks against ln Z of the draws, alone or together with the chains, beside its exact value.

    No error counts as less than ``accuracy``: what n draws cannot see holds about 1/n of the weight.
    """
    row, said = found.rows.get("log_z"), []
    if row is not None:
        for how, one in (("by the weights", row.value), ("by draws and chains together", row.reference)):
            off = (one.value - exact) / math.hypot(one.error, accuracy)
            if abs(off) > SIGMAS:
                side = "low" if off < 0 else "high"
                known = f"{one.value:.5g} ± {one.error:.2g}"
                said.append(f"ln Z is {known} {how} and {exact:.5g} exactly: {abs(off):.3g} errors too {side}")
    return said


def seldom(name: str, row: Compared) -> list[str]:
    """A sign or a state that draws visit ten times less often than they should."""
    words = []
    cases = [(name, row.raw.value, row.reference.value)]
    if name == "positive_fraction":
        cases = [("M > 0", row.raw.value, row.reference.value), ("M < 0", 1 - row.raw.value, 1 - row.reference.value)]
    for what, raw, target in cases:
        what = what if "_" not in what else f"state or sector {what.rpartition('_')[2]}"
        if raw < comparison.SELDOM * target and abs(row.z_raw) > SIGMAS:
            words.append(f"{what} in {100 * raw:.3g} % of the draws and in {100 * target:.3g} % of the target")
    return words


def agreement(found: Found, what: str) -> str:
    """How well draws and chains agree, and how sharp the comparison was, in a sentence."""
    z = {name: abs(row.z_raw if math.isnan(row.z) else row.z) for name, row in found.rows.items()}
    worst = max(z, key=lambda name: z[name])
    sharp = f", which know ln Z to {found.rows['log_z'].reference.error:.2g}" if "log_z" in found.rows else ""
    return f"{len(z)} quantities agree with {what}, begun hot and cold{sharp}, within {z[worst]:.1f} errors ({worst})"


def dataset(system: System, found: Found, series: Series) -> xr.Dataset:
    """Everything that was found, a row a quantity, with the configurations of the chains that may be taken as draws."""
    variables: dict[str, Any] = {str(name): column for name, column in table(found).data_vars.items()}
    for name, one in found.distributions.items():
        variables[f"total_variation_{name}"] = ((), one.variation)
        variables[f"total_variation_floor_{name}"] = ((), one.floor)
        variables[f"total_variation_raw_{name}"] = ((), one.raw_variation)
    kept = independent(series, int(BYTES // (series.configurations[0, 0].nbytes or 1)))
    variables["configuration"] = (("draw", *system.dims), kept, {"source": "the chains, as good as independent"})
    return labelled(xr.Dataset(variables, coords={"quantity": list(found.rows)}))


def table(found: Found) -> xr.Dataset:
    """Values, errors and differences, a row a quantity."""
    rows = list(found.rows.values())
    columns = {
        "value": [row.value.value for row in rows],
        "value_error": [row.value.error for row in rows],
        "raw": [row.raw.value for row in rows],
        "raw_error": [row.raw.error for row in rows],
        "reference": [row.reference.value for row in rows],
        "reference_error": [row.reference.error for row in rows],
        "z": [row.z for row in rows],
        "z_raw": [row.z_raw for row in rows],
        "z_starts": [row.reference.z for row in rows],
        "r_hat": [row.reference.r_hat for row in rows],
    }
    values: dict[str, Any] = {
        name: ("quantity", np.array(column, dtype=np.float64)) for name, column in columns.items()
    }
    return xr.Dataset(values, coords={"quantity": list(found.rows)})


class _Watched:
    """Tables of a check for whoever watches it, now and then."""

    def __init__(self, watch: Watch, system: System, drawn: Drawn) -> None:
        self.watch, self.system, self.drawn = watch, system, drawn
        self.began, self.due = time.monotonic(), -math.inf

    def goes_on(self, looks: Looks) -> bool:
        """Give the table of these looks, where it is time for one; whether to go on."""
        now, found = time.monotonic(), None
        if now < self.due:
            return True
        if looks.useful >= FEWEST:
            found = table(compare(self.system, self.drawn, looks.series(), looks.chains.hot))
            found = found.assign_attrs(seconds=now - self.began, looks=looks.count, chain=looks.chains.what)
        more = self.watch(found)
        self.due = time.monotonic() + max(BETWEEN_TABLES, 4 * (time.monotonic() - now))
        return more


def independent(series: Series, most: int) -> np.ndarray:
    """(m, *shape) configurations of the chains, two memories of the slowest observable apart, at most ``most``."""
    times = [chain_mean(values).tau_int for values in series.columns.values()]
    memory = 2 * max((tau for tau in times if not math.isnan(tau)), default=0.5)
    gap = float(np.diff(series.at).min(initial=series.at[-1] + 1))
    kept = series.configurations[:: max(1, math.ceil(memory / gap))]
    flat = kept.reshape(-1, *kept.shape[2:])
    return flat[:: max(1, math.ceil(len(flat) / most))]


def check_evidence(run: Any) -> list[Evidence]:
    """What the newest check of a run at its present step says for or against it.

    A check that was not made, is of another step, or whose reference was not thermalised says nothing.
    """
    found = run.checked
    if found is None or int(found.attrs["step"]) != run.step:
        return []
    kind, _, why = str(found.attrs["verdict"]).partition(": ")
    if kind == "consistent":
        return [Evidence(f"check: {why}", independent=True)]
    if kind == "not checked":
        return []
    return [Evidence(f"check: {reason}", True, True) for reason in str(found.attrs["reasons"]).splitlines()]


def drawn_from_density(density: Any, target: System, n: int, generator: torch.Generator) -> Drawn:
    """n draws of a density and their weights, of the physical system."""
    from flowlab.analysis import evaluation
    from flowlab.analysis.representations import like

    if not density.iid:  # one call draws each field from a chain of its own
        n = max(2, min(n, evaluation.AT_ONCE // target.physical.n_sites))
    sizes = [evaluation.CHUNK] * (n // evaluation.CHUNK) + ([n % evaluation.CHUNK] if n % evaluation.CHUNK else [])
    parts = [evaluation.sample(density, target, size, generator, {}) for size in (sizes if density.iid else [n])]
    log_w = np.concatenate([part["log_weight"].values - part["log_q"].values for part in parts])
    like_this = like(density)

    def ratio(s: Tensor) -> np.ndarray:
        s = s.to(device=like_this.device, dtype=like_this.dtype)
        log_weight, log_q = evaluation.on_samples_of_the_target(density, target, s, generator)
        return np.asarray(log_weight - log_q)

    x = np.concatenate([part["configuration"].values for part in parts])
    return Drawn(x, log_w + float(target.log_z_offset), ratio, density.log_norm is not None)
