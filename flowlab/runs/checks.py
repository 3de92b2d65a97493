"""The checks of a run by an independent answer, the newest of which is kept with it."""

from __future__ import annotations

import warnings

import torch
import xarray as xr

from flowlab.analysis.checks.check import Watch, check, verdict_attrs
from flowlab.core.numbers import seed_of, whole_number
from flowlab.runs.kind import KindOfRun
from flowlab.runs.process import torch_threads
from flowlab.storage.directory import Directory
from flowlab.storage.store import StoreError


class Checks:
    """Checks of what a run draws by chains of the same system.

    Args:
        run: what is checked.
        directory: where the newest one is kept, as ``check.nc``.
    """

    def __init__(self, run: KindOfRun, directory: Directory) -> None:
        self._run, self._directory = run, directory
        self._newest: xr.Dataset | None = None

    def make(self, seconds: float, seed: int | None, n: int, watch: Watch | None) -> xr.Dataset:
        """See :meth:`flowlab.Experiment.check`."""
        run = self._run
        if not seconds > 0:
            raise ValueError(f"seconds must be positive, got {seconds}")
        seed = run.seed if seed is None else seed_of(seed)
        if (n := whole_number("the number of samples", n)) < 2:
            raise ValueError(f"a check needs at least 2 samples, got {n}")
        about = run.describe() | {"step": run.step, "seed": seed, "run_seed": run.seed, "thermalised": 0}
        try:
            step, drawn = run._draws(n, seed)
        except TypeError as error:
            return xr.Dataset(attrs=about | verdict_attrs("not checked", [str(error)]))
        with torch_threads(run.threads):
            about |= {"step": step, "n": len(drawn.configurations)}
            found = check(run.system, drawn, seconds, seed, about, run.log_z_exact, watch)
        self._newest = found
        try:
            if self._directory.path is not None:
                self._directory.write("check.nc", found)
        except StoreError as error:
            warnings.warn(f"the check is not kept: {error}", RuntimeWarning, stacklevel=4)
        return found

    @property
    def newest(self) -> xr.Dataset | None:
        """The newest one, of whatever step; None where there is none."""
        if self._newest is None:
            self._newest = self._directory.read("check.nc")
        return self._newest

    def configurations(self) -> torch.Tensor | None:
        """Samples of the target that the newest one left, (m, *shape); None where its chains had not thermalised."""
        found = self.newest
        if found is None or "configuration" not in found or not found.attrs["thermalised"]:
            return None
        return torch.from_numpy(found["configuration"].values)
