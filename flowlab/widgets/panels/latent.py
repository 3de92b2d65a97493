"""The latents of a flow: what they know, and what one of them does to the sample."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flowlab.analysis.diagnosis import Part
from flowlab.figures import Figure, latent_flip, latent_overview
from flowlab.figures.latent import changed_spins, entropy_text
from flowlab.widgets.diagnosis import Diagnosis, lacks
from flowlab.widgets.panels.sampled import NARROW, ROW, SampledPanel, blank_layers
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, plot, strip, text
from flowlab.widgets.strip import Strip
from flowlab.widgets.words import quiet

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

MOST_FLIPS = 256
"""Flips that a saved lab holds, so that it stays small."""


class LatentPanel(SampledPanel):
    """A latent configuration and its sample: a click on a latent flips it, and shows which spins of the sample change;
    a drag flips all latents that it crosses.

    Beneath, the entropy of each latent given those before it, and what the first ones know of M and E.

    Args:
        experiment: the run; of a flow over spins on a lattice in the plane.
        n: how many samples are drawn.
        every: seconds between looks at a run that is being followed.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        data: the samples after each layer, None before the first.
        pair: the sample on show after each layer, without and with the flip; None before the first.
        flips: (y, x) of the latents that are flipped; flipped: the last of them, None for none.
        sample, x, y, flip, new_samples, follow: the controls.
        diagnosis: its ``data`` is what the lower picture shows.

    Raises:
        TypeError: where there is no flow, or no lattice.
    """

    title = "Latent"
    sentence = "Flip a latent, one of the numbers that go in, and see which spins of the sample change."

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return lacks(experiment, "response") is None

    def __init__(
        self, experiment: Run, *, n: int = 200, every: float = 3.0, publisher: Publisher | None = None
    ) -> None:
        missing = lacks(experiment, "response")
        if missing is not None:
            raise TypeError(f"the latents cannot be shown: {missing}")
        self.pair: xr.Dataset | None = None
        self.flips: list[tuple[int, int]] = []
        self._shown: list[tuple[int, int]] = []
        self._stroke = 0.0
        self._stale = True
        height, width = experiment.system.shape
        self.sample = _number(n, "sample", "130px")
        self.x, self.y = _number(width, "x", "90px"), _number(height, "y", "90px")
        self.flip = ipywidgets.Button(
            description="Flip", layout={"width": "76px"}, tooltip="flip the latent at x, y; once more takes it back"
        )
        super().__init__(experiment, n=n, every=every, publisher=publisher)
        parts: list[Part] = ["information"] if lacks(experiment, "entropy") else ["entropy", "information"]
        self.diagnosis = Diagnosis(experiment, parts, n=4000, wake=lambda: self.publisher.wake())
        self.profile = Plot(latent_overview(None))
        controls = [self.sample, self.x, self.y, self.flip, self.new_samples, self.follow]
        self.widget = ipywidgets.VBox(
            [
                ipywidgets.HBox(controls, layout=ROW),
                self.line,
                self.live.widget,
                self.profile.widget,
                self.message,
                self.diagnosis.line,
            ]
        )
        self.flip.on_click(lambda _: self.turn(self.y.value, self.x.value))
        self.sample.observe(self._ask, "value")

    def turn(self, y: int, x: int) -> None:
        """Flip the latent at column x of row y, instead of those before; take these back where it is one of them."""
        with self.lock:
            self.flips = [] if (y, x) in self.flips else [(y, x)]
            self.x.value, self.y.value = x, y
        self._ask()

    @property
    def flipped(self) -> tuple[int, int] | None:
        """(y, x) of the latent that was flipped last, None for none."""
        return self.flips[-1] if self.flips else None

    def figure(self) -> Figure:
        if self.pair is None:
            blank = blank_layers(self.experiment.system)
            return latent_flip(blank.isel(sample=[0, 0]))
        return latent_flip(self.pair, self._shown[-1] if self._shown else None)

    def view(self, figure: Figure) -> Strip:
        return Strip(figure, side=240, across=3, paints="dots", clicked=self._clicked)

    def describe(self) -> str:
        if self.pair is None or not self._shown:
            return "click on a latent, or choose x and y and flip it"
        return self._words(self.pair, self._shown)

    def _words(self, pair: xr.Dataset, flips: list[tuple[int, int]]) -> str:
        """What some flips change, as HTML."""
        y, x = flips[-1]
        changed = changed_spins(pair)
        which = f"latent x {x}, y {y}" if len(flips) == 1 else f"{len(flips)} latents"
        words = f"flipping {which} changes {int(changed.sum())} of {changed.size} spins"
        text = f"<b>{words}</b>"
        found, place = self.diagnosis.data, self._place(flips)
        if found is not None and place is not None:
            more = [f"place {place + 1} in the order of the base", entropy_text(found, place)]
            text += escape("".join(f" · {each}" for each in more if each))
        return text

    def arrived(self, data: xr.Dataset, *, first: bool) -> str:
        self.sample.max = data.sizes["sample"] - 1
        return ""

    def update(self) -> bool:
        more = super().update()
        if self._stale and self.data is not None:
            self._pass()
        if self.data is not None and self.diagnosis.look_up(self._drawn_step):
            self.draw()
        return more

    def page(self) -> list[Piece]:
        """Flips of the sample on show, recorded so that each can be clicked on, and what the latents know."""
        self.snapshot()
        if self.diagnosis.data is None:
            self.diagnosis.data = self.diagnosis.read()
        sites, at = recorded(*self.experiment.system.shape)
        z = self._latents()[None].repeat(len(sites) + 1, axis=0)
        for number, site in enumerate(sites, 1):
            z[(number, *site)] *= -1
        every = self.experiment.layers(z=z)
        pairs = [every.isel(sample=[0, number]) for number in range(len(sites) + 1)]
        lines = ["click on a latent to flip it, and once more to take that back"]
        lines += [self._words(pair, [site]) for pair, site in zip(pairs[1:], sites, strict=True)]
        figures = [latent_flip(pair, site) for pair, site in zip(pairs, [None, *sites], strict=True)]
        by = {"flip": len(figures)}
        flips = strip(*figures, by=by, side=300, across=3, picks=("flip", at.tolist()))
        return [text(*lines, by=by), flips, plot(latent_overview(self.diagnosis.data, None))]

    def snapshot(self) -> Figure:
        if self.data is None:
            self.sample_now()
        if self.pair is None:
            self._pass()
        return self.figure()

    def sample_now(self) -> None:
        super().sample_now()
        self._pass()

    @property
    def is_ready(self) -> bool:
        return self.pair is not None

    def draw(self, _: Any = None) -> None:
        if not self.is_ready:
            return
        with self.lock:
            super().draw()
            self.profile.redraw(latent_overview(self.diagnosis.data, self._place(self._shown)))

    def _pass(self) -> None:
        """Send the latents without and with the flip through the layers, both with the present weights."""
        assert self.data is not None
        with self.lock:
            self._stale = False
            flips, stroke = list(self.flips), self._stroke
            z = np.repeat(self._latents()[None], 2, axis=0)
        for site in flips:
            z[(1, *site)] *= -1
        pair = self.experiment.layers(z=z)
        with self.lock:
            if self._stale and self.pair is not None:
                return
            self.pair, self._shown = pair, flips
            self.live.widget.seen = stroke
            self.draw()

    def _latents(self) -> NDArray[Any]:
        """(y, x), those of the sample on show."""
        assert self.data is not None
        sample = min(self.sample.value, self.data.sizes["sample"] - 1)
        return np.asarray(self.data["field"].values[0, sample])

    def _place(self, flips: list[tuple[int, int]]) -> int | None:
        """Where the flipped latent comes in the order of the base."""
        found = self.diagnosis.data
        if found is None or len(flips) != 1:
            return None
        ((y, x),) = flips
        raster = y * self.experiment.system.shape[1] + x
        return int(np.flatnonzero(found["place"].values == raster)[0])

    def _clicked(self, point: dict[str, Any]) -> None:
        with self.lock:
            self._stroke = point.get("stroke", self._stroke)
            if len(point.get("sites", ())) < 2:
                self.turn(point["y"], point["x"])
                return
            self.flips = [(y, x) for x, y in point["sites"]]
            self.x.value, self.y.value = point["x"], point["y"]
        self._ask()

    def _ask(self, _: Any = None) -> None:
        with self.lock:
            self._stale = True
            self.line.value = quiet("working…")
        self.publisher.wake()


def recorded(height: int, width: int) -> tuple[list[tuple[int, int]], NDArray[np.int64]]:
    """The sites (y, x) whose flips are kept in a file, ``MOST_FLIPS`` at most, and which one, from 1, stands for each.

    >>> recorded(2, 2)[0], recorded(2, 2)[1].tolist()
    ([(0, 0), (0, 1), (1, 0), (1, 1)], [[1, 2], [3, 4]])
    >>> len(recorded(32, 32)[0]), recorded(32, 32)[1][31, 31]
    (256, np.int64(256))
    """
    apart = next(k for k in range(1, height * width + 1) if -(-height // k) * -(-width // k) <= MOST_FLIPS)
    rows, columns = range(0, height, apart), range(0, width, apart)
    y, x = np.indices((height, width)) // apart
    return [(row, column) for row in rows for column in columns], 1 + y * len(columns) + x


def _number(count: int, name: str, width: str) -> ipywidgets.BoundedIntText:
    """A box for a number from 0 to count - 1."""
    return ipywidgets.BoundedIntText(0, min=0, max=count - 1, description=name, style=NARROW, layout={"width": width})
