"""Keys of studies: the values that one may have, from Python or as text from a command line."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import inspect
import math
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

MOST_THREADS = 1024
"""Threads that torch is asked for at most: thousands of them end the interpreter."""

NOT_KEYS = ("seed", "warm", "out", "resume", "workers", "progress")
"""Arguments of studies and of sweeps that are not keys."""

TRUTH = {"true": True, "false": False, "1": True, "0": False}


Scalar = bool | int | float | str | None


@dataclass(frozen=True)
class Range:
    """The numbers that a key may be.

    Attributes:
        words: finish the sentence "the key must ...".
        holds: whether a number is among them.
        infinite: whether it may be infinite.
        least, most: no number among them is smaller, or larger; None where there is no bound.
    """

    words: str
    holds: Callable[[float], bool]
    infinite: bool = False
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Takes:
    """How a key of text is made from what a person gives: ``Annotated[str, Takes(taken)]``.

    Attributes:
        taken: key, value -> text, perhaps a :class:`flowlab.core.types.Content`; ValueError where it is none. What
            it has returned it returns again.
    """

    taken: Callable[[str, Any], str]


@dataclass(frozen=True)
class Meaning:
    """What a key says and its unit, for a type that several studies share: ``Annotated[Count, Meaning("a side")]``."""

    text: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Key:
    """A key of a study, for help and for forms.

    Attributes:
        name: as it is given.
        type: int, float, bool or str.
        default: where it is not given.
        meaning, unit: from the study's docstring, or from a type that has a :class:`Meaning`.
        least, most: bounds of a number, None where there is none.
        choices: words of which it is one; empty where it is none of a few.
        optional: whether it may be None.
        range: of a number, in words, e.g. "at least 1".
    """

    name: str
    type: type
    default: Scalar
    meaning: str = ""
    unit: str = ""
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    range: str = ""


@dataclass(frozen=True)
class Stated:
    """One thing that a paper says of its runs, or leaves open, and how the presets of a study say it.

    Attributes:
        says: in words, with its numbers.
        where: section, table, figure or equation.
        keys: with the values that say it.
        presets: for which it holds.
        open: whether the paper leaves it open; then the keys are a choice of flowlab's.
        differs: what is not as the paper says, and why; empty where nothing is.
    """

    says: str
    where: str
    keys: Mapping[str, Scalar] = dataclasses.field(default_factory=dict)
    presets: tuple[str, ...] = ()
    open: bool = False
    differs: str = ""

    def here(self) -> str:
        """What it is in flowlab, in words.

        >>> Stated("Adam, rate .001", "G.4", {"lr": 1e-3}).here(), Stated("weights", "-", {}, open=True).here()
        ('lr = 0.001', 'left open')
        """
        said = ", ".join(f"{key} = {'none' if value is None else value}" for key, value in self.keys.items())
        words = [f"left open{': ' * bool(said)}{said}" if self.open else said]
        return "; ".join(filter(None, [*words, f"differs: {self.differs}" if self.differs else ""]))


Finite = Annotated[float, Range("be a finite number", lambda value: True)]
Positive = Annotated[float, Range("be positive", lambda value: value > 0, least=0)]
NotNegative = Annotated[float, Range("be 0 or more", lambda value: value >= 0, least=0)]
Fraction = Annotated[
    float, Range("lie in [0, 1], a fraction of the run", lambda value: 0 <= value <= 1, least=0, most=1)
]
Discarded = Annotated[
    float, Range("lie in [0, 1), a fraction of the run", lambda value: 0 <= value < 1, least=0, most=1)
]
Inside = Annotated[float, Range("lie between 0 and 1", lambda value: 0 < value < 1, least=0, most=1)]
Clip = Annotated[float, Range("be positive", lambda value: value > 0, infinite=True, least=0)]
"""A largest norm, infinite for none."""
Natural = Annotated[int, Range("be 0 or more", lambda value: value >= 0, least=0)]
Seed = Annotated[int, Range("be from 0 to 2^63 - 1", lambda value: 0 <= value < 2**63, least=0, most=2**63 - 1)]
Count = Annotated[int, Range("be at least 1", lambda value: value >= 1, least=1)]
Several = Annotated[int, Range("be at least 2", lambda value: value >= 2, least=2)]
Dimensions = Annotated[int, Range("be 1, 2 or 3", lambda value: 1 <= value <= 3, least=1, most=3)]
Odd = Annotated[int, Range("be odd, at least 1", lambda value: value >= 1 and value % 2 == 1, least=1)]
Window = Annotated[int, Range("be odd, at least 3", lambda value: value >= 3 and value % 2 == 1, least=3)]
Patience = Annotated[
    int, Range("be 0 (never stop early) or at least 2 steps", lambda value: value == 0 or value >= 2, least=0)
]
Threads = Annotated[
    int,
    Range(
        f"be from 0 (what torch has) to {MOST_THREADS}", lambda value: 0 <= value <= MOST_THREADS,
        least=0, most=MOST_THREADS,
    ),
]  # fmt: skip


LARGEST = 10**9
"""Of whole numbers whose range has no end of its own."""


def converted(key: str, value: Any, hint: Any) -> Any:
    """``value``, perhaps text from a command line, as the type ``hint`` and within its range.

    Raises:
        ValueError: where it is of another type or out of range; names the key.

    >>> converted("steps", "1e3", Count), converted("lr", "none", Positive | None)
    (1000, None)
    >>> converted("d", "2", typing.Literal[1, 2])
    2
    """
    kinds = kinds_of(hint)
    own = any(isinstance(note, Takes) for kind in kinds for note in _notes(kind))
    if getattr(value, "ndim", 0) and not own:
        raise ValueError(f"{key} must be {_spelled(hint)}, got an array")
    if type(None) in kinds and (value is None or (isinstance(value, str) and value in ("none", "None"))):
        return None
    for kind in kinds:
        takes = next((note for note in _notes(kind) if isinstance(note, Takes)), None)
        if takes is not None:
            return takes.taken(key, value)
        allowed, kind = range_of(kind), bare(kind)
        if kind is type(None):
            continue
        if kind is bool:
            if isinstance(value, bool) or str(value).lower() in TRUTH:
                return value if isinstance(value, bool) else TRUTH[str(value).lower()]
        elif typing.get_origin(kind) is typing.Literal:
            for word in typing.get_args(kind):
                if value == word or (isinstance(value, str) and value == str(word)):
                    return word
        elif kind is str:
            return str(value)
        elif not isinstance(value, bool):
            number = _number(value, kind)
            if number is None:
                continue
            if kind is int and number > LARGEST and (allowed is None or allowed.most is None):
                raise ValueError(f"{key} must be at most {LARGEST}, got {value}")
            if allowed is None or ((allowed.infinite or math.isfinite(number)) and allowed.holds(number)):
                return number
            words = allowed.words if math.isfinite(number) or allowed.infinite else "be a finite number"
            raise ValueError(f"{key} must {words}{', or none' if type(None) in kinds else ''}, got {value}")
    raise ValueError(f"{key} must be {_spelled(hint)}, got {value!r}{_suggested(value, _choices(hint))}")


def key_of(name: str, hint: Any, default: Scalar, documented: Meaning | None = None) -> Key:
    """What there is to know of a key.

    Args:
        name: of the key.
        hint: its type; a :class:`Meaning` in it holds where none is ``documented``.
        default: its value where it is not given.
        documented: what the study itself says of it.

    >>> key = key_of("steps", Annotated[Count, Meaning("horizon", "steps")] | None, None)
    >>> key.type.__name__, key.optional, key.least, key.meaning, key.unit, key.range
    ('int', True, 1, 'horizon', 'steps', 'at least 1')
    """
    kinds = [kind for kind in kinds_of(hint) if kind is not type(None)]
    allowed = next((note for kind in kinds if (note := range_of(kind))), None)
    shared = next((note for kind in kinds for note in _notes(kind) if isinstance(note, Meaning)), Meaning())
    plain = bare(kinds[0])
    meaning = shared if documented is None else documented
    return Key(
        name,
        type(typing.get_args(plain)[0]) if typing.get_origin(plain) is typing.Literal else plain,
        default,
        meaning.text,
        meaning.unit or shared.unit,
        least=allowed.least if allowed else None,
        most=allowed.most if allowed else None,
        choices=tuple(_choices(plain)),
        optional=type(None) in kinds_of(hint),
        range=re.sub("^(be|lie) ", "", allowed.words) if allowed else "",
    )


def documented(function: Callable[..., Any]) -> dict[str, Meaning]:
    """What the section ``Keys:`` of a study's docstring says, one key a line: ``L [sites]: side of the lattice.``

    >>> def study(*, L: int = 8, T: float = 2.0):
    ...     \"\"\"Spins.
    ...
    ...     Keys:
    ...         L [sites]: side of the lattice, which
    ...             is square.
    ...         T: temperature.
    ...     \"\"\"
    >>> documented(study)["L"], documented(study)["T"].text
    (Meaning(text='side of the lattice, which is square.', unit='sites'), 'temperature.')
    """
    section = (inspect.getdoc(function) or "").partition("\nKeys:\n")[2].partition("\n\n")[0]
    lines = re.split(r"\n(?=\S)", textwrap.dedent(section))
    found = {}
    for line in lines:
        if said := re.match(r"(\w+)(?: \[([^]]+)\])?:\s(.*)", line, re.DOTALL):
            found[said[1]] = Meaning(" ".join(said[3].split()), said[2] or "")
    return found


def check_function(name: str, function: Callable[..., Any], defaults: Mapping[str, Any], wanted: Sequence[str]) -> None:
    """Refuse a function that cannot be a study, with what to write.

    Args:
        name: of the study.
        function: its arguments but the ``wanted`` ones are the keys, all of them with hints and defaults.
        defaults: of keys besides.
        wanted: arguments that it must take, some of :data:`NOT_KEYS`.

    Raises:
        TypeError: for arguments that are missing, or are no keys.
        ValueError: for another name than letters, digits, - and dots.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"the name of a study is letters, digits, - and . as in 'my-study', got {name!r}")
    try:
        arguments = arguments_of(function)
    except NameError as error:
        raise TypeError(f"study {name!r}: a hint is not known where the function is defined: {error}") from None
    say = {"seed": "seed: int = 0", "warm": "warm: bool = False", "out": "out: str | Path | None = None"}
    say |= {"workers": "workers: int = 1", "progress": "progress: bool = True"}
    missing = [say[argument] for argument in wanted if argument not in arguments]
    if missing:
        raise TypeError(f"study {name!r} must take {' and '.join(missing)}: add it to its arguments")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"study {name!r}: {parameter} has no name that a person could give: name every key")
    for key, (hint, default, written) in arguments.items():
        if key in wanted:
            continue
        if key in NOT_KEYS:
            raise TypeError(f"study {name!r}: {key} cannot be a key, experiment() takes it: call it otherwise")
        if hint is inspect.Parameter.empty:
            raise TypeError(f"study {name!r}: key {key} needs a hint, e.g. {key}: float = 1.0")
        if not is_scalar(hint):
            raise TypeError(
                f"study {name!r}: the hint of key {key} must be int, float, bool, str, a Literal of them, or one "
                f"of these | None, so that JSON and a command line hold it, got {written}"
            )
        chosen = defaults.get(key, default)
        if chosen is inspect.Parameter.empty:
            raise TypeError(f"study {name!r}: key {key} needs a default, e.g. {key}: {written} = ...")
        try:
            converted(key, chosen, hint)
        except ValueError as error:
            raise TypeError(f"study {name!r}: the default of a key must fit its hint: {error}") from None


class Argument(NamedTuple):
    """What a function says of one of its arguments; ``inspect.Parameter.empty`` where it says nothing."""

    hint: Any
    default: Any
    written: str


def _words(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


@functools.cache  # keys are looked up many times in one build, and hints are slow to resolve
def arguments_of(function: Callable[..., Any]) -> Mapping[str, Argument]:
    """The arguments of a study by name; a dataclass, which several studies may share, stands for its fields.

    Raises:
        TypeError: for a name that is there twice.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Trained:
    ...     steps: int
    ...     batch: int = 100
    >>> def study(*, L: int = 8, training: Trained = Trained(steps=50), seed: int = 0): ...
    >>> {name: argument.default for name, argument in arguments_of(study).items()}
    {'L': 8, 'steps': 50, 'batch': 100, 'seed': 0}
    >>> grouped(study, {"L": 4, "steps": 20, "batch": 10})
    {'L': 4, 'training': Trained(steps=20, batch=10)}
    """
    hints, empty = typing.get_type_hints(function, include_extras=True), inspect.Parameter.empty
    found: list[tuple[str, Argument]] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if kind := _group(hints.get(name)):
            theirs = typing.get_type_hints(kind, include_extras=True)
            for one in dataclasses.fields(kind):
                own = Argument(theirs[one.name], getattr(parameter.default, one.name, empty), _words(one.type))
                found.append((one.name, own))
        else:
            found.append((name, Argument(hints.get(name, empty), parameter.default, _words(parameter.annotation))))
    if len(named := dict(found)) < len(found):
        twice = [name for name, _ in found if [name for name, _ in found].count(name) > 1]
        raise TypeError(f"{function.__qualname__} takes {twice[0]} twice")
    return types.MappingProxyType(named)


def grouped(function: Callable[..., Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """Keys by the names of :func:`arguments_of` as the function takes them, the fields of a dataclass in one of it."""
    keys = dict(keys)
    for name, kind in _groups(function).items():
        keys[name] = kind(**{one.name: keys.pop(one.name) for one in dataclasses.fields(kind)})
    return keys


@functools.cache
def _groups(function: Callable[..., Any]) -> dict[str, Any]:
    """The arguments that are dataclasses of keys, with their classes."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {name: kind for name in inspect.signature(function).parameters if (kind := _group(hints.get(name)))}


def _group(hint: Any) -> Any:
    """The dataclass that a hint is, None for any other."""
    return hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """The types of which ``hint`` allows one."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def is_scalar(hint: Any) -> bool:
    """Whether ``hint`` allows what JSON and a command line can hold, and nothing else.

    >>> is_scalar(Count | None), is_scalar(list[int])
    (True, False)
    """
    kinds = [bare(kind) for kind in kinds_of(hint)]
    words = [word for kind in kinds if typing.get_origin(kind) is typing.Literal for word in typing.get_args(kind)]
    plain = [kind for kind in kinds if typing.get_origin(kind) is not typing.Literal]
    return {*plain, *map(type, words)} <= {bool, int, float, str, type(None)}


def bare(kind: Any) -> Any:
    """A type without its range."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind


def range_of(kind: Any) -> Range | None:
    """The range of a type, None where it has none."""
    return next((note for note in _notes(kind) if isinstance(note, Range)), None)


def suggested(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'ising-xor'?)`` where a known name is close, else nothing.

    >>> suggested("ising_xor", ["ising-xor", "sk-xor"])
    " (did you mean 'ising-xor'?)"
    """
    spelled = {each.lower().replace("_", "-"): each for each in reversed(list(known))}
    close = difflib.get_close_matches(name.lower().replace("_", "-"), spelled, n=1, cutoff=0.7)
    return f" (did you mean {spelled[close[0]]!r}?)" if close else ""


def refuse_idle(
    given: Mapping[str, Any], keys: Mapping[str, Any], defaults: Mapping[str, Any], idle: Mapping[str, str]
) -> None:
    """Refuse what was ``given`` and has no effect among all ``keys``; ``idle`` says of a key why.

    Raises:
        ValueError: for a value that is not the default, with the reason.
    """
    for name in given:
        if name in idle and keys[name] != defaults[name]:
            raise ValueError(f"{name} has no effect {idle[name]}: leave it at {defaults[name]}, got {keys[name]}")


def _notes(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind)[1:] if typing.get_origin(kind) is Annotated else ()


def _number(value: Any, kind: type) -> Any:
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = float(value)
        if kind is float or number == int(number):
            return kind(value) if kind is int and isinstance(value, int) else kind(number)
    return None


def _spelled(hint: Any) -> str:
    kinds = [bare(kind) for kind in kinds_of(hint)]
    if len(kinds) == 1 and typing.get_origin(kinds[0]) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kinds[0])))
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
    return " or ".join(names.get(kind) or _spelled(kind) for kind in kinds)


def _choices(hint: Any) -> list[str]:
    return [str(word) for kind in kinds_of(hint) for word in typing.get_args(bare(kind))]


def _suggested(value: Any, known: list[str]) -> str:
    return suggested(value, known) if isinstance(value, str) and known else ""
