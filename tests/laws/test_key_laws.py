"""Laws of the keys of all studies: values out of range, keys without effect, names that a person gave."""

from __future__ import annotations

import math
import re
import typing

import pytest

import flowlab as fl
from flowlab.runs import studies
from flowlab.runs.keys import bare, kinds_of, range_of
from tests.laws.fingerprint import fingerprint

pytestmark = pytest.mark.usefixtures("short_warm_up")

SMALL = {
    "L": 4, "N": 8, "steps": 30, "batch": 10, "device": "cpu", "samples": 200, "chains": 4, "channels": 2,
    "retrain": 20, "stage_steps": 20, "replicas": 3, "trajectory": 3, "tuning": 5,
}  # fmt: skip
OWN: dict[str, dict[str, object]] = {
    "ising-cluster-ais": {"sweeps": 5},
    "ising-coloured": {"L": 8, "hidden": 4},
    "ising-rigcs": {"L": 8, "hidden": 4},
    "ising-han": {"L": 8},
    "ising-mlmc-hb": {"L": 8},
    "phi4-multilevel": {"L": 8, "kappa": 0.2, "hidden": 4},
    "phi4-affine": {"kappa": 0.2, "hidden": 4},
    "phi4-spline": {"kappa": 0.2, "hidden": 4},
    "phi4-hybrid": {"kappa": 0.2, "hidden": 4},
    "phi4-flow": {"kappa": 0.2, "hidden": 4},
    "phi4-hmc": {"kappa": 0.2},
    "phi4-pixelcnn": {"kappa": 0.2},
    "phi4-cnf": {"kernel": 3},
    "phi4-ir-matching": {"coarse": 2, "L": 8, "kernel": 3, "d": 1, "kappa": 0.2},
    "phi4-uv-matching": {"coarse": 2, "L": 8, "kernel": 3, "kappa": 0.2},
    "sk-pt": {"steps": 60, "sweeps": 1},
    "glass-pt": {"steps": 60, "sweeps": 1},
}
BAD: dict[type, list[float]] = {int: [-(10**9), -1, 0, 1, 4], float: [-math.inf, -1.0, 0.0, 1.0, math.inf, math.nan]}
WITHIN: dict[object, list[object]] = {int: [1, 3], float: [1e-9, 1.0], str: ["", "x"], "d": [1]}
NAMES = list(studies())
RUNS = [name for name, study in studies().items() if not study.sweep]


def small(name: str) -> dict[str, object]:
    return {key: value for key, value in (SMALL | OWN.get(name, {})).items() if key in studies()[name].defaults}


def build(name: str, **keys: object) -> fl.Experiment:
    given = small(name) | keys
    if "kappa" in keys or "beta" in keys:  # the one that is asked about
        given = {key: value for key, value in given.items() if key not in ("kappa", "beta") or key in keys}
    study = studies()[name]
    idle = study.idle(study.defaults | given | {"warm": False}).keys() - keys.keys()
    return fl.experiment(name, **{key: value for key, value in given.items() if key not in idle})


def hints(name: str) -> dict[str, typing.Any]:
    return studies()[name].hints


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_range_and_beyond_it_the_key_is_named(name):
    study = studies()[name]
    for key in study.defaults:
        for kind in kinds_of(hints(name)[key]):
            if bare(kind) not in (int, float):
                continue
            allowed = range_of(kind)
            assert allowed is not None, f"{name} {key}"
            for value in BAD[bare(kind)]:
                if not (allowed.holds(value) and (allowed.infinite or math.isfinite(value))):
                    with pytest.raises(ValueError, match=rf"^{key} must .* got {value}$"):
                        study.given({key: value})


@pytest.mark.parametrize("name", RUNS)
def test_what_cannot_be_built_names_the_key_that_was_given(name):
    """Every number at some values within its range, every text as nonsense."""
    for key in studies()[name].defaults:
        kinds = [bare(kind) for kind in kinds_of(hints(name)[key])]
        values = WITHIN.get(key) or next((WITHIN[kind] for kind in (int, float, str) if kind in kinds), [])
        for value in values:
            refusal = ""
            try:
                build(name, **{key: value})
            except (ValueError, TypeError) as error:
                refusal = str(error)
            assert not refusal or re.search(rf"\b{key}\b", refusal), f"{key}={value}"


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_close_are_suggested(name):
    with pytest.raises(ValueError, match=f"did you mean '{name}'"):
        fl.experiment(name.replace("-", "_"))
    key = max(studies()[name].defaults, key=len)
    call = fl.sweep if studies()[name].sweep else fl.experiment
    with pytest.raises(ValueError, match=rf"no key {key}s \(did you mean '{key}'\?\)"):
        call(name, **{f"{key}s": 1})


SETTINGS: dict[str, list[dict[str, object]]] = {
    "ising-xor": [
        {"layers": 0}, {"layers": 0, "base": "local"}, {"base": "independent"}, {"base": "row_rnn"}, {"h": 0.3},
        {"base": "pixelcnn"}, {"construction": "sorting"}, {"base": "independent", "construction": "xor"},
    ],
    "ising-tokens": [{"layers": 1}, {"ansatz": "vqvae"}, {"ansatz": "coarse_to_fine"}, {"ansatz": "pixelcnn"}],
    "sk-xor": [{"layers": 0}, {"base": "made"}],
    "glass-xor": [{"couplings": "regular"}, {"couplings": "hopfield"}],
    "glass-forward": [{"h": 0.3}],
    "glass-autoregressive": [{"network": "made"}, {"network": "graph", "training": "sequential"}],
    "sk-forward": [{"whiten": "none"}],
    "sk-autoregressive": [{"network": "made"}, {"network": "graph"}, {"training": "sequential"}],
    "ising-chain": [{"moves": "heat_bath"}],
    "ising-cluster-ais": [{"schedule": "critical"}],
    "ising-coloured": [
        {"L": 4}, {"grow": False}, {"kind": "autoregressive"}, {"network": "transformer"}, {"shares": "1,2"},
        {"base": "made"}, {"coupling": "renormalised"},
    ],
    "ising-rigcs": [{"kind": "coloured"}, {"base": "pixelcnn"}],
    "ising-mlmc-hb": [{"grow": True}],
    "ising-han": [{"L": 4}, {"grow": False}],
    "phi4-multilevel": [{"grow": False}, {"conditional": "mixture"}, {"kind": "autoregressive"}, {"odd": False}],
    "phi4-flow": [{"net": "fc"}, {"blocks": "aff"}, {"decimated": False}, {"gradient": "pathwise"}],
    "phi4-hmc": [{"step_size": 0.1}],
    "phi4-free": [{"spectral": True}],
    "phi4-ir-matching": [{"L": 4}, {"L": 4, "gradient": "pathwise"}, {"L": 4, "learn": ""}],
    "phi4-uv-matching": [{"L": 4}],
}  # fmt: skip
"""Other settings of a study, beside its defaults, among which every key is tried."""
CASES = [(name, setting) for name in RUNS for setting in [{}, *SETTINGS.get(name, [])]]
OTHERS: dict[str, list[object]] = {
    "blocks": ["aff", 2], "temperatures": ["0.3,0.7,1.9"], "ladder": ["0.3,0.5,0.7,1,2"], "learn": ["", "lam"],
    "shares": ["1", "1,2"], "beta": [0.33], "kappa": [0.17], "mass": [0.7], "coarsest": [2, 4], "hidden": [3],
    "levels": [1], "sweeps": [7], "trajectory": [5], "step_size": [0.07], "z2": [True, False], "lr": [0.0123],
    "anneal": [0.123], "lr_flow": [0.0321], "kernel": [5, 3, 7], "d": [1, 2], "samples": [100, 20],
    "L": [4, 6, 8, 12], "window": [3, 5, 9, 12], "colours": [1, 2], "patience": [7], "coarse": [2, 4],
    "tempering_seed": [5], "device": [], "couplings": ["regular", "uniform"],
}  # fmt: skip
"""Values of keys that are none of a list and where other numbers would not do."""


def others(name: str, key: str, now: typing.Any) -> list[object]:
    found = list(OTHERS.get(key, []))
    for kind in map(bare, kinds_of(hints(name)[key])) if key not in OTHERS else ():
        if kind is bool:
            found.append(not now)
        elif typing.get_origin(kind) is typing.Literal:
            found += typing.get_args(kind)
        elif kind in (int, float) and now is not None:
            found += [now + 1, 2 * now, now - 1] if kind is int else [0.9 * now, 0.3, 0.7]
    return [value for value in found if value != now]


def tried(name: str, setting: dict[str, object], key: str, value: object, as_it_was: str) -> str:
    """What another value does: "other" run, the "same" run, "refused" by name, or "nothing" that can be built."""
    try:
        return "same" if fingerprint(build(name, **setting | {key: value})) == as_it_was else "other"
    except (ValueError, TypeError) as error:
        at_odds = re.match(rf"({'|'.join(setting)}) ", str(error)) if setting else None  # with another that was given
        return "refused" if re.search(rf"\b{key}\b", str(error)) or at_odds else "nothing"


@pytest.mark.parametrize(("name", "setting"), CASES, ids=lambda part: str(part))
def test_every_key_has_an_effect_or_is_refused(name, setting):
    as_it_was = fingerprint(build(name, **setting))
    assert fingerprint(build(name, **setting)) == as_it_was
    known = studies()[name].defaults | small(name) | setting
    for key in studies()[name].defaults.keys() - setting.keys():
        outcomes = (tried(name, setting, key, value, as_it_was) for value in others(name, key, known[key]))
        found = []
        for outcome in outcomes:
            found.append(outcome)
            if outcome in ("other", "refused"):
                break
        assert not found or found[-1] in ("other", "refused"), f"{key}: {found}"
