"""Exact ln Z of 4 x 4 x 4 Ising spins on a torus, from the transfer matrix of its layers: ising_4x4x4.json.

python tests/data/ising_4x4x4.py
"""

import json
import math
from pathlib import Path

import numpy as np


def log_z_of_four_layers(K, H):
    """ln Z of 4 x 4 x 4 spins: Σ_s |A² e_s|² over the 2^16 states of a layer, A the symmetric transfer matrix.

    One state of each class that translations and the exchange of the sides make equal stands for its class.
    """
    states = np.arange(2**16)
    spins = 1 - 2 * ((states[:, None] >> np.arange(16)) & 1).reshape(-1, 4, 4)
    inside = K * (spins * (np.roll(spins, 1, 1) + np.roll(spins, 1, 2))).sum((1, 2)) + H * spins.sum((1, 2))
    half = np.exp((inside - inside.max()) / 2)
    up, down = np.exp(K - abs(K)), np.exp(-K - abs(K))

    def apply(v):
        v = v * half
        for site in range(16):
            v = v.reshape(-1, 2, 2**site)
            v = (up * v + down * v[:, ::-1]).reshape(-1)
        return v * half

    lattice, images = np.arange(16).reshape(4, 4), []
    for turned in (lattice, lattice.T):
        for y in range(4):
            for x in range(4):
                sites = np.roll(turned, (y, x), (0, 1)).flatten()
                images.append((((states[:, None] >> sites) & 1) << np.arange(16)).sum(1))
    first, counts = np.unique(np.min(images, 0), return_counts=True)
    total = 0.0
    for state, count in zip(first, counts, strict=True):
        v = np.zeros(2**16)
        v[state] = 1.0
        total += count * np.square(apply(apply(v))).sum()
    return math.log(total) + 4 * inside.max() + 4 * 16 * abs(K)


if __name__ == "__main__":
    rows = [
        {"T": T, "h": h, "log_z": log_z_of_four_layers(1 / T, h / T)}
        for T, h in ((4.5, 0.0), (4.5, 0.2), (1 / 0.22165, 0.0))
    ]
    about = "exact ln Z of 4 x 4 x 4 Ising spins, J = 1, periodic, whole lattice"
    Path(__file__).with_suffix(".json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
