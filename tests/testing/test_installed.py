"""What comes with the package: laws to run, versions to report, types to check against, and a list for releases."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

import flowlab as fl
from flowlab import cli
from flowlab.testing import LawBroken, __main__
from tests import release

ROOT = Path(__file__).parents[2]


def test_a_broken_law_is_said_and_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise LawBroken("MADE: the inverse of f(z) is z")

    monkeypatch.setattr(__main__, "parts", lambda: {"Ising": lambda: None, "MADE": broken})
    assert __main__.main() == 1
    assert "MADE             BROKEN: MADE: the inverse" in capsys.readouterr().out
    monkeypatch.setattr(__main__, "parts", lambda: {"Ising": lambda: None})
    assert __main__.main() == 0
    assert "all laws hold" in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in __main__.parts() if name != "HMC"])
def test_shipped_parts_hold(name: str) -> None:
    __main__.parts()[name]()


def test_versions_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"flowlab {fl.__version__}\n"
    fl.show_versions()
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert said["flowlab"] == fl.__version__
    assert {"python", "machine", "torch", "xarray", "plotly"} <= set(said)


def test_the_recipe_needs_what_the_package_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    recipe = (ROOT / "recipe" / "meta.yaml").read_text(encoding="utf-8")
    for needed in project["dependencies"]:
        name, _, least = needed.replace("torch>", "pytorch>").partition(">=")
        assert f"    - {name} >={least}\n" in recipe


def test_a_release_wants_its_version_everywhere(tmp_path: Path) -> None:
    for name in ("CHANGELOG.md", "CITATION.cff", "codemeta.json", "recipe/meta.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    assert not list(release.missing("0.1.0", tmp_path))
    assert [line.partition(" ")[0] for line in release.missing("0.1.9", tmp_path)] == [
        "CHANGELOG.md", "CITATION.cff", "codemeta.json", "recipe/meta.yaml",
    ]  # fmt: skip
    assert next(release.missing("1.0", tmp_path)).startswith("a version is three numbers")
