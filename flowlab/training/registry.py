"""Studies by name: typed keys in, an Experiment out."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import types
import typing
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from flowlab.core.generators import named_seed
from flowlab.training.dtypes import default_dtype, dtype_of
from flowlab.training.experiment import Experiment
from flowlab.training.store import Store, StoreError
from flowlab.training.whole import seed_of

Scalar = bool | int | float | str | None
NOT_KEYS = ("seed", "warm", "out", "workers", "progress")
"""Arguments of studies and of sweeps that are not keys."""
LITTLE = 0.05
"""Of its parameters: a run that took over less than this from another is no warm start."""


@dataclass(frozen=True)
class Study:
    """A function from keys to an Experiment, or to the Dataset of many, under the name by which a person asks for it.

    Attributes:
        name: e.g. "ising-xor".
        function: its keyword arguments are the keys, with types and defaults; besides, it takes ``seed`` and ``warm``,
            a sweep ``seed, out, workers`` and ``progress``.
        aliases: other spelling -> (key, conversion), e.g. beta -> (T, 1/beta).
        presets: name -> values of some keys, chosen together by ``preset=name``; what is given besides overrides them.
        one_of: groups of keys that say the same in other words, e.g. ("beta", "kappa"): to give one unsets the others.
        earlier: what runs were that were kept before a key existed, where that is not its default.
        own: defaults where several studies share a function; about: then, what this one is, in a line.
        sweep: whether it is many runs and returns a Dataset, see :func:`flowlab.sweep`.
    """

    name: str
    function: Callable[..., Any]
    aliases: Mapping[str, tuple[str, Callable[[float], float]]]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    one_of: tuple[tuple[str, ...], ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    sweep: bool = False
    earlier: Mapping[str, Any] = field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, Scalar]:
        """Every key with its default."""
        parameters = inspect.signature(self.function).parameters
        return {name: p.default for name, p in parameters.items() if name not in NOT_KEYS} | dict(self.own)

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        return self.about or (inspect.getdoc(self.function) or "").split("\n")[0]

    def normalise(self, keys: Mapping[str, Any]) -> dict[str, Scalar]:
        """All keys of the study, the given ones as by ``given``, the others with their defaults."""
        return self.defaults | self.given(keys)

    def given(self, keys: Mapping[str, Any]) -> dict[str, Scalar]:
        """``keys`` checked and converted, with aliases and a preset resolved.

        Raises:
            ValueError: for a key that does not exist (with those that do), a value of the wrong type, or a key together
                with its alias.
        """
        hints = typing.get_type_hints(self.function)
        keys = dict(keys)
        preset = keys.pop("preset", None) if self.presets else None
        if preset is not None:
            if preset not in self.presets:
                raise ValueError(f"{self.name} has the presets {', '.join(self.presets)}, got {preset!r}")
            return {**self.presets[preset], **self.given(keys)}
        unknown = sorted(set(keys) - set(self.defaults) - set(self.aliases))
        if unknown:
            known = ", ".join([*self.defaults, *self.aliases])
            raise ValueError(f"{self.name} has no key {', '.join(unknown)}; it has {known}")
        chosen: dict[str, Scalar] = {}
        for name, value in keys.items():
            key, convert = self.aliases.get(name, (name, None))
            if convert is not None:
                if key in keys:
                    raise ValueError(f"give {key} or {name}, not both")
                try:
                    value = convert(_converted(name, value, float))
                except ArithmeticError:
                    raise ValueError(f"{name} gives no finite {key}, got {value!r}") from None
            chosen[key] = _converted(key, value, hints[key])
        for group in self.one_of:
            said = [key for key in group if chosen.get(key) is not None]
            if len(said) > 1:
                raise ValueError(f"give {' or '.join(said)}, not both")
            if said:
                chosen |= {key: None for key in group if key not in said}
        return chosen


_studies: dict[str, Study] = {}


def study(
    name: str,
    *,
    aliases: Mapping[str, tuple[str, Callable[[float], float]]] | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    one_of: tuple[tuple[str, ...], ...] = (),
    defaults: Mapping[str, Any] | None = None,
    about: str = "",
    earlier: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Experiment]], Callable[..., Experiment]]:
    """Register a function of keyword arguments with defaults (JSON scalars) as a study; see :class:`Study`."""

    def register(function: Callable[..., Experiment]) -> Callable[..., Experiment]:
        own = dict(defaults or {})
        before = dict(earlier or {})
        _studies[name] = Study(
            name, function, dict(aliases or {}), dict(presets or {}), one_of, own, about, earlier=before
        )
        return function

    return register


def sweep_study(name: str) -> Callable[[Callable[..., xr.Dataset]], Callable[..., xr.Dataset]]:
    """Register a function that makes many runs and returns one Dataset; see :class:`Study`."""

    def register(function: Callable[..., xr.Dataset]) -> Callable[..., xr.Dataset]:
        _studies[name] = Study(name, function, {}, sweep=True)
        return function

    return register


def studies() -> dict[str, Study]:
    """All studies by name."""
    importlib.import_module("flowlab.studies")
    return dict(sorted(_studies.items()))


def experiment(name: str, /, *, seed: int = 0, out: str | Path | None = None, **keys: Any) -> Experiment:
    """The Experiment of a study.

    Args:
        name: of the study; ``flowlab list`` shows them all, :func:`flowlab.training.studies` returns them.
        seed: of every random number of the run.
        out: directory to keep the run in; None for a run in memory only.
        keys: of the study, e.g. ``L=8, T=2.3``; what is not given has the study's default.

    Raises:
        ValueError: for a study or a key that does not exist, naming those that do, or a seed that is not whole.

    >>> run = experiment("ising-xor", L=4, T=2.3, steps=10, batch=50)
    >>> run.keys["L"], run.step
    (4, 0)
    """
    built = _build(name, find(name).normalise(keys), seed_of(seed))
    if out is not None:
        built.attach(out)
    return built


def neighbour(run: Experiment, changes: Mapping[str, Any], *, copied: float | None = None) -> Experiment:
    """The study of ``run`` again with some keys changed, which has ``run`` as its parent.

    Built as a warm start, unless the fraction of its parameters that are ``copied`` is less than 5 %. Its seed follows
    from the seed of ``run`` and the new keys, however they were spelled.
    """
    if run.study is None:
        raise ValueError("this run was built by hand: build the other one by hand and density.warm_start(this one's)")
    keys = run.keys | find(run.study).given(changes)
    seed = named_seed(run.seed, run.study, *(f"{key}={value}" for key, value in sorted(keys.items()))) % 2**31
    parent = {"study": run.study, "keys": run.keys, "seed": run.seed, "step": run.step}
    with default_dtype(run.dtype):
        return _build(run.study, keys, seed, parent if copied is None else parent | {"copied": copied})


def same_couplings(run: Experiment, changes: Mapping[str, Any]) -> dict[str, float]:
    """The couplings that the study of ``run`` found itself, as keys that were not given and that ``changes`` lacks.

    >>> run = experiment("phi4-multilevel", L=8)
    >>> same_couplings(run, {}), same_couplings(run, {"kappa": 0.3})
    ({'beta': 0.576}, {})
    """
    groups = () if run.study is None else find(run.study).one_of
    unsaid = [group[0] for group in groups if all(run.keys[key] is None and changes.get(key) is None for key in group)]
    return {name: float(getattr(run.system, name)) for name in unsaid}


def load(path: str | Path) -> Experiment:
    """The run of a study in directory ``path``, at its newest good checkpoint; the disk is left alone until it goes on.

    Raises:
        StoreError: where there is no run, or none of its checkpoints can be read.
        ValueError: for a run that was built by hand.
    """
    store = Store.open(path, write=False)
    meta = store.meta
    if meta.get("study") is None:
        raise ValueError(f"{path} was built by hand, not by a study: build it again and restore({str(path)!r})")
    if not isinstance(meta.get("keys"), dict) or type(meta.get("seed")) is not int:
        raise StoreError(
            f"experiment.json of {path} must have keys and a whole seed: it was changed after it was written"
        )
    parent = meta.get("parent")
    if parent is not None and not (isinstance(parent, dict) and {"study", "seed", "step"} <= parent.keys()):
        raise StoreError(f"parent in experiment.json of {path} must be null or describe a run, got {parent!r}")
    found = find(meta["study"])
    keys = found.normalise({**found.earlier, **meta["keys"]})
    with default_dtype(_dtype(store)):
        run = _build(meta["study"], keys, meta["seed"], parent)
        run.restore(path)
    return run


def _dtype(store: Store) -> torch.dtype:
    """In which a run computes; earlier versions did not note it, and left it to be seen in the weights."""
    noted = store.meta.get("dtype")
    if noted is not None:
        try:
            return dtype_of(noted)
        except ValueError as error:
            raise StoreError(f"{error} in experiment.json of {store.path}") from None
    kept = store.load_checkpoint()
    weights = [] if kept is None else [w for name, w in kept.tensors.items() if name.startswith("density.")]
    sizes = Counter[torch.dtype]()
    for tensor in weights:
        sizes[tensor.dtype] += tensor.numel() if tensor.is_floating_point() else 0
    return sizes.most_common(1)[0][0] if sizes.total() else torch.get_default_dtype()


def find(name: str) -> Study:
    """The study of that name; ValueError with the names that exist where there is none."""
    if name not in studies():
        raise ValueError(f"there is no study {name!r}; there are {', '.join(studies())}")
    return studies()[name]


def _build(name: str, keys: dict[str, Scalar], seed: int, parent: dict[str, Any] | None = None) -> Experiment:
    found = find(name)
    if found.sweep:
        raise ValueError(f"{name} is not one run but many: use flowlab.sweep({name!r}), or flowlab sweep {name}")
    warm = parent is not None and parent.get("copied", 1.0) >= LITTLE
    built: Experiment = found.function(**keys, seed=seed, warm=warm)
    built.study, built.keys, built.parent = name, keys, parent
    return built


def _converted(key: str, value: Any, hint: Any) -> Any:
    """``value``, perhaps text from a command line, as the type ``hint``."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if type(None) in kinds and value in (None, "none", "None"):
        return None
    for kind in kinds:
        if kind is type(None):
            continue
        if kind is bool:
            words = {"true": True, "false": False, "1": True, "0": False}
            if isinstance(value, bool) or str(value).lower() in words:
                return value if isinstance(value, bool) else words[str(value).lower()]
        elif typing.get_origin(kind) is typing.Literal:
            if value in typing.get_args(kind):
                return value
        elif kind is str:
            return str(value)
        elif not isinstance(value, bool):
            with contextlib.suppress(TypeError, ValueError, OverflowError):
                number = float(value)
                if kind is float or number == int(number):
                    return kind(number)
    raise ValueError(f"{key} must be {_spelled(hint)}, got {value!r}")


def _spelled(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
    return " or ".join(names.get(kind) or _spelled(kind) for kind in kinds)
