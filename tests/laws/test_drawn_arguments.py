"""Arguments drawn at random, two at a time: a constructor or a study takes them, or names one of them.

``FLOWLAB_EXAMPLES=100`` tries a hundred times as many.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flowlab as fl
from tests.laws.test_constructor_laws import CONSTRUCTORS, parameters
from tests.laws.test_key_laws import RUNS, small, studies

pytestmark = [pytest.mark.usefixtures("short_warm_up"), pytest.mark.filterwarnings("ignore")]

few = settings(
    max_examples=8 * int(os.environ.get("FLOWLAB_EXAMPLES", "1")),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# No number in between: a lattice of 10,000 sites a side is none of the wrong ones, and takes long.
WHOLE = st.integers(-2, 9) | st.just(2**62) | st.integers(2**62, 2**80) | st.integers(-(2**80), -(2**62))
NUMBERS = WHOLE | st.floats(-10.0, 10.0) | st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -0.0, 5e-324])
TEXTS = st.text(max_size=6) | st.binary(max_size=3)
ARRAYS = st.lists(st.floats(-2, 2), max_size=6).flatmap(
    lambda values: st.sampled_from([np.array(values), torch.tensor(values), np.array(values, dtype=bool)])
)
PLAIN = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    PLAIN | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(TEXTS | WHOLE, inner, max_size=2)
        | st.lists(WHOLE, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=5,
)


def drawn(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Values for one or two of the names."""
    some = st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)
    return some.flatmap(lambda chosen: st.fixed_dictionaries(dict.fromkeys(chosen, VALUES)))


def experiment(name: str, **keys: Any) -> fl.Experiment:
    """A small run of the study with those keys; without small ones of no effect, and without another coupling."""
    study, own = studies()[name], small(name)
    without = study.idle(study.defaults | own | {"warm": False}).keys() | (
        {"kappa", "beta"} if keys.keys() & {"kappa", "beta"} else set()
    )
    return fl.experiment(name, **{key: value for key, value in own.items() if key not in without} | keys)


def faults(make: Callable[..., Any], values: dict[str, Any]) -> Iterator[str]:
    """What goes wrong in another way than by a TypeError or ValueError that names one of the arguments."""
    try:
        make(**values)
    except (TypeError, ValueError) as error:
        if not re.search(rf"\b({'|'.join(values)})\b", str(error)):
            yield f"{values}: {type(error).__name__}: {error}"
    except Exception as error:
        yield f"{values}: {type(error).__name__}: {error}"


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructors_take_what_they_are_given_or_name_it(name: str) -> None:
    make, right = CONSTRUCTORS[name]

    @few
    @given(drawn(parameters(make)))
    def holds(values: dict[str, Any]) -> None:
        assert not [*faults(lambda **some: make(**right | some), values)]

    holds()


@pytest.mark.parametrize("name", RUNS)
def test_studies_take_what_they_are_given_or_name_it(name: str) -> None:
    keys = [key for key in studies()[name].defaults if key != "device"]

    @few
    @given(drawn(keys))
    def holds(values: dict[str, Any]) -> None:
        assert not [*faults(lambda **some: experiment(name, **some), values)]

    holds()


def test_what_names_nothing_is_found() -> None:
    """The control: a message from inside, an error of another kind."""

    def make(width: Any = 1, depth: Any = 1) -> torch.Tensor:
        return torch.zeros(width) if depth == 1 else {}[depth]

    assert not [*faults(make, {"width": 3})]
    assert "TypeError" in next(faults(make, {"width": "x"}))
    assert "KeyError" in next(faults(make, {"depth": 2}))
