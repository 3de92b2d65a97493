"""Every public function of the estimators is reached by the name that the docs use."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import flowlab as fl

INNER = {"comparison", "evidence", "starts"}  # parts of an evaluation and of a check, made of the estimators
MODULES = sorted({m.name for m in pkgutil.iter_modules(fl.estimators.__path__)} - INNER)


@pytest.mark.parametrize("name", MODULES)
def test_public_estimators_are_functions_of_the_package(name):
    module = importlib.import_module(f"flowlab.estimators.{name}")
    own = {n: f for n, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == module.__name__}
    for public, function in own.items():
        if not public.startswith("_") and "Estimate" in str(inspect.signature(function).return_annotation):
            assert getattr(fl.estimators, public, None) is function
    for clash in {name} & set(own):
        assert getattr(fl.estimators, clash) is own[clash], "a module stands where its function should"


def test_no_name_is_a_module():
    assert [name for name in fl.estimators.__all__ if inspect.ismodule(getattr(fl.estimators, name))] == []


def test_weights_go_by_name_everywhere():
    taking = [f for n in fl.estimators.__all__ if inspect.isfunction(f := getattr(fl.estimators, n))]
    kinds = [(f.__name__, inspect.signature(f).parameters) for f in taking]
    others = {name for name, p in kinds if "log_w" in p and next(iter(p)) != "log_w"}
    assert {"mean", "two_point", "reweighted", "spin_observables"} <= others
    for name, p in kinds:
        if name in others:
            assert p["log_w"].kind is inspect.Parameter.KEYWORD_ONLY, name


def test_the_mean_of_weighted_draws():
    f, log_w = np.random.default_rng(1).normal(size=(2, 100))
    assert fl.estimators.mean(f, log_w=log_w) == fl.estimators.reweighted(f, log_w=log_w)
    with pytest.raises(ValueError, match="shape"):
        fl.estimators.mean(f[:50], log_w=log_w)
