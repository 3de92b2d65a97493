"""What to install where a package is missing that only some uses of flowlab need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

EXTRA = {
    "anywidget": "lab", "ipywidgets": "lab", "jupyterlab": "lab", "voila": "lab", "plotly": "export", "numba": "chains",
    "dask": "cluster", "distributed": "cluster", "dask_jobqueue": "cluster",
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
