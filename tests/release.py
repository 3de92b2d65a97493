"""What must be so before a release: ``python -m tests.release 0.2.0`` says what is not, and how to go on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def missing(version: str, root: Path = ROOT) -> Iterator[str]:
    """What stands between the files of the repository and this version."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield f"a version is three numbers, as in 0.2.0, got {version!r}"
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if f"\n## {version}\n" not in changelog:
        yield f"CHANGELOG.md has no section {version}: rename Unreleased"
    if f"\nversion: {version}\n" not in (root / "CITATION.cff").read_text(encoding="utf-8"):
        yield f"CITATION.cff is of another version than {version}"
    if json.loads((root / "codemeta.json").read_text(encoding="utf-8"))["version"] != version:
        yield f"codemeta.json is of another version than {version}"
    if f'{{% set version = "{version}" %}}' not in (root / "recipe" / "meta.yaml").read_text(encoding="utf-8"):
        yield f"recipe/meta.yaml is of another version than {version}"


def main() -> int:
    version = sys.argv[1]
    found = list(missing(version))
    if subprocess.check_output(["git", "status", "--porcelain"], cwd=ROOT, text=True):
        found.append("there are changes that are not committed")
    if f"v{version}" in subprocess.check_output(["git", "tag"], cwd=ROOT, text=True).split():
        found.append(f"the tag v{version} is there already")
    print(*(f"- {line}" for line in found), sep="\n" if found else "")
    if found:
        return 1
    print(f"Ready. After make test, make docs and make package:\n  git tag -a v{version} -m 'flowlab {version}'")
    print(f"  git push origin v{version}   # the forge builds the site")
    print("  python -m twine upload build/package/*")
    return 0


if __name__ == "__main__":
    sys.exit(main())
