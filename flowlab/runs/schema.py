"""What a study is: a function whose signature is the schema of its keys."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowlab.runs.keys import (
    NOT_KEYS,
    Argument,
    Key,
    Scalar,
    Stated,
    arguments_of,
    converted,
    documented,
    grouped,
    key_of,
    refuse_idle,
    suggested,
)

Idle = Callable[[Mapping[str, Any]], Mapping[str, str]]


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
        stated: what the paper says of its presets, a line for every number, see :class:`flowlab.runs.keys.Stated`.
        without: keys that other studies have -> why this one has none, said where one is given.
        changed: presets that meant something else in earlier versions -> what to say when one is asked for.
        earlier: what runs were that were kept before a key existed, where that is not its default.
        own: defaults where several studies share a function; about: then, what this one is, in a line.
        fixed: values of arguments that are then no keys, where several studies share a function.
        sweep: whether it is many runs and returns a Dataset, see :func:`flowlab.sweep`.
        idle: all keys, and ``warm``, whether the run starts from another's weights -> those that have no effect among
            them, each with the reason, e.g. {"depth": "on independent bits"}; what is given nevertheless is refused.
    """

    name: str
    function: Callable[..., Any]
    aliases: Mapping[str, tuple[str, Callable[[float], float]]]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    one_of: tuple[tuple[str, ...], ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    sweep: bool = False
    earlier: Mapping[str, Any] = field(default_factory=dict)
    idle: Idle = lambda keys: {}
    stated: Sequence[Stated] = ()
    changed: Mapping[str, str] = field(default_factory=dict)
    without: Mapping[str, str] = field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, Scalar]:
        """Every key with its default."""
        return {name: argument.default for name, argument in self._arguments.items()} | dict(self.own)

    @property
    def hints(self) -> dict[str, Any]:
        """Every key with its type."""
        return {name: argument.hint for name, argument in self._arguments.items()}

    @property
    def keys(self) -> list[Key]:
        """Every key with its type, default, meaning, unit and range."""
        hints, said = self.hints, documented(self.function)
        return [key_of(name, hints[name], value, said.get(name)) for name, value in self.defaults.items()]

    @property
    def module(self) -> str:
        """The module that defines it, as another process imports it; "__main__" for a notebook or a prompt."""
        name = self.function.__module__
        main = sys.modules.get(name)
        if name not in ("__main__", "__mp_main__") or main is None:
            return name
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        return spec.name if spec is not None else Path(file).stem if file else "__main__"

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        return self.about or (inspect.getdoc(self.function) or "").split("\n")[0]

    @property
    def _arguments(self) -> dict[str, Argument]:
        own = {*NOT_KEYS, *self.fixed}
        return {name: found for name, found in arguments_of(self.function).items() if name not in own}

    def call(self, keys: Mapping[str, Any], **others: Any) -> Any:
        """What the function returns for all of its keys; ``others`` are what it takes besides."""
        return self.function(**grouped(self.function, {**keys, **self.fixed}), **others)

    def normalise(self, keys: Mapping[str, Any]) -> dict[str, Scalar]:
        """All keys of the study, the given ones as by ``given``, the others with their defaults."""
        return self.defaults | self.given(keys)

    def given(self, keys: Mapping[str, Any]) -> dict[str, Scalar]:
        """``keys`` checked and converted, with aliases and a preset resolved.

        Raises:
            ValueError: for a key that does not exist (with those that do), a value of the wrong type, or a key together
                with its alias.
        """
        hints, keys = self.hints, dict(keys)
        preset = keys.pop("preset", None) if self.presets else None
        if preset is not None:
            if preset not in self.presets:
                raise ValueError(
                    f"preset of {self.name} must be one of {', '.join(self.presets)}, got {preset!r}"
                    f"{suggested(str(preset), self.presets)}"
                )
            if preset in self.changed:
                told = f"preset={preset} of {self.name} is not what it was: {self.changed[preset]}"
                warnings.warn(told, DeprecationWarning, stacklevel=3)
            return {**self.presets[preset], **self.given(keys)}
        unknown = sorted(set(keys) - set(self.defaults) - set(self.aliases))
        if unknown:
            for name in unknown:
                if name in self.without:
                    raise ValueError(f"{self.name} has no key {name}: {self.without[name]}")
            known = [*self.defaults, *self.aliases]
            named = ", ".join(f"{name}{suggested(name, known)}" for name in unknown)
            raise ValueError(f"{self.name} has no key {named}; it has {', '.join(known)}")
        chosen: dict[str, Scalar] = {}
        for name, value in keys.items():
            key, convert = self.aliases.get(name, (name, None))
            if convert is not None:
                if key in keys:
                    raise ValueError(f"give {key} or {name}, not both")
                try:
                    value = convert(converted(name, value, float))
                except ArithmeticError:
                    raise ValueError(f"{name} gives no finite {key}, got {value!r}") from None
            try:
                chosen[key] = converted(key, value, hints[key])
            except ValueError as error:
                if convert is None:
                    raise
                raise ValueError(f"{name} gives {key} = {value:g}: {error}") from None
        for group in self.one_of:
            said = [key for key in group if chosen.get(key) is not None]
            if len(said) > 1:
                raise ValueError(f"give {' or '.join(said)}, not both")
            if said:
                chosen |= {key: None for key in group if key not in said}
        return chosen

    def refuse_idle(self, given: Mapping[str, Any], keys: Mapping[str, Any], *, warm: bool = False) -> None:
        """Refuse what was ``given`` and has no effect among all ``keys``.

        Raises:
            ValueError: for a value that is not the default, with the reason.
        """
        refuse_idle(given, keys, self.defaults, self.idle(dict(keys) | {"warm": warm}))

    def refuse_idle_everywhere(self, given: Sequence[Mapping[str, Any]], changes: Mapping[str, Any]) -> None:
        """Refuse keys that have an effect in none of several runs, and ``changes`` that have none in warm starts.

        Args:
            given: of each run.
            changes: keys that warm starts from them have instead.

        Raises:
            ValueError: as ``refuse_idle`` does.
        """
        for warm, more in ((False, {}), (True, dict(changes))):
            runs = [self.defaults | dict(keys) | more for keys in given]
            idle = [self.idle(keys | {"warm": warm}) for keys in runs]
            never = {key: why for key, why in idle[0].items() if all(key in each for each in idle)}
            for said, keys in zip(given, runs, strict=True):
                refuse_idle(more if warm else said, keys, self.defaults, never)
