"""A run as one file, and its numbers as other libraries take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from flowlab.core.system import measured
from flowlab.estimators.series.obs import observables_of, write_observables
from flowlab.exports.ensembles import conventions, ensemble
from flowlab.extras import told
from flowlab.storage.archive import pack
from flowlab.storage.identity import absolute
from flowlab.storage.store import versions

README = """{run}

A run of flowlab {version}, kept as open files:

experiment.json   what was asked: study, keys, seed, versions
journal.jsonl     one record a step, JSON; of a long run the older ones in records/, NetCDF
data.nc           the same as NetCDF: xarray.open_dataset("data.nc"), ncdump, Panoply
*.nc              evaluations and checks, each with its units and a verdict in its attributes
checkpoints/      weights as safetensors
samples/          measurements and configurations of Markov chains, NetCDF

Couplings in all conventions: {conventions}
Action: {action}

With flowlab: import flowlab as fl; run = fl.load("{name}")
"""


def export(run: Any, path: str | Path) -> Path:
    """One zip file with all of a run, readable without flowlab, and by ``fl.load(path)``.

    Raises:
        ValueError: for a run without a directory, or a path that does not end in .zip.

    >>> import tempfile
    >>> from flowlab.runs import experiment, load
    >>> folder = Path(tempfile.mkdtemp())
    >>> run = experiment("ising-xor", L=4, steps=2, batch=20, out=folder / "run")
    >>> _ = run.run(progress=False)
    >>> load(export(run, folder / "mailed.zip")).step
    2
    """
    path = absolute(path)
    if path.suffix != ".zip":
        raise ValueError(f"path must end in .zip, got {path.name}")
    if run.path is None:
        raise ValueError("this run has no directory: attach('runs/name') one first")
    text = README.format(run=run, version=versions()["flowlab"], name=path.name, **conventions(run.system))
    return pack(run.path, path, {"README.txt": text})


def to_pyerrors(
    run: Any, n: int = 10_000, *, path: str | Path | None = None, seed: int | None = None
) -> dict[str, Any]:
    """Every observable of the run's system as a pyerrors ``Obs``, from n draws, with their deltas.

    Draws of a model are reweighted, and ``Obs.reweighted`` says so; of runs of chains each chain is a replicum.

    Args:
        run: any run.
        n: draws of a model.
        path: where to write them, ``*.json.gz``: ``pyerrors.input.json.load_json_dict`` reads them back.
        seed: of the draws, the run's own where not given.

    >>> from flowlab.runs import experiment
    >>> found = to_pyerrors(experiment("phi4-free", L=4), 100)
    >>> found["phi_squared"].reweighted, found["phi_squared"].N
    (True, 100)
    """
    name = run.study or "flowlab"
    if hasattr(run, "chain") and hasattr(run.measured, "data_vars"):
        series = {str(key): one.values for key, one in run.measured.data_vars.items()}
        found = observables_of(series, name=name)
    else:
        drawn = ensemble(run, n, "weighted", seed=run.seed if seed is None else seed)
        x = torch.as_tensor(drawn["configuration"].values)
        columns = {key: value.double().numpy() for key, value in measured(run.system, x).items()}
        log_w = drawn["log_weight_ratio"].values if "log_weight_ratio" in drawn else None
        found = observables_of({key: value[:, None] for key, value in columns.items()}, log_w=log_w, name=name)
    if path is not None:
        write_observables(found, absolute(path))
    return found


def to_arviz(run: Any, n: int = 10_000, *, seed: int | None = None) -> xr.DataTree:
    """The run's chain as ArviZ 1 takes it: a DataTree with ``posterior`` and ``sample_stats`` over (chain, draw).

    Of a model the chain that it proposes for; of runs of chains their own. ArviZ itself is not needed for that.

    >>> from flowlab.runs import experiment
    >>> tree = to_arviz(experiment("phi4-free", L=4), 100)
    >>> tree["posterior"].configuration.dims
    ('chain', 'draw', 'y', 'x')
    """
    if hasattr(run, "chain") and hasattr(run, "recent"):
        kept = run.recent(run.step)
        chain = "replica" if "replica" in kept.dims else "chain"
        if "temperature" in kept.dims:
            kept = kept.isel(temperature=0)
        x = kept["configuration"].rename({"step": "draw"} | ({chain: "chain"} if chain != "chain" else {}))
        groups = {"posterior": x.transpose("chain", "draw", ...).to_dataset()}
        return xr.DataTree.from_dict({key: one.assign_attrs(_plain(kept.attrs)) for key, one in groups.items()})
    found = ensemble(run, n, "metropolis", seed=run.seed if seed is None else seed)
    one = found.rename(sample="draw").expand_dims("chain").assign_coords(chain=[0], draw=np.arange(n))
    stats = one[["log_q", "log_weight"]].rename(log_weight="lp")
    groups = {"posterior": one[["configuration"]], "sample_stats": stats}
    return xr.DataTree.from_dict({key: each.assign_attrs(_plain(found.attrs)) for key, each in groups.items()})


def to_zarr(run: Any, path: str | Path) -> Path:
    """The run's records as a Zarr store.

    Raises:
        ImportError: where zarr is not installed, with how to install it.
    """
    with told("export"):
        import zarr  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    data: xr.Dataset = run.data
    data.assign_attrs(_plain(data.attrs)).to_zarr(absolute(path), mode="w", consolidated=False)
    return absolute(path)


def _plain(attrs: Any) -> dict[str, Any]:
    return {key: value for key, value in attrs.items() if isinstance(value, int | float | str)}
