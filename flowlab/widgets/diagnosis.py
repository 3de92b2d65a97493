"""A diagnosis beside a panel, worked out in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ipywidgets
import xarray as xr

from flowlab.analysis.diagnosis import Part, refusal
from flowlab.widgets.background import Background
from flowlab.widgets.words import quiet, said, wrong

if TYPE_CHECKING:
    from flowlab.widgets.run import Run


class Diagnosis:
    """Parts of ``experiment.diagnose()``, as of a step of the run, in a thread of their own.

    Args:
        experiment: the run.
        parts: what is looked at.
        n: samples.
        wake: called when a diagnosis has come.

    Attributes:
        data: the newest, None before the first.
        line: what is being done, or went wrong.
    """

    def __init__(self, experiment: Run, parts: Sequence[Part], *, n: int, wake: Callable[[], None]) -> None:
        self.experiment, self.parts, self.n = experiment, list(parts), n
        self.data: xr.Dataset | None = None
        self.line = ipywidgets.HTML(quiet("diagnosis: working…"), layout={"min_height": "28px"})
        self._asked: int | None = None
        self._shown: int | None = None
        self._results: Background[int, xr.Dataset] = Background(lambda _: self.read(), wake)

    def read(self) -> xr.Dataset:
        """A diagnosis of the present weights; takes its time."""
        return self.experiment.diagnose(self.n, parts=self.parts)

    def look_up(self, step: int) -> bool:
        """Ask for the diagnosis of a step, once that of an earlier one is there; whether another has come."""
        if self._asked is None or (self._asked != step and self._results.is_ready(self._asked)):
            self._asked = step
            self._results.ask(step)
        if self._asked == self._shown or not self._results.is_ready(self._asked):
            if self._asked != self._shown:
                self._say(quiet("diagnosis: working…"))
            return False
        self._shown = self._asked
        error = self._results.error(self._asked)
        if error is not None:
            self._say(wrong(f"diagnosis: {said(error)}"))
            return False
        self.data = self._results.ask(self._asked)
        assert self.data is not None
        self._say(quiet(f"diagnosis from {self.n} samples at step {self.data.attrs.get('step', step)}"))
        return True

    def _say(self, html: str) -> None:
        if self.line.value != html:
            self.line.value = html


def lacks(experiment: Run, part: Part) -> str | None:
    """Why a run cannot have a part of the diagnosis, None where it can.

    >>> from types import SimpleNamespace
    >>> lacks(SimpleNamespace(system=None), "response")
    'response needs a density and its flow, got a run that trains none'
    """
    density, target = getattr(experiment, "density", None), getattr(experiment, "target", None)
    if density is None or target is None:
        return f"{part} needs a density and its flow, got a run that trains none"
    return refusal(part, density, target)
