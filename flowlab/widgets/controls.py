"""The buttons and the status line of a run."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from math import isfinite
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from flowlab.figures.shared.bound import bound_per_site
from flowlab.figures.shared.style import number
from flowlab.widgets.words import AMBER, GREEN, RED, dot, explained, in_a_line, quiet

if TYPE_CHECKING:
    import xarray as xr

    from flowlab.widgets.run import Run

ENABLED = {
    "ready": {"Start"},
    "running": {"Pause", "Stop"},
    "paused": {"Resume", "Stop"},
    "stopped": {"Start"},
    "finished": set[str](),
    "failed": set[str](),
}
"""The buttons that make sense in each state of a run."""

WAITING = {"Pause": "pauses as soon as this step is done · ", "Stop": "stops as soon as this step is done · "}
"""What is said until a run has done as its buttons told it."""

WARM_UP = 5
"""Steps before time left is told: the first ones compile and prepare."""
_DOT = {"running": GREEN, "paused": AMBER, "failed": RED}


class RunControls:
    """Start, Pause, Resume and Stop for an Experiment, its progress, speed, bound and effective sample size.

    Args:
        experiment: the run, or None while there is none: all buttons are off.
        wake: called after a button has done its work.
        say: called with an exception that a button met.
        names: the buttons to show.

    Attributes:
        buttons: by name.
        status, numbers: two lines of text, the state and the figures.
    """

    def __init__(
        self,
        experiment: Run | None,
        *,
        wake: Callable[[], None],
        say: Callable[[BaseException], None],
        names: tuple[str, ...] = ("Start", "Pause", "Resume", "Stop"),
    ) -> None:
        self.experiment = experiment
        self._wake, self._say = wake, say
        self._asked = ""
        hints = {
            "Start": "train in the background up to the horizon",
            "Pause": "hold before the next step",
            "Resume": "go on with training",
            "Stop": "end after this step; the run can be started again",
        }
        self.buttons = {
            name: ipywidgets.Button(description=name, tooltip=hints[name], disabled=True, layout={"width": "76px"})
            for name in names
        }
        for name, button in self.buttons.items():
            button.on_click(lambda _, name=name: self.press(name))
        self.progress = ipywidgets.FloatProgress(min=0.0, max=1.0, layout={"width": "100%", "height": "18px"})
        self.status = ipywidgets.HTML("no run yet", layout={"margin": "0 0 0 12px", "flex": "1 1 0", "min_width": "0"})
        self.numbers = ipywidgets.HTML(layout={"min_height": "28px"})
        row = ipywidgets.HBox([*self.buttons.values(), self.status], layout={"align_items": "center", "width": "100%"})
        self.widget = ipywidgets.VBox([row, self.progress, self.numbers], layout={"width": "100%"})

    def press(self, name: str) -> None:
        """What a click on the button does."""
        try:
            if self.experiment is not None:
                getattr(self.experiment, name.lower())()
                self._asked = name
        except Exception as error:
            self._say(error)
        self._wake()

    def show(self, data: xr.Dataset) -> None:
        """Show the run's state and the last record of its ``data``. The caller holds the panel's lock."""
        if self.experiment is None:
            return
        waiting = WAITING.get(self._asked, "") if self.experiment.state == "running" else ""
        enabled = ENABLED[self.experiment.state] - ({self._asked} if waiting else set())
        for name, button in self.buttons.items():
            button.disabled = name not in enabled
        self.progress.value = min(1.0, self.experiment.step / max(1, self.experiment.steps))
        self.status.value = status_html(self.experiment, waiting)
        self.numbers.value = explained(numbers_html(data))


def status_html(experiment: Run, waiting: str = "") -> str:
    """State, step, speed, time left and device in a line; before them what a button that was pressed waits for."""
    state = experiment.state
    parts = [f"step {experiment.step:,} of {experiment.steps:,}".replace(",", "\u202f")]
    if isfinite(experiment.steps_per_second):
        parts.append(f"{experiment.steps_per_second:.3g} steps/s")
    if state in ("running", "paused") and experiment.step >= WARM_UP and isfinite(experiment.seconds_left):
        parts.append(f"{duration(experiment.seconds_left)} left")
    parts += [str(part) for part in (getattr(experiment, "device", ""), getattr(experiment, "activity", "")) if part]
    mark = dot(_DOT.get(state, "#8f9ba5"))
    return in_a_line(f"{mark} <b>{state}</b> · {waiting}{escape(' · '.join(parts))}", " · ".join(parts))


def numbers_html(data: xr.Dataset) -> str:
    """The mean bound of the last steps that measured it, the exact value and the effective sample size in a line.

    Of parallel tempering: the coldest energy, and how often a configuration has gone from cold to hot and back. Of
    other chains: energy or action, magnetization and acceptance.
    """
    if data.sizes["step"] == 0:
        return quiet("no steps yet")
    if "log_z_bound" not in data:
        tail = data.isel(step=slice(-20, None))
        if "temperature" not in data:
            names = {"energy_mean": "E/N", "action_mean": "S/N", "abs_magnetization": "|m|", "acceptance": "acceptance"}
            means = {name: float(tail[name].mean()) for name in names if name in tail}
            means = {
                name: mean / data.attrs["n_sites"] if name in ("energy_mean", "action_mean") else mean
                for name, mean in means.items()
                if isfinite(mean)
            }
            return " · ".join(f"{names[name]} = {number(mean, digits=4)}" for name, mean in means.items())
        energy = float(tail["energy_mean"].mean()) / float(data.attrs["n_sites"])
        coldest = number(float(data["temperature"].min()), digits=4)
        return f"E/N = {number(energy)} J at T = {coldest} · {float(tail['round_trips'][-1]):.0f} round trips"
    measured = data.isel(step=np.flatnonzero(np.isfinite(data["log_z_bound"].values))[-20:])
    if measured.sizes["step"] == 0 and "stage_ess" in data and np.isfinite(data["stage_ess"]).any():
        stage, ess = (float(value) for value in (data["stage"][-1], data["stage_ess"][-20:].mean()))
        return f"growing: smaller lattice {stage + 1:.0f} · ESS {number(ess, digits=3)}"
    if measured.sizes["step"] == 0:
        return quiet("no bound has been measured yet")
    bound = bound_per_site(measured)
    count = len(bound.value)
    error = float((bound.error**2).sum() ** 0.5 / count)
    text = f"{bound.name}: {number(float(bound.value.mean()), error)}"
    if isfinite(bound.exact):
        text += f" · exact {number(bound.exact, digits=6)}"
    text += f" · ESS {number(float(measured['ess'].mean()), digits=3)}"
    return f"{text} {quiet(f'(mean of {count} steps)')}"


def duration(seconds: float) -> str:
    """Time as people say it.

    >>> duration(4.2), duration(95), duration(7300)
    ('4 s', '1 min 35 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
