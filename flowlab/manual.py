"""What a person reads about studies: their keys with meaning, unit, default and range."""

from __future__ import annotations

import builtins
import inspect
import itertools
import re
import textwrap

from flowlab.runs.keys import Key, Scalar
from flowlab.runs.registry import find, studies
from flowlab.runs.schema import Study

WIDTH, INDENT = 110, 30


def help(name: object = None) -> None:
    """Print what a study is and what its keys mean; without a name, what studies there are.

    Args:
        name: of a study; anything else is handed to Python's own help.

    Raises:
        ValueError: for a study that does not exist, naming those that do.

    >>> help("ising-van")  # doctest: +ELLIPSIS
    ising-van: ...
      L = 8 ...
    """
    if name is None:
        print(listed())
    elif isinstance(name, str):
        print(described(find(name)))
    else:
        builtins.help(name)


def listed() -> str:
    """All studies, each with its summary, system by system."""
    lines: list[str] = []
    for _, group in itertools.groupby(studies().values(), lambda study: study.name.split("-")[0]):
        for study in group:
            lines += _entry(study.name, f"{study.summary}{' (a sweep)' * study.sweep}")
        lines.append("")
    return "\n".join([*lines, "flowlab help NAME, or fl.help(NAME), says what the keys of a study mean."])


def described(study: Study) -> str:
    """Name, summary, keys, other spellings and presets of a study, and what the paper says of them, as text."""
    lines = textwrap.wrap(f"{study.name}: {study.summary}", WIDTH)
    for paragraph in (inspect.getdoc(study.function) or "").partition("\nKeys:\n")[0].split("\n\n")[1:]:
        lines += ["", *textwrap.wrap(_plain(paragraph), WIDTH)]
    lines += ["", "keys:"]
    for key in study.keys:
        lines += _entry(f"{key.name} = {spelled(key.default)}", _sentence(key))
    lines += _entry("seed = 0", "of every random number (whole)")
    if study.aliases:
        lines += ["", "other spellings:"]
        lines += [f"  {alias}, in place of {key}" for alias, (key, _) in study.aliases.items()]
    lines += [f"give one of {' and '.join(group)}" for group in study.one_of]
    if study.presets:
        lines += ["", "presets:"]
    for name, values in study.presets.items():
        lines += _entry(f"preset={name}", " ".join(f"{key}={spelled(value)}" for key, value in values.items()))
    if study.stated:
        lines += ["", "what the paper says, where, and what it is here (docs/papers.md):"]
    literal = {preset for line in study.stated for preset in line.presets}
    for line in study.stated:
        of = "" if set(line.presets) == literal else f"{', '.join(line.presets)}: "
        lines += _entry(f"{of}{line.says}", f"{line.where} | {line.here()}")
    return "\n".join(lines)


def spelled(value: Scalar) -> str:
    """A value as it is given on the command line.

    >>> spelled(None), spelled(True), spelled(2.2691853142)
    ('none', 'True', '2.26919')
    """
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _sentence(key: Key) -> str:
    """Unit, meaning, and in brackets what it may be."""
    meaning = _plain(key.meaning.removesuffix("."))
    kinds = {int: "whole", float: "", bool: "true or false", str: ""}
    allowed = [", ".join(key.choices), "" if key.choices else kinds[key.type], key.range, "none" * key.optional]
    words = [f"[{key.unit}]" * bool(key.unit), meaning, f"({'; '.join(filter(None, allowed))})"]
    return " ".join(word for word in words if word not in ("", "()"))


def _plain(text: str) -> str:
    """Without the marks of reStructuredText."""
    return re.sub(r":\w+:`(?:[\w.]*\.)?(\w+)`|``(.*?)``", r"\1\2", text)


def _entry(left: str, right: str) -> list[str]:
    """A line, or a few, of two columns."""
    start, hanging = f"  {left:{INDENT - 2}s}", " " * INDENT
    if len(start) > INDENT:
        return [start, *textwrap.wrap(right, WIDTH, initial_indent=hanging, subsequent_indent=hanging)]
    return textwrap.wrap(right, WIDTH, initial_indent=start, subsequent_indent=hanging) or [start.rstrip()]
