"""Configurations that were drawn once, found again by what they are of, in the run's own directory or one beside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from flowlab.core import System
from flowlab.storage.files import write_atomic
from flowlab.storage.identity import plain, system_identity
from flowlab.storage.netcdf import FOLDER, from_netcdf, to_netcdf


def content_name(system: System, content: Mapping[str, Any]) -> str:
    """The name of a file of configurations, by a checksum of the system, at whatever temperature, and the content.

    >>> from flowlab.systems import Ising
    >>> content_name(Ising((4, 4), T=2.0), {"seed": 1}) == content_name(Ising((4, 4), T=1.0), {"seed": 1})
    True
    """
    identity = system_identity(system)
    parts = ("couplings", "tensors")
    own = {name: value for name, value in identity.items() if name not in ("T", *parts)}
    own |= {part: {name: value for name, value in identity[part].items() if name != "T"} for part in parts}
    text = json.dumps(plain({"system": own, "content": content}), sort_keys=True)
    return f"tempering-{hashlib.sha256(text.encode()).hexdigest()[:20]}.nc"


class Samples:
    """One file of configurations, in ``samples/`` of a run.

    Args:
        run: directory of the run; those beside it are looked into too.
        name: of the file, which says what is in it: :func:`content_name`.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> Samples(folder / "first", "tempering-1.nc").write(xr.Dataset({"energy": 1.0}))
    >>> float(Samples(folder / "second", "tempering-1.nc").read().energy)
    1.0
    """

    def __init__(self, run: Path, name: str) -> None:
        self.run, self.name = run, name

    def read(self) -> xr.Dataset | None:
        """What was kept, None where there is none or it cannot be read."""
        for path in self._places():
            with contextlib.suppress(OSError, ValueError, KeyError):
                return from_netcdf(path.read_bytes(), path)
        return None

    def write(self, kept: xr.Dataset) -> None:
        """Keep it in the run, unless it or a run beside it has it; a directory that cannot be written is left."""
        if self._places():
            return
        for variable in kept.variables.values():
            if variable.dtype.kind in "iu" and variable.ndim:
                variable.encoding |= {"zlib": True, "complevel": 1}
        with contextlib.suppress(OSError):
            (self.run / FOLDER).mkdir(parents=True, exist_ok=True)
            write_atomic(self.run / FOLDER / self.name, to_netcdf(kept))

    def _places(self) -> list[Path]:
        own = self.run / FOLDER / self.name
        return [own] if own.exists() else sorted(self.run.parent.glob(f"*/{FOLDER}/{self.name}"))
