"""Datasets as an Experiment returns them, made by hand so that every picture has a known answer."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

EXACT = 171.0


def make_data(steps: int = 300, T: float = 2.27, exact: float = EXACT, side: int = 8, seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    step = np.arange(1, steps + 1)
    gap = 30.0 * np.exp(-step / 25.0) + 0.3
    error = 0.02 + 0.05 * gap
    columns = {
        "log_z_bound": exact - gap + error * rng.standard_normal(steps),
        "log_z_bound_error": error,
        "ess": np.exp(-gap / 3.0),
    }
    attrs = dict(study="ising-xor", system="Ising 8×8, T = 2.27", n_sites=side * side, T=T, log_z_exact=exact,
                 steps=max(steps, 1), seed=seed, device="cpu")  # fmt: skip
    return xr.Dataset({k: ("step", v) for k, v in columns.items()}, coords={"step": step}, attrs=attrs)


def make_layers(n: int = 200, side: int = 8, depth: int = 4, exact: float = EXACT, seed: int = 0) -> xr.Dataset:
    """Spins that order a little more from layer to layer: each layer aligns a tenth of the sites with a neighbour."""
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((n, side, side)) < 0.5 + 0.25 * rng.choice([-1, 1], (n, 1, 1)), 1.0, -1.0)
    states = [x]
    for _ in range(depth):
        x = np.where(rng.random(x.shape) < 0.35, np.roll(x, 1, -1), x)
        states.append(x)
    s = np.stack(states)
    distance = np.arange(side // 2 + 1)
    correlation = np.stack([(s * np.roll(s, int(r), -1)).mean((1, 2, 3)) for r in distance], axis=1)
    names = ["latent", *(f"xor {k}" for k in range(1, depth + 1))]
    grid = ("layer", "sample", "y", "x")
    return xr.Dataset(
        {
            "configuration": (grid, s),
            "field": (grid, s),
            "magnetization": (("layer", "sample"), s.mean((-1, -2))),
            "correlation": (("layer", "distance"), correlation),
            "log_z_bound": ("layer", exact - np.linspace(6.0, 0.5, depth + 1)),
            "log_z_bound_error": ("layer", np.linspace(0.4, 0.05, depth + 1)),
        },
        coords={"layer_name": ("layer", names), "distance": distance},
        attrs=dict(system="Ising 8×8", n_sites=side * side, T=2.27, log_z_exact=exact, step=100, seed=seed),
    )


@pytest.fixture
def data() -> xr.Dataset:
    return make_data()


@pytest.fixture
def layers() -> xr.Dataset:
    return make_layers()


@pytest.fixture
def diagnosis() -> xr.Dataset:
    rng = np.random.default_rng(0)
    entropy = np.clip(0.69 * np.exp(-np.arange(64) / 14.0) + 0.25 + 0.05 * rng.standard_normal(64), 0, 0.69)
    return xr.Dataset(
        {"conditional_entropy": ("site", entropy), "conditional_entropy_error": ("site", np.full(64, 0.01))}
    )


@pytest.fixture
def evaluation() -> xr.Dataset:
    values = {"log_z": (170.98, 0.012), "ess": (0.973, 0.001), "log_z_exact": (171.0, None)}
    variables = {}
    for name, (value, error) in values.items():
        variables[name] = xr.DataArray(value, attrs={"long_name": name.replace("_", " "), "units": "1"})
        if error is not None:
            variables[f"{name}_error"] = xr.DataArray(error)
    return xr.Dataset(variables, attrs={"warnings": ["ESS <b>small</b>"], "n": 1000})
