"""Free energies of a density with latent codes: which numbers are bounds, and which are not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr

from flowlab.analysis.representations import to_array
from flowlab.core import System
from flowlab.core.names import about
from flowlab.densities.tokens.vqvae import VQVAE

CHUNK = 1000
UPPER, NEITHER = "upper bound", "not a bound"


def latent_bounds(
    density: VQVAE,
    target: System,
    n: int = 10_000,
    *,
    k: int = 16,
    generator: torch.Generator | None = None,
    attrs: dict[str, Any] | None = None,
) -> xr.Dataset:
    """Bounds and estimates of the free energy per site from n spins σ drawn with their codes z, each with its error.

    With F_var = E + T <ln q(σ)> >= F, which has no closed form here:

    - ``joint_bound``: <E> + T <ln p(σ|z)>, above F_var by T I(σ; z);
    - ``encoder_bound``: <E> + T <ln q(σ, z) - ln r(z|σ)>, above F_var by T <KL(q(z|σ) | r(z|σ))>;
    - ``importance_bound``: the same from z and k more codes of the encoder together, falls to F_var as k grows;
    - ``elbo``: <E> + T <ELBO of ln q(σ)>, one code of the encoder, below F_var and so not a bound;
    - ``importance_estimate``: from k codes of the encoder without z, rises to F_var as k grows: not a bound either;
    - ``information_lower`` and ``information_upper``: T I(σ; z) lies between, as F_var does between the last two of its
      bounds and estimates.

    Every variable's attribute ``bound`` says which it is. The statements hold for means; errors are of n samples.

    Args:
        density: trained.
        target: spins, with a temperature T.
        n: samples, at least 2.
        k: codes for each, at least 1.
        generator: of all draws.
        attrs: kept in the Dataset.

    Returns:
        Dataset of scalars in units of J per site, with ``_error``.

    Raises:
        ValueError: for n < 2, k < 1, or another shape.
    """
    if n < 2 or k < 1:
        raise ValueError(f"n must be at least 2 and k at least 1, got {n} and {k}")
    density.bind(target)
    T = float(target.couplings["T"])
    parts = [_chunk(density, target, min(CHUNK, n - done), k, generator) for done in range(0, n, CHUNK)]
    columns = {name: T * np.concatenate([part[name] for part in parts]) / target.n_sites for name in parts[0]}
    variables = {}
    for name, values in columns.items():
        variables[name] = ((), float(values.mean()), about(name, bound=KINDS[name]))
        error = float(values.std(ddof=1) / math.sqrt(n))
        variables[f"{name}_error"] = ((), error, about(f"{name}_error"))
    return xr.Dataset(variables, attrs=(attrs or {}) | {"n": n, "k": k, "T": T, "n_sites": target.n_sites})


KINDS = {
    "joint_bound": UPPER,
    "encoder_bound": UPPER,
    "importance_bound": UPPER,
    "elbo": NEITHER,
    "importance_estimate": NEITHER,
    "information_lower": "lower bound on T I",
    "information_upper": "upper bound on T I",
}


def _chunk(density: VQVAE, target: System, n: int, k: int, generator: torch.Generator | None) -> dict[str, np.ndarray]:
    """Each of KINDS for n samples, (n,) in nats."""
    with torch.no_grad():
        x, z, log_prior, log_decoder, log_encoder = density.draw_joint(n, generator=generator)
        E = -target.log_weight(x)
        above = density.log_prob_estimate(x, k, z=z, generator=generator)
        below = density.log_prob_estimate(x, k, generator=generator)
        found = {
            "joint_bound": E + log_decoder,
            "encoder_bound": E + log_prior + log_decoder - log_encoder,
            "importance_bound": E + above,
            "elbo": E + density.log_prob_estimate(x, 1, generator=generator),
            "importance_estimate": E + below,
            "information_lower": log_decoder - above,
            "information_upper": log_decoder - below,
        }
        return {name: to_array(values) for name, values in found.items()}
