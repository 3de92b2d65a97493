"""Studies by name: typed keys in, an Experiment out."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import xarray as xr

from flowlab.core.generators import named_seed
from flowlab.core.made import CannotMake, describe, make
from flowlab.core.numbers import seed_of
from flowlab.hooks import providers
from flowlab.runs.keys import (
    NOT_KEYS,
    Scalar,
    Stated,
    arguments_of,
    check_function,
    suggested,
)
from flowlab.runs.precision import default_dtype, kept_in, undisturbed
from flowlab.runs.process import computing_on, fastest, kept_on
from flowlab.runs.run import Experiment
from flowlab.runs.schema import Idle, Study
from flowlab.storage.archive import unpacked
from flowlab.storage.described import described_twice, with_couplings
from flowlab.storage.identity import absolute
from flowlab.storage.inputs import with_contents
from flowlab.storage.store import Store, StoreError

LITTLE = 0.05
"""Of its parameters: a run that took over less than this from another is no warm start."""


_studies: dict[str, Study] = {}
_asked = False
"""Whether installed entry points have been looked for."""
OF_A_RUN, OF_A_SWEEP = ("seed", "warm"), ("seed", "out", "workers", "progress")
"""What the function of a study must take besides its keys."""


def imported(modules: Iterable[str]) -> None:
    """Import modules that a person named, which register studies of their own.

    Raises:
        ValueError: for a module that there is not, or a study that only a notebook has.
    """
    for module in modules:
        if module == "__main__":
            raise ValueError("a study of a notebook cell is known in that notebook only: write it into a module")
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            raise ValueError(f"there is no module {module} to import: is its folder in sys.path?") from None


def study(
    name: str,
    *,
    aliases: Mapping[str, tuple[str, Callable[[float], float]]] | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    one_of: tuple[tuple[str, ...], ...] = (),
    defaults: Mapping[str, Any] | None = None,
    about: str = "",
    earlier: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    idle: Idle = lambda keys: {},
    stated: Sequence[Stated] = (),
    changed: Mapping[str, str] | None = None,
    without: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Experiment]], Callable[..., Experiment]]:
    """Register a function of keyword arguments as a study, which ``experiment(name, ...)`` then builds.

    Its keyword arguments are the keys: each with a hint (int, float, bool, str, a ``Literal``, or one of them or None)
    and a default. The types of :mod:`flowlab.runs.keys` say the range of a key: ``steps: Count = 100``. Besides, it
    takes ``seed: int`` and ``warm: bool``, whether the run starts from the weights of another. The first line of its
    docstring says what it is, the section ``Keys:`` what each key means, one a line, with its unit if it has one. A
    dataclass as a hint stands for its fields: keys that several studies share. Runs of the study are loaded in another
    process once its module is imported there.

    Args:
        name: by which a person asks for it; the same function, run again in a notebook, takes its own place.
        aliases, presets, one_of, about, earlier, fixed, idle, stated, changed, without: see :class:`Study`.
        defaults: of keys, where several studies share a function.

    Raises:
        TypeError: for a function that cannot be a study; says what to write.
        ValueError: for a name that another study has.

    >>> import flowlab as fl
    >>> @fl.study("hot-ising")
    ... def hot_ising(*, L: int = 4, T: float = 5.0, steps: int = 20, seed: int = 0, warm: bool = False):
    ...     '''A masked autoregressive network at high temperature.
    ...
    ...     Keys:
    ...         L [sites]: side of the lattice.
    ...         T [J]: temperature.
    ...         steps: of training.
    ...     '''
    ...     density = fl.MADE((L, L), generator=fl.core.named_generator(seed, "weights"))
    ...     return fl.Training(fl.Ising((L, L), T), density, fl.ReverseKL(), steps=steps, batch=50,
    ...                        learning_rate=1e-2, seed=seed)
    >>> run = fl.experiment("hot-ising", T=4.0)
    >>> run.run(progress=False).sizes["step"], run.at(T=6.0).keys["T"]
    (20, 6.0)
    """

    def register(function: Callable[..., Experiment]) -> Callable[..., Experiment]:
        made = inspect.unwrap(function)
        own = dict(defaults or {})
        made_study = Study(
            name, made, dict(aliases or {}), dict(presets or {}), one_of, own, about,
            earlier=dict(earlier or {}), fixed=dict(fixed or {}), idle=idle,
            stated=tuple(stated), changed=dict(changed or {}), without=dict(without or {}),
        )  # fmt: skip
        _take_in(made_study, OF_A_RUN)
        return _checked(Study(name, made, {}, own=own if fixed else {}, fixed=dict(fixed or {})))

    return register


def sweep_study(
    name: str, *, idle: Idle = lambda keys: {}, without: Mapping[str, str] | None = None
) -> Callable[[Callable[..., xr.Dataset]], Callable[..., xr.Dataset]]:
    """Register a function that makes many runs and returns one Dataset; see :class:`Study`."""

    def register(function: Callable[..., xr.Dataset]) -> Callable[..., xr.Dataset]:
        _take_in(Study(name, function, {}, sweep=True, idle=idle, without=dict(without or {})), OF_A_SWEEP)
        return _checked(_studies[name])

    return register


def _take_in(study: Study, wanted: Sequence[str]) -> None:
    """Register a study whose name is free, or its own, and whose function takes what is ``wanted`` and keys."""
    check_function(study.name, study.function, study.own, wanted)
    _check_named(study)
    _look()
    other = _studies.get(study.name)
    if other is not None and _place(other.function) != _place(study.function):
        raise ValueError(
            f"there is a study {study.name!r} already, {other.function.__qualname__} of {other.function.__module__}: "
            "give this one another name"
        )
    _studies[study.name] = study


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    return function.__module__, function.__qualname__


def _check_named(study: Study) -> None:
    """Raise TypeError where what is said of keys names one that the function does not have."""
    named = {f"alias {alias}": [key] for alias, (key, _) in study.aliases.items()}
    named |= {f"preset {preset}": list(keys) for preset, keys in study.presets.items()}
    known = arguments_of(study.function)
    named |= {f"statement {line.says!r}": list(line.keys) for line in study.stated}
    named |= {"one_of": [key for group in study.one_of for key in group], "defaults": list(study.own)}
    for what, keys in named.items():
        unknown = [key for key in keys if key not in known]
        if unknown:
            raise TypeError(f"study {study.name!r}: {what} names {', '.join(unknown)}, which is no key of its function")


def _checked(study: Study) -> Callable[..., Any]:
    """The function of a study, for who calls it itself: its keys are checked first."""

    @functools.wraps(study.function)
    def call(**keys: Any) -> Any:
        others = {key: value for key, value in keys.items() if key in NOT_KEYS}
        given = study.normalise({key: value for key, value in keys.items() if key not in NOT_KEYS})
        return study.call(given, **others)

    return call


def studies() -> dict[str, Study]:
    """All studies by name."""
    _look()
    return dict(sorted(_studies.items()))


def _look() -> None:
    """Import what provides studies, once; a module that cannot be imported is tried again at the next look."""
    while providers:
        module = providers.pop(0)
        try:
            importlib.import_module(module)
        except BaseException:
            providers.insert(0, module)
            raise
    for entry in _installed():
        try:
            entry.load()
        except Exception as error:
            told = f"the studies of {entry.value}, an installed entry point, are left out: {error}"
            warnings.warn(told, RuntimeWarning, stacklevel=2)


def _installed() -> list[EntryPoint]:
    """Entry points of other packages with studies, at the first call only."""
    global _asked
    found = [] if _asked else list(entry_points(group="flowlab.studies"))
    _asked = True
    return found


def experiment(
    name: str, /, *, seed: int = 0, out: str | Path | None = None, resume: bool = False, **keys: Any
) -> Experiment:
    """The Experiment of a study.

    Args:
        name: of the study; ``flowlab list`` shows them all, :func:`flowlab.runs.studies` returns them.
        seed: of every random number of the run.
        out: directory to keep the run in; None for a run in memory only.
        resume: where ``out`` holds the run of these keys already, take it up there: a script that is run again goes on.
            A finished run that is given more ``steps`` is extended by what is missing.
        keys: of the study, e.g. ``L=8, T=2.3``; what is not given has the study's default.

    Raises:
        ValueError: for a study or a key that does not exist, naming those that do, a value out of its range, a key
            that has no effect among the others, or a seed that is not whole; where ``out`` holds a run of other keys.

    >>> run = experiment("ising-xor", L=4, T=2.3, steps=10, batch=50)
    >>> run.keys["L"], run.step
    (4, 0)
    """
    found = find(name)
    given = found.given(keys)
    found.refuse_idle(given, found.defaults | given)
    if resume and out is None:
        raise ValueError("resume goes on with the run in a directory: give out")
    if resume and out is not None and (absolute(out) / "experiment.json").exists():
        asked = found.defaults | given
        return going_on(name, out, {k: v for k, v in asked.items() if k != "steps" or k in given}, seed_of(seed))
    with _named(found, keys):
        all_keys, number = found.defaults | given, seed_of(seed)
        built = fastest(lambda: _build(name, all_keys, number), str(all_keys.get("device")))
    if out is not None:
        built.attach(out)
    return built


def going_on(
    name: str, out: str | Path, asked: Mapping[str, Any], seed: int | None, *, restart: bool = False
) -> Experiment:
    """The run of a study in directory ``out``, which must have the keys that are ``asked`` for and the ``seed``.

    One that is finished is extended where it is asked for more steps than it has, see :meth:`.Experiment.extend`.

    Raises:
        ValueError: where study, keys or seed differ, naming them.
        StoreError: as :func:`load` does.
    """
    run = load(out)
    if run.study != name:
        raise ValueError(f"{out} is a run of {run.study}, got {name}")
    kept = run.keys | {"seed": run.seed}
    asked = dict(asked) if seed is None else {**asked, "seed": seed}
    differ = [f"{key}={kept.get(key)}, not {v}" for key, v in asked.items() if key != "steps" and kept.get(key) != v]
    has = kept.get("steps", 0) + run.steps - run._steps_asked  # with what it was extended by
    steps = asked.get("steps", has)
    more = steps - has + run.steps - run.step if steps not in (kept.get("steps"), has) else 0
    if more and not (run.state == "finished" and steps > has):
        differ.append(f"steps={has}, not {steps} (only a finished run gets more)")
    if differ:
        raise ValueError(
            f"{out} holds a run with {', '.join(differ)}: give the keys that it was started with, or another out"
        )
    if more:
        run.extend(more, restart=restart)
    return run


def neighbour(
    run: Experiment, changes: Mapping[str, Any], *, copied: float | None = None, twice: bool = False
) -> Experiment:
    """The study of ``run`` again with some keys changed, which has ``run`` as its parent.

    A run that was built by hand is built again with other couplings or arguments, and with ``twice`` the side.

    Built as a warm start, unless the fraction of its parameters that are ``copied`` is less than 5 %. Its seed follows
    from the seed of ``run`` and the new keys, however they were spelled.
    """
    if run.study is None:
        return _neighbour_by_hand(run, changes, copied, twice)
    found = find(run.study)
    given = found.given(changes)
    keys = run.keys | given
    found.refuse_idle(given, keys, warm=copied is None or copied >= LITTLE)
    seed = named_seed(run.seed, run.study, *(f"{key}={value}" for key, value in sorted(keys.items()))) % 2**31
    parent = {"study": run.study, "keys": run.keys, "seed": run.seed, "step": run.step}
    chosen = None if "device" in changes else run.placed.get("chosen")
    with default_dtype(run.dtype), _named(found, changes), computing_on(chosen):
        return _build(run.study, keys, seed, parent if copied is None else parent | {"copied": copied})


def _neighbour_by_hand(run: Experiment, changes: Mapping[str, Any], copied: float | None, twice: bool) -> Experiment:
    """See :func:`neighbour`: all that ``run`` was built with is made again."""
    couplings = {name: float(value.detach()) for name, value in run.system.couplings.items()}
    seed = named_seed(run.seed, "by hand", *(f"{key}={value}" for key, value in sorted(changes.items()))) % 2**31
    arguments: dict[str, Any] = {"seed": seed} | {k: v for k, v in changes.items() if k not in couplings}
    if copied is not None and copied >= LITTLE:
        arguments = {"annealing": None, "stages": []} | arguments
    try:
        described = describe(run)
        described = with_couplings(described, couplings, {k: v for k, v in changes.items() if k in couplings})
        described = described_twice(described, run.system.shape) if twice else described
        names = inspect.signature(type(run)).parameters
        unknown = [key for key in changes if key not in couplings and key not in names]
        if unknown:
            raise ValueError(
                f"a run built by hand has no {', '.join(unknown)}: give its couplings {', '.join(couplings)}, or its "
                f"arguments {', '.join(names)}"
            )
        described["with"] |= {key: describe(value) for key, value in arguments.items() if key in names}
        with default_dtype(run.dtype):
            other: Experiment = make(described, functions=None)
    except CannotMake as error:
        raise ValueError(
            f"this run was built by hand and cannot be built again: {error}; build the other one by hand too, and call "
            "its density.warm_start(run.density)"
        ) from None
    other.parent = {"study": None, "keys": couplings, "seed": run.seed, "step": run.step}
    other.parent |= {} if copied is None else {"copied": copied}
    return other


def same_couplings(run: Experiment, changes: Mapping[str, Any]) -> dict[str, float]:
    """The couplings that the study of ``run`` found itself, as keys that were not given and that ``changes`` lacks.

    >>> run = experiment("phi4-multilevel", L=8)
    >>> same_couplings(run, {}), same_couplings(run, {"kappa": 0.3})
    ({'beta': 0.576}, {})
    """
    groups = () if run.study is None else find(run.study).one_of
    unsaid = [group[0] for group in groups if all(run.keys[key] is None and changes.get(key) is None for key in group)]
    return {name: float(getattr(run.system, name)) for name in unsaid}


def load(path: str | Path, *, imports: Sequence[str] = (), device: str | None = None) -> Experiment:
    """The run in directory ``path``, at its newest good checkpoint; the disk is left alone until it goes on.

    Args:
        path: of the run; or a file that ``run.export`` wrote, ``run.zip``, which is unpacked beside it into ``run``.
        device: where it goes on, e.g. "cpu" for a run of a machine with a GPU; by default where it was, or on the CPU
            where there is no such device here. On another kind of device its random numbers are others, which it says.
        imports: modules to import first, e.g. ``["my_module"]``, where the study is not flowlab's own. A directory
            never names code that is then run: without this, a study that is not known is refused.

    Raises:
        StoreError: where there is no run, or none of its checkpoints can be read.
        ValueError: for a study or a class that is not known, or a run built by hand of parts that cannot be made again;
            says what is missing.
    """
    imported(imports)
    path = unpacked(path)
    store = Store.open(path, write=False)
    meta = store.meta
    with computing_on(device or kept_on(meta)):
        run = _loaded(path, store, meta, imports)
    run.placed = meta["device"] if device is None and isinstance(meta.get("device"), dict) else {}
    return run


def _loaded(path: str | Path, store: Store, meta: dict[str, Any], imports: Sequence[str]) -> Experiment:
    if meta.get("study") is None:
        return _load_by_hand(path, store, imports)
    if not isinstance(meta.get("keys"), dict) or type(meta.get("seed")) is not int:
        raise StoreError(
            f"experiment.json of {path} must have keys and a whole seed: it was changed after it was written"
        )
    parent = meta.get("parent")
    if parent is not None and not (isinstance(parent, dict) and {"study", "seed", "step"} <= parent.keys()):
        raise StoreError(f"parent in experiment.json of {path} must be null or describe a run, got {parent!r}")
    _check_known(meta["study"], meta.get("module"))
    found = find(meta["study"])
    keys = found.normalise({**found.earlier, **with_contents(store.path, meta["keys"])})
    with default_dtype(kept_in(store)):
        run = _build(meta["study"], keys, meta["seed"], parent)
        run.restore(path)
    return run


def _load_by_hand(path: str | Path, store: Store, imports: Sequence[str]) -> Experiment:
    """See :func:`load`: the run is made again from what it was built with."""
    made = store.meta.get("made", {"missing": "it was kept by an earlier version, which did not note its parts"})
    try:
        if "missing" in made:
            raise CannotMake(made["missing"])
        with default_dtype(kept_in(store)):
            run = make(made, functions=imports)
    except CannotMake as error:
        raise ValueError(
            f"{path} was built by hand, not by a study, and cannot be built again: {error}; import what is missing, "
            f"e.g. with fl.load(path, imports=[...]), or build the run as it was and call restore({str(path)!r})"
        ) from None
    if not isinstance(run, Experiment):
        raise StoreError(f"made in experiment.json of {path} must describe a run: it was changed after it was written")
    run.parent = store.meta.get("parent")
    run.restore(path)
    return run


def _check_known(name: str, module: str | None) -> None:
    """Raise ValueError for the study of a run that this process does not know, with how to make it known."""
    if name in studies() or module is None:
        return
    if module == "__main__":
        raise ValueError(
            f"this run's study {name!r} was defined in a notebook or at a prompt: run that cell first, or write it "
            "into a module and import that"
        )
    raise ValueError(
        f"this run's study {name!r} is defined in {module}: import it first, with import {module}, "
        f"fl.load(path, imports=[{module!r}]), or --import {module} on the command line"
    )


def find(name: str) -> Study:
    """The study of that name; ValueError with the names that exist where there is none."""
    if str(name) not in studies():
        close = suggested(str(name), studies())
        raise ValueError(f"there is no study {name!r}{close}; there are {', '.join(studies())}")
    return studies()[name]


@contextlib.contextmanager
def _named(study: Study, keys: Mapping[str, Any]) -> Iterator[None]:
    """Within it, what is refused names the keys that were given, and the preset that would fit."""
    try:
        yield
    except ValueError as error:
        said = [*keys, *study.defaults]
        named = any(re.search(rf"\b{re.escape(key)}\b", str(error)) for key in said)
        given = "" if named or not keys else f"{study.name} with {', '.join(f'{k}={v}' for k, v in keys.items())}: "
        raise ValueError(f"{given}{error}{_other_preset(study, keys)}") from error


def _other_preset(study: Study, keys: Mapping[str, Any]) -> str:
    """Advice where a preset was given with a key that another preset is for."""
    values = study.presets.get(str(keys.get("preset")), {})
    changed = {key: value for key, value in keys.items() if key in values and str(value) != str(values[key])}
    for key, value in changed.items():
        fits = [name for name, other in study.presets.items() if str(other.get(key)) == str(value)]
        wanted = f", preset={fits[0]} for {key} = {value}" if fits else ""
        return f" (preset={keys['preset']} is for {key} = {values[key]}{wanted})"
    return ""


def _build(name: str, keys: dict[str, Scalar], seed: int, parent: dict[str, Any] | None = None) -> Experiment:
    found = find(name)
    if found.sweep:
        raise ValueError(f"{name} is not one run but many: use flowlab.sweep({name!r}), or flowlab sweep {name}")
    warm = parent is not None and parent.get("copied", 1.0) >= LITTLE
    with undisturbed():
        built = found.call(keys, seed=seed, warm=warm)
    if not isinstance(built, Experiment):
        raise TypeError(f"study {name!r} must return its run, e.g. a fl.Training, got {built!r}")
    built.study, built.module, built.keys, built.parent = name, found.module, keys, parent
    built.chosen = {key: value for key, value in keys.items() if value != found.defaults[key]}
    return built
