"""Local chains of the Ising model, and what all its chains have in common: against enumeration and reference runs."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from scipy.stats import chi2

from flowlab.core import named_generator
from flowlab.exact import enumerate_spins
from flowlab.mcmc.heat_bath import HeatBath, IsingChain, IsingState, Metropolis
from flowlab.mcmc.swendsen_wang import SwendsenWang
from flowlab.mcmc.wolff import Wolff
from flowlab.systems import Ising, TriangularIsing

DATA = Path(__file__).parents[1] / "data"
LOCAL = [HeatBath, Metropolis]
ALL = [*LOCAL, Wolff, SwendsenWang]
SMALL = [
    Ising((2, 4), 3.0),
    Ising((2, 4), 2.5, J=-1.0),
    Ising((4, 2), 4.0, J=0.7, h=0.4),
    Ising((2, 4), 3.0, -0.8, -0.5),
    Ising((8,), 1.5, 0.9),
    Ising((4,), 2.0, -1.0, 0.3),
    Ising((2, 2, 2), 7.0, 0.9),
    Ising((2, 2, 2), 6.0, -0.8, 0.4),
]


def started(chain: IsingChain, n: int, seed: int = 0) -> IsingState:
    return chain.init(n, generator=named_generator(seed, "ising"))


def states(shape: tuple[int, ...]) -> torch.Tensor:
    every = itertools.product([-1.0, 1.0], repeat=math.prod(shape))
    return torch.tensor(list(every), dtype=torch.float64).reshape(-1, *shape)


@pytest.mark.parametrize(
    ("kind", "system"),
    [(k, s) for k in ALL for s in SMALL if k in LOCAL or s.flip_symmetric] + [(SwendsenWang, Ising((3, 2), 2.5, -1.0))],
)
def test_every_state_comes_with_its_probability(kind, system):
    chain = kind(system)
    state, N = chain.run(started(chain, 4000), 30)[0], system.n_sites
    counts = np.zeros(2**N)
    for _ in range(25):
        state, _ = chain.run(state, 8)
        numbers = (state.configurations.reshape(-1, N) > 0) @ 2 ** np.arange(N - 1, -1, -1)
        counts += np.bincount(numbers, minlength=2**N)
    expected = torch.softmax(system.log_weight(states(system.shape)), 0).numpy() * counts.sum()
    rare = expected < 10
    seen, wanted = (np.append(x[~rare], x[rare].sum()) for x in (counts, expected))
    statistic = ((seen - wanted) ** 2 / np.maximum(wanted, 1e-9))[wanted > 5].sum()
    assert 1e-4 < chi2.sf(statistic, (wanted > 5).sum() - 1) < 1 - 1e-4


@pytest.mark.parametrize("kind", ALL)
def test_a_sweep_keeps_the_exact_distribution_of_4x4(kind):
    """From exact draws, one sweep at a time, energy and magnetization keep their distribution."""
    system = Ising((4, 4), 2.269185314)
    x = states((4, 4)).float()
    p = torch.softmax(system.log_weight(x).double(), 0)
    drawn = torch.multinomial(p, 40_000, replacement=True, generator=named_generator(0, "exact draws"))
    chain = kind(system)
    state = chain.init(len(drawn), start=x[drawn], generator=named_generator(1, "exact draws"))
    for _ in range(3):
        state, info = chain.step(state)
    for name, observed in (("energy_per_site", info.energy_per_site), ("magnetization", info.magnetization)):
        exact = system.observables(x)[name].double().round(decimals=5)
        levels, place = exact.unique(return_inverse=True)
        wanted = len(drawn) * torch.zeros(len(levels), dtype=torch.float64).index_add(0, place, p).numpy()
        seen = np.bincount(np.abs(observed[:, None] - levels.numpy()).argmin(1), minlength=len(levels))
        big = wanted > 5
        statistic = ((seen - wanted) ** 2 / wanted)[big].sum()
        assert 1e-4 < chi2.sf(statistic, big.sum() - 1) < 1 - 1e-4, name


def of_many(values: np.ndarray) -> tuple[float, float]:
    """Mean over independent chains and its standard error."""
    means = values.mean(0)
    return float(means.mean()), float(means.std(ddof=1) / math.sqrt(len(means)))


@pytest.mark.parametrize(
    ("kind", "L", "T"),
    [(k, 8, T) for k in ALL for T in (1.8, 2.269185314, 3.0)] + [(Wolff, 32, 2.269185314), (SwendsenWang, 16, 2.5)],
)
def test_the_reference_runs(kind, L, T):
    cases = json.loads((DATA / "public_ising_mc.json").read_text())["cases"]
    case = next(c for c in cases if (c["L"], c["T"]) == (L, T))
    chain = kind(Ising((L, L), T))
    n, sweeps = 100, 300 if kind in LOCAL else 100
    state, _ = chain.run(
        chain.init(n, start=torch.ones(n, L, L), generator=named_generator(0, "reference")), sweeps // 4
    )
    _, found = chain.run(state, sweeps)
    m = found["magnetization"]
    for values, name in (
        (found["energy_per_site"], "E_per_site"),
        (np.abs(m), "abs_m"),
        (L * L * m**2, "chi"),
    ):
        value, error = of_many(values)
        assert abs(value - case[name]) < 4 * math.hypot(error, case[name + "_err"]), name
        assert error < 0.03 * abs(case[name]), name
    value, error = of_many(found["energy_per_site"])
    assert abs(value - case["E_per_site_exact"]) < 4 * error


@pytest.mark.parametrize(
    "system",
    [Ising((4, 6), 1.5, -1.0, 0.3), Ising((6, 2), 2.0, 0.5), Ising((8, 8), 2.0), Ising((6,), 1.0),
     Ising((2, 4, 6), 4.0, -1.0, 0.3)],
)  # fmt: skip
@pytest.mark.parametrize("kind", ALL)
def test_what_is_measured_is_that_of_the_spins(kind, system):
    if kind not in LOCAL:
        system = system.at(h=0.0)
    chain = kind(system)
    state = started(chain, 5)
    for _ in range(3):
        before = state
        state, info = chain.step(state)
        known = system.observables(torch.from_numpy(state.configurations.astype(np.float64)))
        np.testing.assert_allclose(info.energy_per_site, known["energy_per_site"].numpy(), atol=1e-12)
        np.testing.assert_allclose(info.magnetization, known["magnetization"].numpy(), atol=1e-12)
        changed = (before.configurations != state.configurations).reshape(5, -1).sum(1)
        assert (changed <= info.flipped).all() and ((info.flipped - changed) % 2 == 0).all()
        assert (np.abs(state.configurations) == 1).all()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("shape", [(2, 4, 2), (3, 2, 3), (12,)])
def test_moments_of_rings_and_boxes_are_those_of_enumeration(kind, shape):
    """Sides that differ, and odd ones, on which neighbours in another order would be noticed."""
    if kind in LOCAL and any(side % 2 for side in shape):
        pytest.skip("no checkerboard")
    system = Ising(shape, 1.5 if len(shape) == 1 else 4.5)
    known, chain = enumerate_spins(system), kind(system)
    state, _ = chain.run(started(chain, 400), 60)
    _, found = chain.run(state, 100)
    m = np.abs(found["magnetization"])
    for values, value in (
        (found["energy_per_site"], known.mean["energy_per_site"]),
        (m, known.abs_magnetization),
        (m**2, known.magnetization_squared),
        (m**4, known.magnetization_fourth),
    ):
        mean, error = of_many(values)
        assert abs(mean - value) < 4 * error < 0.1 * abs(value)


def same(a: IsingState, b: IsingState) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("kind", ALL)
def test_interrupted_is_uninterrupted(kind, tmp_path):
    chain = kind(Ising((8, 6), 2.3))
    begin = started(chain, 5)
    copy = IsingState(*(array.copy() for array in begin))
    end, whole = chain.run(begin, 30)
    assert same(begin, copy)
    half, first = chain.run(begin, 13)
    save_file(chain.state_dict(half), tmp_path / "state.safetensors")
    again, info = chain.step(chain.load_state_dict(load_file(tmp_path / "state.safetensors")))
    resumed, second = chain.run(again, 16)
    assert same(end, resumed)
    for name, values in whole.items():
        parts = np.concatenate([first[name], getattr(info, name)[None], second[name]])
        assert values.shape == (30, 5) and np.array_equal(values, parts)


@pytest.mark.parametrize("kind", ALL)
def test_threads_do_not_matter_and_seeds_do(kind):
    runs = []
    for threads, seed in ((1, 0), (3, 0), (1, 1)):
        chain = kind(Ising((6, 6), 2.3), threads=threads)
        runs.append(chain.run(started(chain, 4, seed), 10)[0])
    assert same(runs[0], runs[1])
    assert not np.array_equal(runs[0].configurations, runs[2].configurations)
    assert len(np.unique(runs[0].configurations.reshape(4, -1), axis=0)) == 4


@pytest.mark.parametrize(("kind", "rate"), [(HeatBath, 0.5), (Metropolis, 0.9)])
def test_how_often_a_free_spin_flips(kind, rate):
    chain = kind(Ising((8, 8), 2.0, J=0.0))
    flipped = chain.step(started(chain, 500))[1].flipped.sum()
    assert abs(flipped - 32_000 * rate) < 4 * math.sqrt(32_000 * rate * (1 - rate))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: HeatBath(TriangularIsing((6, 6), 1.0)), TypeError, "HeatBath needs an Ising system, got Triangular"),
        (lambda: Metropolis(Ising((4, 3), 1.0)), ValueError, r"two even sides for a checkerboard, got \(4, 3\)"),
        (lambda: HeatBath(Ising((4, 3, 2), 1.0)), ValueError, r"even sides for a checkerboard, got \(4, 3, 2\)"),
        (lambda: HeatBath(Ising((4, 4), 1.0), threads=0), ValueError, "threads must be a whole number .* got 0"),
        (lambda: HeatBath(Ising((4, 4), 1.0)).init(0), ValueError, "at least 1, got 0"),
        (lambda: HeatBath(Ising((4, 4), 1.0)).init(2, start=np.ones((3, 4, 4))), ValueError, "hold 2 config.* got 3"),
        (lambda: HeatBath(Ising((4, 4), 1.0)).init(2, start=np.ones((2, 4, 6))), ValueError, r"\(n, 4, 4\)"),
        (lambda: HeatBath(Ising((4, 4), 1.0)).init(1, start=np.zeros((1, 4, 4))), ValueError, "-1 or \\+1, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_bad_states_and_runs_are_refused():
    chain = HeatBath(Ising((4, 4), 2.0))
    state = started(chain, 2)
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        chain.run(state, -1)
    with pytest.raises(ValueError, match=r"a state of HeatBath needs \['rng'\] too"):
        chain.load_state_dict({"configurations": state.configurations})
    with pytest.raises(ValueError, match=r"shape \(n, 4, 6\)"):
        HeatBath(Ising((4, 6), 2.0)).step(state)
