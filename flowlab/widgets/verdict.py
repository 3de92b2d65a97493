"""Whether a run's numbers may be believed, in a line of its panel."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

import ipywidgets

from flowlab.runs.summary import judged
from flowlab.widgets.background import Background
from flowlab.widgets.words import AMBER, GREEN, ONE_LINE, RED, dot, explained

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

DRAWS = 4000
"""Draws of the evaluation that is judged."""
_DOT = {"consistent": GREEN, "not to be trusted": RED, "not checked": AMBER}


class VerdictLine:
    """The verdict on a run that stands still, worked out beside the panels; its evidence unfolds.

    Args:
        experiment: the run.
        wake: called when there is a verdict.
    """

    def __init__(self, experiment: Run, wake: Callable[[], None]) -> None:
        self.experiment = experiment
        self.widget = ipywidgets.HTML(layout={"min_height": "28px"})
        self._judged: Background[int, tuple[str, str]] = Background(lambda _: judged(experiment, DRAWS), wake)

    @property
    def known(self) -> bool:
        """Whether the verdict on the run as it is now is there."""
        return self.experiment.step > 0 and self._judged.is_ready(self.experiment.step)

    def update(self) -> bool:
        """Show what is known; whether there is more to come. The caller holds the panel's lock."""
        run = self.experiment
        if run.state in ("running", "paused"):
            self.widget.value = ""
            return True
        if run.step == 0:
            return False
        found, error = self._judged.ask(run.step), self._judged.error(run.step)
        if error is not None:
            self.widget.value = f"no verdict: {escape(str(error))}"
        elif found is None:
            self.widget.value = "drawing samples for a verdict …"
        else:
            self.widget.value = html(*found, run.step)
        return found is None and error is None


def html(verdict: str, reasons: str, step: int) -> str:
    """The verdict with a dot, all the evidence behind a click.

    >>> html("consistent: it agrees", "it agrees", 7).replace(ONE_LINE, "")[:50]
    "<details><summary style=''><span style='color:#4f8"
    """
    word, _, why = verdict.partition(": ")
    items = "".join(f"<li>{explained(escape(line))}</li>" for line in reasons.splitlines())
    line = f"{dot(_DOT.get(word, AMBER))} Verdict at step {step}: <b>{escape(word)}</b>: {explained(escape(why))}"
    return f"<details><summary style='{ONE_LINE}'>{line}</summary><ul>{items}</ul></details>"
