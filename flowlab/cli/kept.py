"""``flowlab ls``, ``show`` and ``compare``: runs as they lie on disk, which may be going elsewhere."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from flowlab.estimators import scalars
from flowlab.extras import told
from flowlab.runs.sweeps import draw, found_in
from flowlab.storage.shelf import Kept, kept_in, look
from flowlab.storage.store import Store, StoreError

EVALUATION, REPORT = "evaluation.nc", "report.html"


def add_to(commands: Any) -> None:
    """Add these commands to a parser's."""
    listing = commands.add_parser("ls", help="the runs in a folder: how far they are, how good, and when last written")
    listing.add_argument("dir", nargs="?", default=".", metavar="DIR", help="folder (default: this one)")
    listing.set_defaults(command=_list)

    showing = commands.add_parser("show", help="write a page about a run or a sweep, which opens without a network")
    showing.add_argument("dir", metavar="DIR", help="of the run or the sweep")
    showing.add_argument("--out", metavar="FILE", help=f"where to write it (default: {REPORT} in DIR)")
    showing.set_defaults(command=_show)

    comparing = commands.add_parser("compare", help="runs beside each other: keys that differ, bound, ESS, evaluations")
    comparing.add_argument("dirs", nargs="+", metavar="DIR", help="of two runs or more")
    comparing.set_defaults(command=_compare)


def state_of(kept: Kept) -> str:
    """What a run on disk is doing, in a word."""
    if kept.broken:
        return "broken"
    if kept.writing:
        return "running"
    return "finished" if 0 < kept.steps <= kept.step else "stopped" if kept.step else "ready"


def found_run(path: str | Path) -> Kept:
    """The run in a directory; StoreError where there is none that can be read."""
    if not (Path(path) / "experiment.json").exists():
        raise StoreError(f"there is no run in {path}: experiment.json is missing")
    found = look(Path(path))
    if found.broken:
        raise StoreError(found.broken)
    return found


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of words as lines, in columns.

    >>> aligned([["a", "1"], ["long", "20"]])
    ['a     1', 'long  20']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _list(options: argparse.Namespace) -> int:
    folder = Path(options.dir)
    if not folder.is_dir():
        raise StoreError(f"there is no folder {folder}")
    found = [look(folder)] if (folder / "experiment.json").exists() else kept_in(folder)
    if not found:
        print(f"no runs in {folder}")
        return 0
    rows = [["run", "study", "state", "step", "of", "ESS", "verdict", "written"]]
    for kept in found:
        name = str(kept.path.relative_to(folder.absolute())) if kept.path != folder.absolute() else str(folder)
        ess = "-" if math.isnan(kept.ess) else f"{kept.ess:.3g}"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.changed))
        rows.append(
            [
                name,
                kept.study or "by hand",
                state_of(kept),
                str(kept.step),
                str(kept.steps),
                ess,
                kept.verdict or "-",
                when,
            ]
        )
    print("\n".join(aligned(rows)))
    return 0


def _show(options: argparse.Namespace) -> int:
    with told("export"):
        from flowlab import figures
    path = Path(options.dir)
    out = Path(options.out) if options.out else path / REPORT
    if (path / "experiment.json").exists():
        kept = found_run(path)
        store = Store.open(path, write=False)
        data, evaluation = store.read_dataset("data.nc"), store.read_dataset(EVALUATION)
        data = data if data is None else store.read_records().dataset(data.attrs, map(str, data.data_vars))
        drawn = [] if data is None else [(f"The {data.sizes['step']} steps of the run.", _overview(figures, data))]
        title = f"{kept.study or 'run'}, step {kept.step} of {kept.steps}: {path.name}"
        figures.write_report(out, title=title, table=evaluation if evaluation is not None else (), figures=drawn)
    elif (path / "sweep.nc").exists():
        draw(found_in(path), out)
    else:
        raise StoreError(f"there is no run and no sweep in {path}")
    print(out)
    return 0


def _overview(figures: Any, data: xr.Dataset) -> Any:
    """The picture that fits what the run records."""
    if "log_z_bound" in data:
        return figures.training_overview(data)
    return figures.tempering_overview(data) if "replica" in data.dims else figures.chain_overview(data)


def _compare(options: argparse.Namespace) -> int:
    if len(options.dirs) < 2:
        raise ValueError("compare takes two runs or more")
    runs = [found_run(path) for path in options.dirs]
    metas = [Store.open(run.path, write=False).meta for run in runs]
    keys = [{"study": run.study} | run.keys | {"seed": meta.get("seed")} for run, meta in zip(runs, metas, strict=True)]
    rows = [["", *options.dirs]]
    for key in dict.fromkeys(key for each in keys for key in each):
        values = [str(each.get(key, "-")) for each in keys]
        if len(set(values)) > 1:
            rows.append([key, *values])
    if len(rows) == 1:
        rows.append(["keys", *["the same"] * len(runs)])
    rows.append(["state", *(f"{state_of(run)} at {run.step} of {run.steps}" for run in runs)])
    rows.append(["ESS of the last step", *("-" if math.isnan(run.ess) else f"{run.ess:.3g}" for run in runs)])
    rows.append(["verdict", *(run.verdict or "-" for run in runs)])
    print("\n".join(aligned(rows + _evaluated([run.path for run in runs]))))
    return 0


def _evaluated(paths: Sequence[Path]) -> list[list[str]]:
    """What evaluations that are kept with the runs say, each number with its error."""
    kept = [Store.open(path, write=False).read_dataset(EVALUATION) for path in paths]
    found = [{} if each is None else scalars(each) for each in kept]
    names = dict.fromkeys(name for each in found for name in each)
    shown = [name for name in names if not name.endswith("_error") or name.removesuffix("_error") not in names]
    return [[name, *(_number(each, name) for each in found)] for name in shown]


def _number(values: dict[str, float | None], name: str) -> str:
    value, error = values.get(name), values.get(f"{name}_error")
    if value is None:
        return "-"
    return f"{value:.6g}" if error is None else f"{value:.6g} +- {error:.2g}"
