"""What flowlab brings along: ``python -m tests.audit`` lists the licences of all that it installs, and what is wrong.

Everything that flowlab and its extras need, and what that needs, must be pinned in constraints.txt, installed in that
version, and have a licence that allows to pass it on with a program under the MIT licence. Known faults are kept on
servers only, so that a tool of its own asks for them: ``pipx run pip-audit --no-deps -r constraints.txt``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ALLOWED = re.compile(
    r"(new |modified |simplified |2-clause |3-clause )?\b(mit|mit-0|mit-cmu|bsd|0bsd|isc|zlib|cc0|psf|bsl|hpnd)\b"
    r"|apache|python software foundation|\b(mpl|lgpl)\b|mozilla public|public domain|unlicense|historical permission",
    re.IGNORECASE,
)
FORBIDDEN = re.compile(r"(?<!l)gpl|affero|proprietary|non-?commercial|all rights reserved", re.IGNORECASE)
"""The GPL and its kin; the LGPL and the MPL ask for their own files only."""


def installed() -> dict[str, Distribution]:
    return {canonicalize_name(one.metadata["Name"]): one for one in distributions()}


def needed(root: str, extras: Iterable[str], among: dict[str, Distribution]) -> list[str]:
    """A distribution and all that it needs with these extras, here and on this Python."""
    found: set[tuple[str, str]] = set()
    ahead = [(root, extra) for extra in ("", *extras)]
    while ahead:
        name, extra = one = ahead.pop()
        if one in found or name not in among:
            found.add(one)
            continue
        found.add(one)
        for said in among[name].requires or []:
            asked = Requirement(said)
            if asked.marker is None or asked.marker.evaluate({"extra": extra}):
                ahead += [(canonicalize_name(asked.name), more) for more in ("", *asked.extras)]
    return sorted({name for name, _ in found} - {root})


def licence(one: Distribution) -> str:
    """In the words of its metadata: an expression, else its classifiers, else a line of text."""
    said = one.metadata
    kinds = [each.split(" :: ")[-1] for each in said.get_all("Classifier", []) if each.startswith("License ::")]
    first = (said.get("License") or "").strip().split("\n")[0]
    return said.get("License-Expression") or "; ".join(kinds) or first or "none"


def pinned(text: str) -> dict[str, str]:
    """The versions of constraints.txt by name."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def faults(names: Iterable[str], among: dict[str, Distribution], pins: dict[str, str]) -> Iterator[str]:
    for name in names:
        if name not in among:
            yield f"{name} is needed and not installed"
            continue
        found, wanted = among[name].version.partition("+")[0], pins.get(name)
        if found != wanted:
            yield f"{name} {found} is installed, " + (
                f"{wanted} was tested" if wanted else "and constraints.txt lacks it"
            )
        said = licence(among[name])
        if not ALLOWED.search(said) or FORBIDDEN.search(said):
            yield f"{name} has the licence {said!r}"


def main() -> int:
    among = installed()
    names = needed("flowlab", ["dev", "docs"], among)
    for name in names:
        if name in among:
            print(f"{name:32}{among[name].version:20}{licence(among[name])}")
    found = list(faults(names, among, pinned((ROOT / "constraints.txt").read_text(encoding="utf-8"))))
    print(*found, sep="\n", file=sys.stderr)
    print(f"{len(names)} packages, {len(found)} faults. Known faults: pipx run pip-audit --no-deps -r constraints.txt")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
