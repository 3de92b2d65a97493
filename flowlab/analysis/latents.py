"""What the first latents of a density know about the sample that they make."""

from __future__ import annotations

import math

import numpy as np

from flowlab.analysis.estimates import Columns, Coords, pair, stacked
from flowlab.analysis.samples_by_layer import SamplesByLayer
from flowlab.estimators.information import information
from flowlab.estimators.weights.weights import Estimate

PAIRS = 16
"""Products of latents are features for the first so many."""


def latent_columns(run: SamplesByLayer, rng: np.random.Generator) -> tuple[Columns, Coords]:
    """Information of the first latents on sign M and E, and how much of the long waves they fix.

    Samples with M = 0 have no sign and are left out where it is asked for.
    """
    n, N = run.samples.shape[0], run.target.n_sites
    z = run.latents.reshape(n, -1)[:, run.order].astype(float)
    s = run.samples.astype(float)
    m, bins = s.mean((1, 2)), information.quantile_bins(-run.log_weight[-1])
    decided = m != 0
    sign = np.sign(m[decided])
    k = np.arange(min(8, N, max(1, int(math.log2(n / 40)))) + 1)
    spelled = [information.words(z, int(j)) for j in k]
    first = [0] + [2**j for j in range(9) if 2**j <= min(N, n // 10)]
    columns = {
        **pair("information_energy", ("k",), stacked([information.mutual_information(w, bins) for w in spelled])),
        **pair("kurtosis_given_first", ("k",), stacked([information.conditional_kurtosis(m, w) for w in spelled])),
        **pair("site_information_energy", ("site",), _bit_information(z, bins)),
        **_sign_columns(z[decided], [word[decided] for word in spelled], sign, first, rng),
    }
    features, number = _features(z[:, : first[-1]])
    known = information.explained_variance(features, _amplitudes(s), [number[j] for j in first])
    for name, part in (("spin", slice(0, 3)), ("energy", slice(3, 6))):
        columns |= pair(f"{name}_mode_explained", ("first", "mode"), Estimate(*(v[:, part] for v in known)))
    return columns, {
        "k": ("k", k),
        "first": ("first", first),
        "mode": ("mode", ["(0, 0)", "(0, 1)", "(1, 1)"]),
    }


def _sign_columns(
    z: np.ndarray, spelled: list[np.ndarray], sign: np.ndarray, first: list[int], rng: np.random.Generator
) -> Columns:
    if len(sign) < 20:
        nothing = Estimate(*np.full((2, len(spelled)), np.nan))
        alone, right = Estimate(*np.full((2, z.shape[1]), np.nan)), Estimate(*np.full((2, len(first)), np.nan))
    else:
        nothing = stacked([information.mutual_information(word, sign) for word in spelled])
        alone = Estimate(*(v[:, 0] for v in information.binary_information(z, sign[:, None])))
        right = information.predictability(z, sign, first, rng=rng)
    return {
        **pair("information_sign", ("k",), nothing),
        **pair("site_information_sign", ("site",), alone),
        **pair("sign_predictability", ("first",), right),
    }


def _bit_information(z: np.ndarray, bins: np.ndarray) -> Estimate:
    return stacked([information.mutual_information(bit, bins) for bit in (z.T > 0).astype(int)])


def _features(z: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The latents in order, each of the first with its products with those before; how many features k latents make."""
    pairs = min(PAIRS, int(math.sqrt(len(z) / 10)))
    columns, number = [], [0]
    for j in range(z.shape[1]):
        made = [z[:, j : j + 1]] + ([z[:, j : j + 1] * z[:, :j]] if j < pairs else [])
        columns += made
        number.append(number[-1] + sum(part.shape[1] for part in made))
    return np.concatenate(columns, axis=1), number


def _amplitudes(s: np.ndarray) -> np.ndarray:
    """(n, h, w) -> (n, 6, 4): spin, then energy density, at wave vector 0, at the two (0, 1), at the two (1, 1)."""
    density = -0.5 * s * (np.roll(s, -1, 1) + np.roll(s, -1, 2))
    found = []
    for field in (s, density):
        q = np.fft.fft2(field) / field[0].size
        for a, b in ((q[:, 0, 0], 0 * q[:, 0, 0]), (q[:, 0, 1], q[:, 1, 0]), (q[:, 1, 1], q[:, 1, -1])):
            found.append(np.stack([a.real, a.imag, b.real, b.imag], axis=1))
    return np.stack(found, axis=1)
