"""What is installed, and what to install where a package is missing that only some uses of flowlab need."""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

EXTRA = {
    "anywidget": "lab", "ipywidgets": "lab", "jupyterlab": "lab", "voila": "lab", "plotly": "export",
    "zarr": "export", "kaleido": "export", "numba": "chains", "dask": "cluster", "distributed": "cluster",
    "dask_jobqueue": "cluster",
}  # fmt: skip
"""Package -> the extra of flowlab that brings it."""


@contextlib.contextmanager
def told(extra: str | None = None) -> Iterator[None]:
    """Within it, the import of a package that is missing says which extra brings it.

    Args:
        extra: that is wanted in any case; None for the one that brings the package.

    >>> with told():
    ...     raise ModuleNotFoundError("No module named 'ipywidgets'", name="ipywidgets")
    Traceback (most recent call last):
    ImportError: this needs ipywidgets: pip install 'flowlab[lab]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA:
            raise
        raise ImportError(
            f"this needs {package}: pip install 'flowlab[{extra or EXTRA[package]}]'", name=package
        ) from error


def installed(package: str = "flowlab") -> str:
    """Its version; "not installed" where it is not.

    >>> installed("no-such-package")
    'not installed'
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def show_versions() -> None:
    """Print the versions of flowlab, Python and every package that flowlab uses: for the report of a bug.

    >>> show_versions()  # doctest: +ELLIPSIS
    flowlab ...
    python ...
    machine ...
    anywidget ...
    """
    needed = requires("flowlab") if installed() != "not installed" else None
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed or ()} - {"flowlab"}
    rows = {"flowlab": installed(), "python": platform.python_version(), "machine": platform.platform()}
    rows |= {name: installed(name) for name in sorted(names, key=str.lower)}
    for name, value in rows.items():
        print(f"{name:24s} {value}")
