"""Markov chains of Ising spins and of phi^4 on a cube, 8 x 8 x 8 on a torus: cubes_mc.json.

python tests/data/cubes_mc.py

Ising: Wolff's single clusters. phi^4, S = Σ_x [-2κ Σ_μ φ_x φ_{x+μ} + (1 - 2λ) φ_x² + λ φ_x⁴]: Metropolis sweeps of all
sites in turn, and clusters of signs after each (R. C. Brower, P. Tamayo 1989). Errors from means over 60 blocks.
"""

import json
import math
from pathlib import Path

import numba
import numpy as np

L, BLOCKS = 8, 60
KAPPA, LAM, BETA = 0.1923, 0.9, 0.22165


@numba.njit
def neighbours(L):
    table = np.empty((L**3, 6), np.int64)
    for z in range(L):
        for y in range(L):
            for x in range(L):
                site = (z * L + y) * L + x
                table[site, 0] = (z * L + y) * L + (x + 1) % L
                table[site, 1] = (z * L + y) * L + (x - 1) % L
                table[site, 2] = (z * L + (y + 1) % L) * L + x
                table[site, 3] = (z * L + (y - 1) % L) * L + x
                table[site, 4] = (((z + 1) % L) * L + y) * L + x
                table[site, 5] = (((z - 1) % L) * L + y) * L + x
    return table


@numba.njit
def cluster(phi, table, K, stack, inside, rng):
    """Turn over one cluster; a bond is kept with probability 1 - exp(-2 K φ_x φ_y)."""
    seed = rng.integers(0, phi.size)
    stack[0], top, size = seed, 1, 0
    inside[:] = False
    inside[seed] = True
    while top > 0:
        top -= 1
        site = stack[top]
        size += 1
        for other in table[site]:
            if not inside[other] and rng.random() < 1 - math.exp(min(0.0, -2 * K * phi[site] * phi[other])):
                inside[other] = True
                stack[top] = other
                top += 1
    for site in range(phi.size):
        if inside[site]:
            phi[site] = -phi[site]
    return size


@numba.njit
def metropolis(phi, table, kappa, lam, width, rng):
    accepted = 0
    for site in range(phi.size):
        around = 0.0
        for other in table[site]:
            around += phi[other]
        old = phi[site]
        new = old + width * (2 * rng.random() - 1)
        before = -2 * kappa * around * old + (1 - 2 * lam) * old**2 + lam * old**4
        after = -2 * kappa * around * new + (1 - 2 * lam) * new**2 + lam * new**4
        if after <= before or rng.random() < math.exp(before - after):
            phi[site] = new
            accepted += 1
    return accepted


@numba.njit
def ising(L, beta, sweeps, rng):
    """(sweeps, 2): energy a site in units of J and magnetization a site, after every four clusters."""
    table, N = neighbours(L), L**3
    s, stack, inside = np.ones(N), np.empty(N + 1, np.int64), np.zeros(N, np.bool_)
    found = np.empty((sweeps, 2))
    for sweep in range(-sweeps // 10, sweeps):
        for _ in range(4):
            cluster(s, table, beta, stack, inside, rng)
        if sweep >= 0:
            bonds = 0.0
            for site in range(N):
                bonds += s[site] * (s[table[site, 0]] + s[table[site, 2]] + s[table[site, 4]])
            found[sweep] = -bonds / N, s.mean()
    return found


@numba.njit
def phi4(L, kappa, lam, sweeps, rng):
    """(sweeps, 4): action, Σφ, Σφ² and links Σ φ_x φ_{x+μ}, all a site, after every two sweeps with two clusters."""
    table, N = neighbours(L), L**3
    phi, stack, inside = rng.normal(0.0, 0.5, N), np.empty(N + 1, np.int64), np.zeros(N, np.bool_)
    found = np.empty((sweeps, 4))
    for sweep in range(-sweeps // 10, sweeps):
        for _ in range(2):
            metropolis(phi, table, kappa, lam, 1.2, rng)
            cluster(phi, table, 2 * kappa, stack, inside, rng)
        if sweep >= 0:
            links = 0.0
            for site in range(N):
                links += phi[site] * (phi[table[site, 0]] + phi[table[site, 2]] + phi[table[site, 4]])
            own = (1 - 2 * lam) * (phi**2).sum() + lam * (phi**4).sum()
            found[sweep] = (own - 2 * kappa * links) / N, phi.mean(), (phi**2).mean(), links / N
    return found


def mean(series):
    blocks = series.reshape(BLOCKS, -1).mean(1)
    return float(blocks.mean()), float(blocks.std(ddof=1) / math.sqrt(BLOCKS))


def row(columns, **about):
    found = {}
    for name, series in columns.items():
        found[name], found[f"{name}_err"] = mean(series)
    return about | found


def main(sweeps=300_000):
    rng = np.random.default_rng(1)
    a, b = ising(L, BETA, sweeps, rng), phi4(L, KAPPA, LAM, sweeps, rng)
    N = L**3
    rows = [
        row({"energy_per_site": a[:, 0], "abs_magnetization": np.abs(a[:, 1]), "susceptibility": N * a[:, 1] ** 2},
            name=f"Ising {L} x {L} x {L}, {BETA}", L=L, d=3, beta=BETA, clusters=4 * sweeps),
        row({"action_per_site": b[:, 0], "abs_magnetization": np.abs(b[:, 1]), "susceptibility": N * b[:, 1] ** 2,
             "phi_squared": b[:, 2], "links": b[:, 3]},
            name=f"phi^4 {L} x {L} x {L}, {KAPPA}", L=L, d=3, kappa=KAPPA, lam=LAM, sweeps=2 * sweeps),
    ]  # fmt: skip
    about = "Markov chains of cubes on a torus, J = 1; susceptibility is N<m²>, links Σ_μ φ_x φ_{x+μ} a site"
    Path(__file__).with_suffix(".json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    return rows


if __name__ == "__main__":
    for found in main():
        print(found)
