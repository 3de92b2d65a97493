"""A run in a few words, at a prompt and in a notebook."""

from __future__ import annotations

from html import escape
from typing import Any

import xarray as xr

from flowlab.estimators.weights.evidence import shown
from flowlab.storage.records import Records


def text(run: Any) -> str:
    """One line: what it is, how far it is, how good it is.

    >>> from flowlab.runs import experiment
    >>> experiment("ising-xor", L=4, T=2.5, seed=1)
    <ising-xor L=4 T=2.5 seed=1: ready at step 0 of 2000>
    """
    found = facts(run)
    where = f", {found['device']}" if "device" in found else ""
    where += f" in {found['directory']}" if "directory" in found else ""
    result = f", {found['result']}" if "result" in found else ""
    return f"<{' '.join([found['run'], found['keys']]).strip()}: {found['state']}{result}{where}>"


def html(run: Any) -> str:
    """The same as a small table."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts(run).items())
    return f"<table>{rows}</table>"


def headline(run: Any, records: Records) -> str:
    """The newest bound per site, the exact value where known, and the ESS."""
    n = run.system.n_sites
    exact = "" if run.log_z_exact is None else f" (exact {run.log_z_exact / n:.5f})"
    return f"ln Z / N >= {records.newest('log_z_bound') / n:.5f}{exact}, ESS {records.newest('ess'):.2g}"


def judged(run: Any, n: int) -> tuple[str, str]:
    """The verdict on an evaluation of n draws and its reasons, without a warning: whoever asks will show it."""
    attrs = evaluated(run, n).attrs
    return str(attrs["verdict"]), str(attrs["reasons"])


def evaluated(run: Any, n: int) -> xr.Dataset:
    """An evaluation of n draws without a warning, for whoever shows its verdict or its errors."""
    with shown():
        found: xr.Dataset = run.evaluate(n)
    return found


def facts(run: Any) -> dict[str, str]:
    """``run``, ``keys`` (those that differ from the study's defaults, and the seed), ``state``, then what there is."""
    keys: dict[str, object] = {"seed": run.seed} if run.seed else {}
    name = f"{type(run).__name__} on {run.system}"
    if run.study is not None:
        keys = {key: value for key, value in run.chosen.items() if key != "steps"} | keys
        name = f"{run.study} ({run.note})" if run.note else run.study
    found = {
        "run": name,
        "keys": " ".join(
            f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}" for key, value in keys.items()
        ),
        "state": f"{run.state} at step {run.step} of {run.steps}",
    }
    if run.placed:
        seconds = run.placed["seconds_per_step"]
        measured = ", ".join(f"{kind} {1e3 * value:.3g} ms" for kind, value in seconds.items())
        found["device"] = f"on {run.placed['chosen']} (a step: {measured})"
    if run.step:
        found["result"] = run.headline()
    if run.parent is not None:
        made = run.parent["study"] or "a run built by hand"
        found["warm start"] = f"from step {run.parent['step']} of {made}, seed {run.parent['seed']}"
        if (copied := run.parent.get("copied", 1.0)) < 1:
            found["warm start"] += f", {100 * copied:.2g} % of the weights"
    if run.path is not None:
        found["directory"] = str(run.path)
    return found
