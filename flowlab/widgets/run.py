"""What a panel asks of the run that it shows."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import xarray as xr


class Run(Protocol):
    """An Experiment as a panel sees it; see :class:`flowlab.training.experiment.Experiment`.

    A spin glass has ``temperatures`` and ``reference(T)`` too; a simulation has these, and no ``layers``.
    """

    step: int
    steps: int
    state: Literal["ready", "running", "paused", "stopped", "finished", "failed"]
    error: BaseException | None
    system: Any
    device: Any
    activity: str

    @property
    def steps_per_second(self) -> float: ...
    @property
    def seconds_left(self) -> float: ...
    @property
    def data(self) -> xr.Dataset: ...
    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop(self) -> None: ...
    def layers(self, n: int, *, seed: int) -> xr.Dataset: ...
    def at(self, **changes: Any) -> Run: ...
