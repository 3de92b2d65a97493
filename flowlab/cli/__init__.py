"""``flowlab``: list the studies, run one, sweep its keys, watch and evaluate runs, open the tutorials."""

from __future__ import annotations

import argparse
import codecs
import csv
import importlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from flowlab import manual
from flowlab.analysis.integration import IntegrationWarning
from flowlab.cli import kept, watching
from flowlab.estimators import columns, scalars
from flowlab.estimators.weights.evidence import shown
from flowlab.exports import write_ensemble
from flowlab.extras import installed, told
from flowlab.runs import Experiment, experiment, studies
from flowlab.runs.keys import Finite, converted
from flowlab.runs.process import ProcessEnded
from flowlab.runs.registry import find, going_on, imported
from flowlab.runs.sweeps import draw, sweep
from flowlab.runs.sweeps.workers import SweepError
from flowlab.storage.files import saving, write_atomic
from flowlab.storage.netcdf import from_netcdf, to_netcdf
from flowlab.storage.store import StoreError, versions
from flowlab.studies.papers.figures import FIGURES
from flowlab.studies.papers.reproduction import reproduce

_STRICT = "exit with 3 where the verdict is that the numbers are not to be trusted"
_TOGETHER = "that share each batch on this machine, a core each; the numbers are those of one (default 1)"
_SWEPT = ("state", "steps", "log_z", "log_z_error", "log_z_bound", "log_z_exact", "ess", "gap", "verdict")
"""What ``flowlab sweep`` prints of every run."""
MOST_VALUES = 100_000
"""Of a key, as first..last."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command line; returns the exit status."""
    _spell_out(sys.stdout, sys.stderr)
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if getattr(options, "imports", None):
            sys.path.insert(0, os.getcwd())  # as python -m does
            imported(options.imports)
        status = int(options.command(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # who read it has seen enough, e.g. head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except (ValueError, FloatingPointError, StoreError, SweepError, ProcessEnded, OSError, ImportError) as error:
        print(f"flowlab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("flowlab: interrupted", file=sys.stderr)
        return 130


SPELLED = {"±": "+-", "×": "x", "≥": ">=", "≤": "<=", "–": "-", "−": "-", "…": "...", "⁴": "^4", "²": "^2"}
"""Signs for a terminal that lacks them, besides Greek letters, whose names do."""


def _spell_out(*streams: Any) -> None:
    """Let what is printed in another encoding than UTF-8 say in other words what that lacks."""

    def spelled(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        return "".join(map(_spelled, error.object[error.start : error.end])), error.end

    codecs.register_error("flowlab", spelled)
    for stream in streams:
        if "utf" not in str(getattr(stream, "encoding", "utf")).lower() and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="flowlab")


def _spelled(sign: str) -> str:
    name = unicodedata.name(sign, "")
    if name.startswith("GREEK") and " LETTER " in name:
        return name.split(" LETTER ")[1].split()[0].lower()
    plain = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return SPELLED.get(sign) or plain or "?"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flowlab", description="Samplers with exact likelihoods for lattice models.")
    parser.add_argument("--version", action="version", version=f"flowlab {installed()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="the studies, a sentence each")
    listing.add_argument("--keys", action="store_true", help="with their keys, defaults and presets")
    listing.set_defaults(command=_list)

    helping = commands.add_parser("help", help="what a study is, and what its keys mean: flowlab help ising-xor")
    helping.add_argument("study", nargs="?", help="name of a study; without one, what studies there are")
    helping.set_defaults(command=_help)

    run = _run_parser(commands)

    sweeping = _sweep_parser(commands)

    evaluate = commands.add_parser("evaluate", help="free energy and observables of a run, with errors")
    evaluate.add_argument("dir", metavar="DIR")
    evaluate.add_argument("keys", nargs="*", metavar="coupling=value", help="of a run over a range: where in it")
    evaluate.add_argument("-n", type=int, default=10_000, metavar="N", help="number of samples (default 10000)")
    evaluate.add_argument("--seed", type=int, metavar="K", help="of the samples (default: the run's own)")
    evaluate.add_argument("--processes", type=int, default=1, metavar="N", help=_TOGETHER)
    evaluate.add_argument("--json", action="store_true", help="print one flat JSON object")
    evaluate.add_argument("--strict", action="store_true", help=_STRICT)
    evaluate.set_defaults(command=_evaluate)

    sampling = _sample_parser(commands)

    checking = commands.add_parser("check", help="a run beside chains of the same system that began hot and cold")
    checking.add_argument("dir", metavar="DIR")
    checking.add_argument("--seconds", type=float, default=60.0, metavar="S", help="time for the chains (default 60)")
    checking.add_argument("--seed", type=int, metavar="K", help="seed of draws and chains")
    checking.add_argument("--json", action="store_true", help="print one JSON object")
    checking.add_argument("--strict", action="store_true", help=_STRICT)
    checking.set_defaults(command=_check)

    named = "import this module first, for the studies that it defines; may be given several times"
    for command in (listing, helping, run, sweeping, evaluate, sampling, checking):
        command.add_argument("--import", dest="imports", action="append", metavar="MODULE", help=named)

    again = commands.add_parser("reproduce", help="figures of the papers, run again: flowlab reproduce 004 --figure 4")
    again.add_argument("paper", nargs="?", metavar="PAPER", help="003 or 004; without it, what there is")
    again.add_argument("--figure", metavar="N", help="of the paper: 4, or table3")
    again.add_argument("--scale", default="smoke", choices=("smoke", "figures", "paper"), help="(default: smoke)")
    again.add_argument("--arms", nargs="+", default=(), metavar="NAME", help="run these only, e.g. RiGCS HAN")
    again.add_argument("--sides", nargs="+", type=int, default=(), metavar="L", help="run these only")
    again.add_argument("--workers", type=int, default=1, metavar="N", help="processes side by side (default 1)")
    again.add_argument("--out", default="runs/papers", metavar="DIR", help="of the runs; taken up where it has some")
    again.add_argument("--results", default="notebooks/results", metavar="DIR", help="for PAPER-FIGURE-SCALE.nc")
    again.add_argument("--quiet", action="store_true", help="no progress")
    again.set_defaults(command=_reproduce)

    watching.add_to(commands)
    kept.add_to(commands)

    lab = commands.add_parser("lab", help="open JupyterLab, on this machine only and with a token")
    lab.add_argument("dir", nargs="?", metavar="DIR", help="folder to open (default: the tutorials, else this folder)")
    lab.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    lab.set_defaults(command=_lab)

    app = commands.add_parser("app", help="serve fl.lab() as a page, on this machine only and with a token")
    app.add_argument("runs", nargs="?", default="runs", metavar="DIR", help="folder of the runs (default: runs)")
    app.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    app.set_defaults(command=_app)
    return parser


def _reproduce(options: argparse.Namespace) -> int:
    results = Path(options.results)
    if options.paper is None or options.figure is None:
        for (paper, number), figure in FIGURES.items():
            print(f"flowlab reproduce {paper} --figure {number}: {figure.title}")
            for scale, size in figure.scales.items():
                kept = results / f"{paper}-{number}-{scale}.nc"
                seconds = from_netcdf(kept.read_bytes()).seconds.sum() if kept.exists() else None
                spent = "not measured" if seconds is None else f"{float(seconds):.0f} s"
                print(f"  --scale {scale}: L = {', '.join(map(str, size.sides))}, {size.seeds} seeds; training {spent}")
        return 0
    found = reproduce(
        options.paper, options.figure, options.scale, out=options.out, workers=options.workers,
        progress=not options.quiet, arms=options.arms, sides=options.sides,
    )  # fmt: skip
    found = found.assign_attrs(versions=json.dumps(versions()), commit=_commit())
    path = results / f"{options.paper}-{options.figure}-{options.scale}.nc"
    with saving(path.name, results):
        results.mkdir(parents=True, exist_ok=True)
        write_atomic(path, to_netcdf(found))
    for claim in found.claim.values:
        row = found.sel(claim=claim)
        for side in found.L.values:
            one = row.sel(L=side)
            number = f"{float(one.compared):.4g} +- {float(one.compared_error):.2g}, {int(one.seeds_used)} seeds"
            print(f"L = {side}: {claim}: {one.answer.item()} ({row.criterion.item()}: {number})")
    print(f"{path}: {float(found.seconds.sum()):.0f} s of training")
    return 0


def _commit() -> str:
    """Of the source that runs, "dirty" where it was changed since; empty where it is not a checkout."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _sweep_parser(commands: Any) -> argparse.ArgumentParser:
    sweeping: argparse.ArgumentParser = commands.add_parser(
        "sweep", help="many runs: flowlab sweep ising-xor T=2.0,2.3 seed=0,1 --out sweeps/a"
    )
    sweeping.add_argument("study", help="name of a study, or of a sweep such as ising-sweep")
    commas = """keys; of a study, commas part values to sweep, 0..99 are all between, and '"a,b"' is one with a comma"""
    sweeping.add_argument("keys", nargs="*", metavar="key=a,b", help=commas)
    sweeping.add_argument("--out", required=True, metavar="DIR", help="directory of the runs and of sweep.nc")
    where = "of dask: its address, or local, or slurm for N workers of its own; they must see DIR"
    sweeping.add_argument("--scheduler", metavar="ADDRESS", help=where)
    sweeping.add_argument("--workers", type=int, default=1, metavar="N", help="processes side by side (default 1)")
    sweeping.add_argument("--chain", metavar="KEY", help="warm-start along this key, in the order of its values")
    sweeping.add_argument("-n", "--evaluate", dest="n", type=int, metavar="N", help="samples of each evaluation")
    besides = "variables of diagnose() or layers() to keep besides, e.g. delta_free_energy_per_site"
    sweeping.add_argument("--gather", metavar="A,B", default="", help=besides)
    sweeping.add_argument("--plot", metavar="PAGE", help="write a page with figures of what was found, e.g. sweep.html")
    sweeping.add_argument("--resume", action="store_true", help="go on with the sweep in DIR: the same command again")
    sweeping.add_argument("--quiet", action="store_true", help="no progress bar")
    sweeping.add_argument("--strict", action="store_true", help=_STRICT)
    sweeping.set_defaults(command=_sweep)
    return sweeping


def _sample_parser(commands: Any) -> argparse.ArgumentParser:
    sampling: argparse.ArgumentParser = commands.add_parser(
        "sample", help="configurations for use elsewhere: flowlab sample runs/a -n 10000"
    )
    sampling.add_argument("dir", metavar="DIR")
    sampling.add_argument("-n", type=int, default=10_000, metavar="N", help="how many (default 10000)")
    methods = ("metropolis", "weighted", "resampled")
    how = "a chain, independent draws with weights, or draws resampled by them (default metropolis)"
    sampling.add_argument("--method", choices=methods, default="metropolis", help=how)
    sampling.add_argument("--format", choices=("npy", "nc", "h5"), default="npy", help="of the file (default npy)")
    sampling.add_argument("--out", metavar="FILE", help="the file (default: samples.npy, .nc or .h5 here)")
    sampling.add_argument("--seed", type=int, metavar="K", help="of the draws")
    sampling.set_defaults(command=_sample)
    return sampling


def _run_parser(commands: Any) -> argparse.ArgumentParser:
    run: argparse.ArgumentParser = commands.add_parser(
        "run", help="train a study: flowlab run ising-xor L=8 T=2.3 --out runs/a"
    )
    run.add_argument("study", help="name of a study, see flowlab list")
    run.add_argument("keys", nargs="*", metavar="key=value", help="keys of the study")
    run.add_argument("--out", required=True, metavar="DIR", help="directory of the run")
    steps = "horizon in steps (the key of that name); a finished run that is resumed with more of them is extended"
    run.add_argument("--steps", type=int, metavar="N", help=steps)
    limit = "time limit, after which the run is saved, with status 0; without steps it also sets the horizon"
    run.add_argument("--seconds", type=float, metavar="S", help=limit)
    again = "go on with the run in DIR, or start it where there is none, so that a job may give the same command again"
    run.add_argument("--resume", action="store_true", help=again)
    restart = "with --resume and more --steps: the learning rate follows its schedule again over what is added"
    run.add_argument("--restart", action="store_true", help=restart)
    run.add_argument("--strict", action="store_true", help="exit with 3 where its time limit ends the run unfinished")
    run.add_argument("--seed", type=int, metavar="K", help="seed of every random number (default 0)")
    run.add_argument("--processes", type=int, default=1, metavar="N", help=_TOGETHER)
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    run.set_defaults(command=_run)
    return run


def _list(options: argparse.Namespace) -> int:
    if not options.keys:
        print(manual.listed())
        return 0
    for study in studies().values():
        print(f"{study.name}{'  (a sweep)' if study.sweep else ''}\n  {study.summary}")
        print("  keys: " + " ".join(f"{key}={_text(value)}" for key, value in study.defaults.items()))
        if study.aliases:
            print("  also: " + ", ".join(f"{alias} for {key}" for alias, (key, _) in study.aliases.items()))
        for name, values in study.presets.items():
            print(f"  preset={name}: " + " ".join(f"{key}={_text(value)}" for key, value in values.items()))
    return 0


def _help(options: argparse.Namespace) -> int:
    manual.help(options.study)
    return 0


def _run(options: argparse.Namespace) -> int:
    if options.seconds is not None and not options.seconds > 0:
        raise ValueError(f"--seconds must be positive, got {options.seconds:g}")
    if options.restart and not options.resume:
        raise ValueError("--restart is of a run that is extended, with --resume and more --steps")
    run = _resumed(options) if options.resume else None
    run = _started(options) if run is None else run
    try:
        if run.state != "finished":
            seconds = math.inf if options.seconds is None else options.seconds
            run.run(seconds=seconds, progress=not options.quiet, processes=options.processes)
    except (KeyboardInterrupt, SystemExit):
        _say_where(run, options)
        raise
    _say_where(run, options)
    return 3 if options.strict and run.state != "finished" else 0


def _say_where(run: Experiment, options: argparse.Namespace) -> None:
    print(f"{run.state} at step {run.step} of {run.steps}: {options.out}")
    if run.state == "stopped":
        print(f"go on with: flowlab run {options.study} --resume --out {options.out}", flush=True)


def _started(options: argparse.Namespace) -> Experiment:
    keys, seed = _of_a_run(options), options.seed or 0
    if options.seconds is not None and "steps" not in keys:
        trial = experiment(options.study, seed=seed, **keys)
        if not options.quiet:
            print("measuring the time of a step, to choose how many fit", file=sys.stderr)
        keys["steps"] = str(max(1, int(0.95 * options.seconds / trial.seconds_per_step())))
    run = experiment(options.study, seed=seed, **keys)
    run._together(options.processes)  # refuses what cannot, before there is a directory
    run.attach(options.out)
    return run


def _resumed(options: argparse.Namespace) -> Experiment | None:
    """The run in the directory, which must have the keys that are given; None where one is to be started there."""
    keys = _of_a_run(options)
    given = bool(keys) or options.seed is not None
    if not (Path(options.out) / "experiment.json").exists():
        if not given and options.seconds is None:
            raise StoreError(f"there is no run in {options.out}: to start one there, give a key or --seed")
        return None
    found = find(options.study)
    asked = found.normalise(keys) if options.keys else found.given(keys)
    if "steps" not in keys:
        asked.pop("steps", None)
    seed = options.seed or 0 if options.keys else options.seed
    return going_on(options.study, options.out, asked, seed, restart=options.restart)


def _of_a_run(options: argparse.Namespace) -> dict[str, Any]:
    """The keys of a run, its steps among them."""
    keys: dict[str, Any] = dict(_keys(options.keys))
    if options.steps is not None:
        if "steps" in keys:
            raise ValueError("give steps=N or --steps N, not both")
        keys["steps"] = str(options.steps)
    return keys


def _sweep(options: argparse.Namespace) -> int:
    out = Path(options.out)
    if not options.resume and ((out / "sweep.nc").exists() or any(out.glob("*/experiment.json"))):
        raise ValueError(f"{out} already holds a sweep: give --resume to go on with it, or another --out")
    words = _keys(options.keys, own=("out", "workers", "scheduler", "chain", "gather", "evaluate"))
    commas = not find(options.study).sweep
    values = {key: _several(key, value) if commas else [value] for key, value in words.items()}
    over: Any = {key: several for key, several in values.items() if len(several) > 1}
    keys: dict[str, Any] = {key: several[0] for key, several in values.items() if key not in over}
    if "over" in keys:  # which is a key of studies too
        over = over | {"over": [keys.pop("over")]} if commas else keys.pop("over")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = sweep(
                options.study,
                over,
                out=out,
                workers=options.workers,
                scheduler=options.scheduler,
                chain=options.chain or False,
                evaluate=options.n,
                gather=[name for name in options.gather.split(",") if name],
                progress=not options.quiet,
                **keys,
            )
        except (KeyboardInterrupt, SystemExit):
            print("flowlab: everything is saved; go on with the same command and --resume", file=sys.stderr)
            raise
    for note in caught:
        print(f"flowlab: warning: {note.message}", file=sys.stderr)
    states = found.state.values.ravel().tolist()
    shown = [*_SWEPT, *(name for name in found if str(name).startswith("learned_") or "_peak_at" in str(name))]
    columns = found[[name for name in shown if name in found and found[name].dims == found.state.dims]]
    table = columns.to_dataframe()[list(columns)]
    if "verdict" in table:  # the reasons are in sweep.nc
        table["verdict"] = table["verdict"].str.partition(":")[0]
    print(table.to_string(float_format=lambda x: f"{x:.6g}"))
    if "crossing" in found:
        pairs = found[[name for name in found if found[name].dims == found.crossing.dims]]
        print(pairs.to_dataframe().T.to_string(float_format=lambda x: f"{x:.6g}"))
    if options.plot:
        draw(found, options.plot)
    print(f"{states.count('finished')} of {len(states)} runs finished: {out / 'sweep.nc'}")
    verdicts = found.verdict.values.ravel().tolist() if "verdict" in found else []
    return 1 if "failed" in states else _strict(options, verdicts)


def _several(key: str, text: str) -> list[str]:
    """The values of a key to sweep: parted by commas, first..last for all whole numbers between.

    >>> _several("seed_J", "0..3,7"), _several("T", "0.5,1")
    (['0', '1', '2', '3', '7'], ['0.5', '1'])
    """
    found: list[str] = []
    for word in next(csv.reader([text]), [""]):
        ends = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", word)
        if ends is None:
            found.append(word)
            continue
        first, last = int(ends[1]), int(ends[2])
        if not first <= last < first + MOST_VALUES:
            raise ValueError(f"{key} must go up from the first value to the last, {MOST_VALUES} at most, got {word}")
        found += map(str, range(first, last + 1))
    return found


def _evaluate(options: argparse.Namespace) -> int:
    run = Experiment.load(options.dir)
    run._together(options.processes)  # refuses what cannot
    together: dict[str, Any] = {} if options.processes == 1 else {"processes": options.processes}
    couplings: dict[str, Any] = {name: converted(name, value, Finite) for name, value in _keys(options.keys).items()}
    if couplings and not run.over:
        raise ValueError(f"{options.dir} is at one coupling and not a run over=..., got {' '.join(options.keys)}")
    with warnings.catch_warnings(), shown():
        warnings.simplefilter("ignore", IntegrationWarning)  # told below
        result = run.evaluate(options.n, seed=options.seed, **couplings, **together)
    for note in result.attrs["warnings"].splitlines():
        print(f"flowlab: warning: {note}", file=sys.stderr)
    try:
        run.keep(result, "_".join(["evaluation", *options.keys]) + ".nc")
    except StoreError as error:
        print(f"flowlab: the evaluation is not kept: {error}", file=sys.stderr)
    values, lists, n = scalars(result), columns(result), int(result.attrs["n"])
    if options.json:
        own = couplings | {"n": n, "step": run.step, "study": run.study, "seed": result.attrs["seed"]}
        print(json.dumps(values | lists | own | {name: result.attrs[name] for name in ("verdict", "reasons")}))
        return _strict(options, [result.attrs["verdict"]])
    print(f"{run.study or 'by hand'}, step {run.step} of {run.steps}, {n} samples")
    print(f"  {result.attrs['verdict']}")
    for name in _without_errors(values):
        print(f"  {name:28s} {_text(values[name])}{_spread(values.get(f'{name}_error'))}")
    if "temperature" in lists:
        _print_table({name: lists[name] for name in lists if len(lists[name]) == len(lists["temperature"])})
    return _strict(options, [result.attrs["verdict"]])


def _sample(options: argparse.Namespace) -> int:
    found = Experiment.load(options.dir).ensemble(options.n, options.method, seed=options.seed)
    path = write_ensemble(found, options.out or f"samples.{options.format}", options.format)
    told = {key: value for key, value in found.attrs.items() if key in ("method", "tau_int", "ess", "acceptance")}
    said = ", ".join(f"{key} {_text(value)}" for key, value in told.items())
    print(f"{found.sizes['sample']} configurations ({said}): {path}")
    return 0


def _strict(options: argparse.Namespace, verdicts: Sequence[str]) -> int:
    """The exit status: 3 with --strict where something is not to be trusted, else 0."""
    return 3 if options.strict and any(one.startswith("not to be trusted") for one in verdicts) else 0


def _check(options: argparse.Namespace) -> int:
    found = Experiment.load(options.dir).check(options.seconds, seed=options.seed)
    lists = columns(found) if "quantity" in found.dims else {}
    names = [str(name) for name in found["quantity"].values] if lists else []
    if options.json:
        rows = {name: {key: values[row] for key, values in lists.items()} for row, name in enumerate(names)}
        kept = {key: found.attrs[key] for key in ("verdict", "reasons", "step", "seed")}
        print(json.dumps({"quantities": rows} | scalars(found) | kept))
        return _strict(options, [found.attrs["verdict"]])
    for row, name in enumerate(names):
        words = [
            f"{_text(lists[key][row])}{_spread(lists[f'{key}_error'][row])}" for key in ("value", "raw", "reference")
        ]
        print(f"  {name:24s}" + "".join(f"{word:>24s}" for word in words))
    print(found.attrs["verdict"])
    for reason in found.attrs["reasons"].splitlines()[1:]:
        print(f"  {reason}")
    return _strict(options, [found.attrs["verdict"]])


def _print_table(lists: dict[str, list[float | None]]) -> None:
    """Columns by temperature, each number with its error."""
    names = _without_errors(lists)
    print("  ".join(f"{name[:22]:>22s}" for name in names))
    for row in range(len(lists["temperature"])):
        words = []
        for name in names:
            error = lists[f"{name}_error"][row] if f"{name}_error" in lists else None
            words.append(_text(lists[name][row]) + _spread(error))
        print("  ".join(f"{word:>22s}" for word in words))


def _lab(options: argparse.Namespace) -> int:
    with told():
        importlib.import_module("jupyterlab")
    tutorials = Path("tutorials")
    folder = options.dir or (tutorials if tutorials.is_dir() else ".")
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--ServerApp.root_dir={Path(folder).resolve()}"]
    command += ["--LabApp.news_url=None", "--LabApp.extension_manager=readonly"]  # nothing is fetched
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command += ["--no-browser"] if options.no_browser else []
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # as in a container
    return subprocess.call(command)


OWN = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: ws:"
"""What a page of the app may load: what its own server has; Voila's template asks a network for icons."""


def _app(options: argparse.Namespace) -> int:
    with told():
        importlib.import_module("voila")
    code = f"import flowlab as fl\nfl.lab({str(Path(options.runs).resolve())!r})"
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "lab",
        "metadata": {},
        "outputs": [],
        "source": code,
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "flowlab.ipynb"
        page.write_text(json.dumps(notebook), encoding="utf-8")
        command = [sys.executable, "-m", "voila", str(page), "--Voila.ip=127.0.0.1", "--Voila.auto_token=True"]
        command += [f"--Voila.tornado_settings={dict(headers={'Content-Security-Policy': OWN})!r}"]
        command += ["--no-browser"] if options.no_browser else []
        return subprocess.call(command)


def _keys(words: Sequence[str], own: Sequence[str] = ("seed", "out")) -> dict[str, str]:
    """key=value words as a dictionary; ``own`` are given as options."""
    keys: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ValueError(f"keys are given as key=value, got {word!r}")
        if key in keys:
            raise ValueError(f"{key} is given twice")
        if key in own:
            raise ValueError(f"{key} is given as --{key} {value}, got {word!r}")
        keys[key] = value
    return keys


def _text(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _without_errors(names: Collection[str]) -> list[str]:
    """Those that are not the error of another; a ``round_trip_error`` is a number of its own."""
    return [name for name in names if not name.endswith("_error") or name.removesuffix("_error") not in names]


def _spread(error: float | None) -> str:
    """The error behind a number; nothing where there is none, or none is known."""
    return "" if error is None else f" ± {error:.2g}"
