"""What a panel asks of the run that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import xarray as xr

if TYPE_CHECKING:
    from flowlab.analysis.diagnosis import Part


class Run(Protocol):
    """An Experiment as a panel sees it; see :class:`flowlab.Experiment`.

    One that trains has ``density`` and ``target`` too; a spin glass has ``temperatures`` and ``reference(T)``; a
    simulation has these, and neither ``layers`` nor ``diagnose``.
    """

    step: int
    steps: int
    state: Literal["ready", "running", "paused", "stopped", "finished", "failed"]
    error: BaseException | None
    system: Any
    density: Any
    target: Any
    over: Mapping[str, tuple[float, float]]
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
    def layers(self, n: int | None = None, *, x: Any = None, z: Any = None, seed: int = 0) -> xr.Dataset: ...
    def reading(self) -> tuple[int, Any]: ...
    def sample(self, n: int, *, seed: int | None = None, held: Any = None, **at: float) -> xr.Dataset: ...
    def evaluate(self, n: int) -> xr.Dataset: ...
    def curve(self, *, n: int, held: Any = None, **grid: Any) -> xr.Dataset: ...
    def diagnose(self, n: int, *, parts: Sequence[Part]) -> xr.Dataset: ...
    def at(self, **changes: Any) -> Run: ...
