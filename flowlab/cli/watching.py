"""``flowlab watch``: runs that go somewhere, seen in a terminal from what they leave on disk."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flowlab.cli.kept import found_run, state_of
from flowlab.extras import told
from flowlab.storage.files import has_writer
from flowlab.storage.records import from_line
from flowlab.storage.shelf import directories_in, look
from flowlab.storage.store import Store, StoreError

BARS, PLAIN = "▁▂▃▄▅▆▇█", "_.-=+*#@"
FULL, EMPTY, FULL_PLAIN, EMPTY_PLAIN = "█", "░", "#", "."
WIDTH = 32
"""Characters of a curve."""
FEW = 3
"""So many runs have curves, more of them a line each."""
RECENT = 200
"""Records that the speed is taken from."""
HEADLINES = ("log_z_bound", "energy_mean", "action_mean")
SELDOM = ("experiment.json", "evaluation.nc", "check.nc")
"""What is read anew only where it was written anew."""
COLOURS = {"running": "green", "finished": "cyan", "broken": "red"}


def add_to(commands: Any) -> None:
    """Add this command to a parser's."""
    watching = commands.add_parser("watch", help="runs or a sweep live in this terminal, from what they leave on disk")
    watching.add_argument("dirs", nargs="+", metavar="DIR", help="of runs, sweeps or folders of runs")
    watching.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between two looks (default 1)")
    watching.add_argument("--once", action="store_true", help="look once and end, as where the output is no terminal")
    watching.set_defaults(command=_watch)


def sparkline(values: Sequence[float], width: int = WIDTH, marks: str = BARS) -> str:
    """A curve in a line: the mean of each part of the values, from the lowest mark to the highest.

    >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7], 4)
    '▁▃▆█'
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known):
        return ""
    parts = np.array([part.mean() for part in np.array_split(known, min(width, len(known)))])
    low, high = parts.min(), parts.max()
    scaled = np.zeros(len(parts)) if high == low else (parts - low) / (high - low)
    return "".join(marks[round(float(x) * (len(marks) - 1))] for x in scaled)


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(75.2), duration(4000), duration(float("nan"))
    ('1:15', '1:06:40', '-')
    """
    if not math.isfinite(seconds):
        return "-"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


class Followed:
    """A run on disk that is looked at again and again; only what is new in its journal is read.

    Args:
        path: its directory.

    Attributes:
        kept: what is known of it besides its records.
        step: of the newest record; writing: whether a process trains it.
        name: of what it is judged by, ``bound`` its values so far without NaN, ``ess`` those of the ESS.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.kept = path, found_run(path)
        self._journal = path / "journal.jsonl"
        self._attrs: dict[str, Any] = {}
        self._written: list[int] = []
        self._forget()
        self.look()

    def _forget(self) -> None:
        self._read = self.step = 0
        self.name, self.bound, self.ess = "", list[float](), list[float]()
        self._times: deque[tuple[int, float]] = deque(maxlen=RECENT)

    def look(self) -> None:
        """Read what is new."""
        with contextlib.suppress(OSError):
            written = [path.stat().st_mtime_ns for name in SELDOM if (path := self.path / name).exists()]
            if written != self._written:
                self.kept, self._written = look(self.path), written
        self.writing = has_writer(self.path / "lock")
        with contextlib.suppress(OSError):
            if self._journal.stat().st_size < self._read:
                self._forget()  # a step was undone, or the run went on from a checkpoint
            with self._journal.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.splitlines():
                with contextlib.suppress(ValueError):
                    self._take(from_line(line))
        if not self._attrs:
            with contextlib.suppress(StoreError, OSError, ValueError):
                data = Store.open(self.path, write=False).read_dataset("data.nc")
                self._attrs = {} if data is None else dict(data.attrs)

    def _take(self, record: dict[str, Any]) -> None:
        self.name = self.name or next((name for name in HEADLINES if name in record), "")
        for values, name in ((self.bound, self.name), (self.ess, "ess")):
            value = record.get(name, math.nan)
            if isinstance(value, int | float) and math.isfinite(value):
                values.append(float(value))
        self.step = int(record["step"])
        self._times.append((self.step, float(record.get("wall_time", math.nan))))

    @property
    def speed(self) -> float:
        """Steps a second of the last ones, NaN where it is not known."""
        if len(self._times) < 2:
            return math.nan
        (first, began), (last, ended) = self._times[0], self._times[-1]
        return (last - first) / (ended - began) if ended > began else math.nan

    @property
    def left(self) -> float:
        """Seconds to its end at this speed."""
        return (self.kept.steps - self.step) / self.speed if self.speed else math.nan

    @property
    def state(self) -> str:
        """In a word."""
        return state_of(replace(self.kept, step=self.step, writing=self.writing))

    def headline(self) -> str:
        """The newest bound or energy per site, beside the exact value where there is one."""
        n = float(self._attrs.get("n_sites", math.nan))
        if not self.bound:
            return ""
        if self.name != "log_z_bound":
            return f"{'E' if self.name == 'energy_mean' else 'S'} / N = {self.bound[-1] / n:.5f}"
        recent = float(np.mean(self.bound[-20:])) / n
        exact = self._attrs.get("log_z_exact")
        known = isinstance(exact, int | float) and math.isfinite(exact)
        return f"ln Z / N >= {recent:.5f}" + (f" (exact {float(exact) / n:.5f})" if known and exact is not None else "")


def _watch(options: argparse.Namespace) -> int:
    with told():
        from rich.console import Console
        from rich.live import Live
    if not options.every > 0:
        raise ValueError(f"--every must be positive, got {options.every:g}")
    for path in options.dirs:
        if not Path(path).is_dir():
            raise StoreError(f"there is no folder {path}")
    console = Console(highlight=False)
    followed: dict[Path, Followed] = {}
    if options.once or not sys.stdout.isatty():
        console.print(_view(_looked(options.dirs, followed), console), soft_wrap=True)
        return 0
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False, screen=False) as live:
        while True:
            runs = _looked(options.dirs, followed)
            live.update(_view(runs, console), refresh=True)
            if runs and all(run.state in ("finished", "broken") for run in runs):
                break
            time.sleep(options.every)
    return 0


def _looked(dirs: Sequence[str], followed: dict[Path, Followed]) -> list[Followed]:
    """The runs in these directories now, in the order of their names, each looked at once more."""
    paths: list[Path] = []
    for each in map(Path, dirs):
        if (each / "experiment.json").exists():
            paths.append(each)
        else:
            with contextlib.suppress(OSError):  # folders come and go
                paths += sorted(directories_in(each.absolute()))
    for path in paths:
        if path in followed:
            followed[path].look()
        else:
            with contextlib.suppress(StoreError):
                followed[path] = Followed(path)
    return [followed[path] for path in paths if path in followed]


def _view(runs: Sequence[Followed], console: Any) -> Any:
    """What is shown: runs with their curves, or a line for each where there are many."""
    from rich.console import Group
    from rich.text import Text

    if not runs:
        return Text("no runs yet")
    plain = console.options.ascii_only
    if len(runs) <= FEW:
        return Group(*(line for run in runs for line in _lines(run, plain)))
    states = [run.state for run in runs]
    counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return Group(Text(f"{len(runs)} runs: {counted}", style="bold"), *_rows(runs, plain))


def _lines(run: Followed, plain: bool) -> list[Any]:
    from rich.text import Text

    marks = PLAIN if plain else BARS
    title = Text.assemble((run.path.name, "bold"), f"  {run.kept.study or 'by hand'}  ")
    title.append(run.state, style=COLOURS.get(run.state, "yellow"))
    title.append(f"  {run.kept.verdict}" if run.kept.verdict else "")
    found = [title, Text(f"  {_bar(run, plain, WIDTH)}  {_progress(run)}")]
    if run.kept.broken:
        return [title, Text(f"  {run.kept.broken}", style="red")]
    words = f"ESS {run.ess[-1]:.3g}" if run.ess else ""
    for values, colour, said in ((run.bound, "cyan", run.headline()), (run.ess, "green", words)):
        if values:
            found.append(Text.assemble("  ", (sparkline(values, WIDTH, marks).ljust(WIDTH), colour), f"  {said}"))
    return found


def _rows(runs: Sequence[Followed], plain: bool) -> list[Any]:
    from rich.text import Text

    longest = max(len(run.path.name) for run in runs)
    rows = []
    for run in runs:
        row = Text(f"{run.path.name.ljust(longest)}  {_bar(run, plain, 12)}  ")
        row.append(run.state.ljust(8), style=COLOURS.get(run.state, "yellow"))
        curve = sparkline(run.ess or run.bound, 12, PLAIN if plain else BARS)
        row.append(f"  {run.step}/{run.kept.steps}  {curve.ljust(12)}")
        row.append(f"  ESS {run.ess[-1]:.3g}" if run.ess else "")
        row.append(f"  {duration(run.left)} left" if run.state == "running" else f"  {run.kept.verdict}")
        rows.append(row)
    return rows


def _bar(run: Followed, plain: bool, width: int) -> str:
    full, empty = (FULL_PLAIN, EMPTY_PLAIN) if plain else (FULL, EMPTY)
    done = min(width, width * run.step // max(1, run.kept.steps))
    return full * done + empty * (width - done)


def _progress(run: Followed) -> str:
    words = f"step {run.step} of {run.kept.steps}"
    if math.isfinite(run.speed):
        words += f", {run.speed:.3g} a second"
    return words + (f", {duration(run.left)} left" if run.state == "running" else "")
