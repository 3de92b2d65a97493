"""Lower bounds are read from pyproject.toml, and a package has one."""

from __future__ import annotations

import pytest

from tests.oldest import bounds


def test_every_package_of_an_installation_has_one_bound() -> None:
    lab, export = ["plotly>=6.0"], ["plotly>=6.0", "zarr>=3.0"]
    project = {"dependencies": ["numpy>=2.0"], "optional-dependencies": {"lab": lab, "chains": [], "export": export}}
    assert bounds(project) == {"numpy": "2.0", "plotly": "6.0", "zarr": "3.0"}
    project["optional-dependencies"]["export"] = ["plotly>=6.1"]  # type: ignore[index]
    with pytest.raises(SystemExit, match=r"plotly has two bounds, 6\.0 and 6\.1"):
        bounds(project)
