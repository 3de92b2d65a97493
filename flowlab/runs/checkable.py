"""What every run can be asked: whether an independent answer agrees with it."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import torch
import xarray as xr

from flowlab.analysis.checks.check import Drawn, Watch, check, drawn_from_density, verdict_attrs
from flowlab.core import Density, System, named_generator
from flowlab.core.numbers import seed_of, whole
from flowlab.runs.persistence import OnDisk
from flowlab.runs.precision import in_own_dtype
from flowlab.runs.process import torch_threads
from flowlab.storage.store import Store, StoreError


class Checkable(OnDisk):
    """The part of an Experiment that is checked by chains of the same system, and keeps what they found."""

    threads: int
    device: torch.device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self._checked: xr.Dataset | None = None

    @property
    @abstractmethod
    def system(self) -> System:
        """The physical system."""

    @property
    @abstractmethod
    def target(self) -> System:
        """What is sampled."""

    @property
    @abstractmethod
    def log_z_exact(self) -> float | None:
        """Exact ln Z of the system, None where none is known."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Attributes that every Dataset of this run carries."""

    def reading(self) -> tuple[int, Density]:
        """The step and a detached copy of the density; TypeError for a run that trains none."""
        raise TypeError(f"{type(self).__name__} trains no density")

    @in_own_dtype
    def check(
        self, seconds: float = 60.0, *, seed: int | None = None, n: int = 10_000, watch: Watch | None = None
    ) -> xr.Dataset:
        """What the run draws beside an independent answer: chains of the same system that began hot and cold.

        Clusters, parallel tempering, hybrid Monte Carlo or replica exchange (:func:`flowlab.mcmc.opposite.opposite`),
        until their errors are as small as the model's or the time ends. A row a quantity: ``value`` by importance
        weights, ``raw`` of the draws as they are, which show what weights hide, ``reference`` of the chains, each with
        its ``_error``; ``z`` and ``z_raw`` in errors; ``z_starts`` and ``r_hat`` say whether the chains have forgotten
        how they began. Also the total variation of P(m) and of the distribution of overlaps, and ``configuration``
        (draw, *dims), which later evaluations take as samples of the target. It is kept with the run as ``check.nc``.

        Args:
            seconds: time for the chains, at most.
            seed: of the draws and the chains, the run's own where not given.
            n: draws of the model.
            watch: called now and then with the table so far, None before there is one; where it returns False the
                check ends and judges what there is.

        Returns:
            Dataset; ``attrs["verdict"]`` begins with "consistent", "not to be trusted" or "not checked" and says why
            behind a colon, ``attrs["reasons"]`` has a sentence a line.

        Raises:
            ValueError: for a time that is not positive, or fewer than 2 draws.

        >>> from flowlab.runs import experiment
        >>> run = experiment("phi4-free", L=4, steps=10, batch=50)
        >>> run.check(0.1, n=1000).attrs["verdict"].split(":")[0] in ("consistent", "not to be trusted", "not checked")
        True
        """
        if not seconds > 0:
            raise ValueError(f"seconds must be positive, got {seconds}")
        seed = self.seed if seed is None else seed_of(seed)
        if (n := whole("the number of samples", n)) < 2:
            raise ValueError(f"a check needs at least 2 samples, got {n}")
        about = self.describe() | {"step": self.step, "seed": seed, "run_seed": self.seed, "thermalised": 0}
        try:
            step, drawn = self._draws(n, seed)
        except TypeError as error:
            return xr.Dataset(attrs=about | verdict_attrs("not checked", [str(error)]))
        with torch_threads(self.threads):
            about |= {"step": step, "n": len(drawn.configurations)}
            found = check(self.system, drawn, seconds, seed, about, self.log_z_exact, watch)
        self._checked = found
        try:
            if self._store is not None:
                self._store.write_dataset("check.nc", found)
            elif self.path is not None:
                self.keep(found, "check.nc")
        except StoreError as error:
            warnings.warn(f"the check is not kept: {error}", RuntimeWarning, stacklevel=2)
        return found

    @property
    def checked(self) -> xr.Dataset | None:
        """The newest :meth:`check` of this run, of whatever step; None where there is none."""
        if self._checked is None and self.path is not None:
            self._checked = Store.open(self.path, write=False).read_dataset("check.nc")
        return self._checked

    def _draws(self, n: int, seed: int) -> tuple[int, Drawn]:
        """The step, and n independent draws of what the run samples with."""
        step, density = self.reading()
        return step, drawn_from_density(
            density, self.target, n, named_generator(seed, "check", step, device=self.device)
        )

    def _checked_configurations(self) -> torch.Tensor | None:
        """Samples of the target that the newest check left, (m, *shape); None where its chains had not thermalised."""
        found = self.checked
        if found is None or "configuration" not in found or not found.attrs["thermalised"]:
            return None
        return torch.from_numpy(found["configuration"].values)
