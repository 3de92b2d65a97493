"""docs/benchmarks.md and the table of the README, made of benchmarks/results: no figure of them is typed.

python benchmarks/page.py [--check]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
README = HERE.parent / "README.md"
BEGIN, END = "<!-- systems: made by make bench-page -->\n\n", "\n<!-- end -->"
SHORT = ("your system", "study", "cpu s", "ESS", "acceptance", "ln Z - exact, in errors")
HEAD = """# Benchmarks

Made by `make bench-page` from `benchmarks/results/*.json`; `make bench` measures again. "cpu s" are seconds of the
processor on one thread while other jobs ran beside; one training seed each where no other number is given.
"""


def page(results: Path = HERE / "results") -> str:
    """The page: a section for every file of results."""
    parts = [HEAD]
    for path in sorted(results.glob("*.json")):
        parts += section(path.stem, json.loads(path.read_text(encoding="utf-8")))
    return "\n".join(parts)


def section(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one benchmark: what it is, where it ran, its tables."""
    yield f"## {found.get('title', name)}\n"
    yield f"`benchmarks/{name}.py`: {where(found['machine'])}\n"
    if "note" in found:
        yield f"{found['note']}\n"
    text, formats = list(found.get("text", [])), {n: spec for n, _, spec in found.get("columns") or [] if spec}
    if text:
        yield f"{text[0]}\n"
    for title, rows in tables(found.get("rows")):
        yield from table(title, rows, formats)
    for paragraph in text[1:]:
        yield f"{paragraph}\n"


def where(machine: Mapping[str, Any]) -> str:
    """The machine, the versions, the commit and the day, as far as they were noted."""
    said = [machine["cpu"], f"{machine['cores']} cores", f"Python {machine['python']}", f"torch {machine['torch']}"]
    said += [f"load {machine['load']:.1f}"] if "load" in machine else []
    said += [f"commit {machine['commit']}"] if machine.get("commit") else []
    said += [machine["date"]] if machine.get("date") else []
    return ", ".join(map(str, said))


def tables(rows: Any, title: str = "") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(title, rows) of every table in what a benchmark wrote; single numbers together make one."""
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        yield title, rows
    elif isinstance(rows, dict):
        single = {key: value for key, value in rows.items() if not isinstance(value, list | dict)}
        if single:
            yield title, [single]
        for key, value in rows.items():
            if isinstance(value, list | dict):
                yield from tables(value, f"{title} {key}".strip())


def table(title: str, rows: Sequence[Mapping[str, Any]], formats: Mapping[str, str]) -> Iterator[str]:
    """A table in Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row if not isinstance(row[name], list | dict)))
    names = [name for name in names if any(row.get(name) not in (None, "") for row in rows)]
    if title and title != "rows":
        yield f"{title}:\n"
    yield f"| {' | '.join(name.replace('|', chr(92) + '|').rstrip() for name in names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(cell(row.get(name), formats.get(name, '')) for name in names)} |"
    yield ""


def cell(value: Any, spec: str) -> str:
    """A value as it stands in the table: by the format of its column, else to four digits."""
    if value is None:
        return ""
    if isinstance(value, float) or (isinstance(value, int) and spec and not isinstance(value, bool)):
        return format(value, spec.lstrip("<>").lstrip("0123456789") if spec.startswith(("<", ">")) else spec or ".4g")
    return str(value).replace("|", "\\|")


def readme(text: str, results: Path = HERE / "results") -> str:
    """The README with the table of what one sampler a system gives."""
    path = results / "systems.json"
    if not path.exists():
        return text
    found = json.loads(path.read_text(encoding="utf-8"))
    formats = {name: spec for name, _, spec in found["columns"]}
    rows = [{name: f"`{row[name]}`" if name == "study" else row[name] for name in SHORT} for row in found["rows"]]
    before, after = text.split(BEGIN)[0], text.split(END, 1)[1]
    return "".join([before, BEGIN, *(f"{line}\n" for line in table("", rows, formats) if line), END, after])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether the page is that of the results")
    options = parser.parse_args()
    for path, made in ((PAGE, page()), (README, readme(README.read_text(encoding="utf-8")))):
        if not options.check:
            path.write_text(made, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != made:
            raise SystemExit(f"{path.name} is old: make bench-page")


if __name__ == "__main__":
    main()
