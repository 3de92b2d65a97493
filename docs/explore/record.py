"""Train and record what the pages of this folder show: ``python docs/explore/record.py NAME ...``, minutes each.

What is recorded lies in ``recorded/`` and goes with the repository; ``make explore`` makes pages of it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from safetensors.torch import save_file

import flowlab as fl
from flowlab.analysis import measure_overlaps, measure_triangles

RECORDED = Path(__file__).parent / "recorded"
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "film": ("ising-xor", {"L": 8, "beta": 0.44, "steps": 1200, "batch": 400}),
    "levels": ("ising-coloured", {"L": 64, "T": fl.CRITICAL_TEMPERATURE, "hidden": 24, "batch": 128, "steps": 4000}),
    "dial": (
        "ising-coloured",
        {"L": 32, "over": "beta:0.25:0.6", "beta": 0.44, "hidden": 16, "batch": 128, "steps": 4000},
    ),
    "glass-samples": ("sk-forward", {"N": 16, "T": 0.4, "steps": 3000}),
    "glass-energy": ("sk-reverse", {"N": 16, "T": 0.4, "steps": 3000}),
    "field": ("phi4-flow", {"L": 12, "beta": 0.66, "steps": 500}),
    "refined": ("phi4-ir-matching", {"coarse": 4, "L": 16, "kappa": 0.26, "steps": 300, "stage_steps": 150}),
}
FRAMES = [*range(0, 600, 20), *range(600, 1201, 100)]
"""Steps at which the film has a picture, more of them while most is learned."""


def film(run: Any) -> None:
    """The same 12 draws at some steps of a training, and its records."""
    frames = []
    for step in FRAMES:
        if step > run.step:
            run.run(step - run.step, progress=False)
        frames.append(run.sample(12, seed=1)[["configuration"]])
    drawn = xr.concat(frames, "layer", combine_attrs="drop_conflicts")
    keep("film", drawn.assign_coords(frame=("layer", FRAMES), layer_name=("layer", [f"step {k}" for k in FRAMES])))
    keep("film-records", run.data[["log_z_bound", "log_z_bound_error", "ess"]])


def weights(name: str, run: Any) -> None:
    """What a page draws from by itself."""
    run.run(progress=False)
    tensors = {key: value.detach().contiguous() for key, value in run.density.state_dict().items()}
    save_file(tensors, RECORDED / f"{name}.safetensors", {"steps": str(run.step)})


def glass(name: str, run: Any) -> None:
    """Overlaps and triangles after each layer, and those of parallel tempering."""
    run.run(progress=False)
    layers, known = run.layers(2000, seed=1), run.reference()
    keep(f"{name}-overlaps", measure_overlaps(layers))
    if name == "glass-samples":
        keep(f"{name}-triangles", measure_triangles(layers.isel(sample=slice(600))))
        keep("glass-tempering-overlaps", measure_overlaps(known))
        keep("glass-tempering-triangles", measure_triangles(known.isel(sample=slice(None, None, 16))))


def field(run: Any) -> None:
    """Fields after each layer."""
    run.run(progress=False)
    keep("field", run.layers(160, seed=1).isel(sample=slice(60)))


def refined(run: Any) -> None:
    """A few fields on their way from coarse to fine, and the couplings as they were learned."""
    run.run(progress=False)
    keep("refined", run.layers(6, seed=1))
    keep("refined-records", run.data.drop_vars("wall_time"))


def keep(name: str, data: xr.Dataset) -> None:
    """Write it, compressed; of fields three digits."""
    encoding: dict[str, dict[str, Any]] = {key: {"zlib": True, "complevel": 9} for key in map(str, data.data_vars)}
    for key, encoded in encoding.items():
        values = data[key].values
        if key in ("configuration", "field") and values.dtype.kind == "f":
            spins = bool(np.isin(values, (-1, 1)).all())
            encoded |= (
                {"dtype": "int8", "_FillValue": -128}
                if spins
                else {"dtype": "int16", "scale_factor": 1e-3, "_FillValue": -32768}
            )
        elif values.dtype.kind == "f":
            encoded |= {"dtype": "float32"}
    data.to_netcdf(RECORDED / f"{name}.nc", engine="h5netcdf", encoding=encoding)


def main(names: list[str]) -> None:
    """Record these, or all."""
    RECORDED.mkdir(exist_ok=True)
    for name in names or RUNS:
        study, keys = RUNS[name]
        run = fl.experiment(study, device="cpu", **keys)
        if study == "ising-coloured":
            weights(name, run)
        elif name.startswith("glass"):
            glass(name, run)
        else:
            {"film": film, "field": field, "refined": refined}[name](run)
        print(name, run)


if __name__ == "__main__":
    main(sys.argv[1:])
