"""What long Markov chains of lattice phi^4 found, and how far an evaluation is from it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import xarray as xr

NAMES = {
    "phi2": "phi_squared",
    "abs_M_per_site": "abs_magnetization",
    "chi": "susceptibility",
    "chi_connected": "susceptibility_connected",
    "G_q1": "structure_factor_1",
    "action_per_site": "action_per_site",
    "xi": "correlation_length",
    "binder": "binder",
}
"""The chains' name of an observable -> that of an evaluation."""


def chains(form: str, lam: float) -> dict[tuple[int, float], dict[str, float]]:
    """(L, beta) or (L, kappa), as ``form`` says -> what was found at this lam."""
    path = Path(__file__).parents[1] / "tests" / "data" / "public_phi4_mc.json"
    cases = json.loads(path.read_text())["cases"]
    return {(c["L"], c[form]): c for c in cases if c["form"] == form and c["lam"] == lam}


def compared(found: xr.Dataset, case: dict[str, float] | None) -> dict[str, Any]:
    """Every observable with its distance in joint errors, the farthest of them, and the largest ratio of errors."""
    value, error = float(found["equation_of_motion"]), float(found["equation_of_motion_error"])
    rows = {"equation_of_motion": {"value": value, "error": error, "off": (value - 1) / error}}
    ratios = []
    for there, here in NAMES.items() if case else ():
        value, error = float(found[here]), float(found[f"{here}_error"])
        rows[here] = {"value": value, "error": error, "reference": case[there], "reference error": case[f"{there}_err"]}
        rows[here]["off"] = (value - case[there]) / math.hypot(error, case[f"{there}_err"])
        ratios.append(error / case[f"{there}_err"])
    worst = max(rows, key=lambda name: abs(rows[name]["off"]))
    return {"worst": worst, "off": rows[worst]["off"], "errors": max(ratios, default=None), "observables": rows}
