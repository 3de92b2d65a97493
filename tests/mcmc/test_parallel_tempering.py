"""Parallel tempering against enumeration, Kaufman and itself."""

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

import flowlab as fl
from flowlab import exact
from flowlab.core import named_generator
from flowlab.estimators.series.tempering import (
    log_z_bennett,
    log_z_integration,
    swap_acceptance,
    thermalisation,
    thermodynamics,
)
from flowlab.mcmc import ParallelTempering, TemperingState, adapted_ladder, ladder, spin_graph
from flowlab.mcmc.kernels.graphs import spread
from flowlab.systems import SpinGlass

CASES = json.loads((Path(__file__).parents[1] / "data" / "public_sk_exact.json").read_text())["cases"]


def glass(n: int, seed: int = 0) -> SpinGlass:
    return SpinGlass.sherrington_kirkpatrick(n, 1.0, seed)


def in_a_field() -> SpinGlass:
    J = glass(8, seed=3).J
    return SpinGlass(J, 1.0, np.linspace(-0.6, 0.9, 8))


def states(n: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=n)), dtype=torch.float64)


def started(chain: ParallelTempering, seed: int = 0) -> TemperingState:
    return chain.init(generator=named_generator(seed, "tempering"))


@pytest.mark.parametrize("system", [glass(8), in_a_field(), SpinGlass.edwards_anderson((2, 4), 1.0, 1, "pm1")])
def test_every_state_comes_with_its_probability(system):
    temperatures = [0.5, 1.0, math.inf]
    chain = ParallelTempering(system, temperatures, replicas=8, sweeps=2)
    state, _, _ = chain.run(started(chain), 100)
    _, _, spins = chain.run(state, 30_000, every=6, keep=range(3))
    numbers = (spins > 0) @ 2 ** np.arange(7, -1, -1)
    energies = system.energy(states(8).reshape(-1, *system.shape)).numpy()
    for k, T in enumerate(temperatures):
        p = np.exp(-(energies - energies.min()) / T)
        expected = p / p.sum() * numbers[..., k].size
        counts = np.bincount(numbers[..., k].ravel(), minlength=256)
        rare = expected < 10
        seen, wanted = (np.append(x[~rare], x[rare].sum()) for x in (counts, expected))
        statistic = ((seen - wanted) ** 2 / np.maximum(wanted, 1e-9))[wanted > 5].sum()
        assert 1e-4 < chi2.sf(statistic, (wanted > 5).sum() - 1) < 1 - 1e-4


@pytest.mark.parametrize(
    "system",
    [
        SpinGlass.edwards_anderson((2, 4), 1.0, 1, "pm1"),
        SpinGlass(SpinGlass.edwards_anderson((2, 4), 1.0, 3).J, 1.0, np.linspace(-0.6, 0.9, 8)),
        SpinGlass.random_regular(8, 3, 1.0, seed=1),
        glass(8),
    ],
    ids=["lattice", "in fields", "graph", "dense"],
)
def test_states_of_a_replica_and_its_partner_have_their_probability_with_clusters(system):
    """Single states, and how often two copies agree at every site, at two temperatures."""
    temperatures = [0.6, 1.2, math.inf]
    chain = ParallelTempering(system, temperatures, replicas=6, clusters=True)
    state, _, _ = chain.run(started(chain), 100)
    numbers, together = [], []
    for _ in range(1500):
        state, _, _ = chain.run(state, 8)
        places = (state.spins[0] > 0) @ 2 ** np.arange(7, -1, -1)
        numbers.append(places)
        together.append((state.spins[0, ::2] == state.spins[0, 1::2]).sum(-1))
    found, agree = np.array(numbers), np.array(together)
    energies = system.energy(states(8).reshape(-1, *system.shape)).numpy()
    s = states(8).numpy()
    for k, T in enumerate(temperatures):
        p = np.exp(-(energies - energies.min()) / T)
        p /= p.sum()
        pairs = np.zeros(9)
        np.add.at(pairs, ((s @ s.T + 8) / 2).astype(int), np.outer(p, p))
        # a set and its partner change together at most: half the count is a safe number of independent ones
        for probability, seen in ((p, found[:, :, k].ravel()), (pairs, agree[:, :, k].ravel())):
            counts = np.bincount(seen, minlength=len(probability)) / 2
            expected = probability * counts.sum()
            kept = expected > 10
            statistic = ((counts - expected) ** 2 / np.maximum(expected, 1e-9))[kept].sum()
            assert chi2.sf(statistic, max(kept.sum() - 1, 1)) > 1e-4, (T, len(probability))


def test_a_cluster_move_keeps_the_sum_of_energies_and_fields_fit():
    for system in (in_a_field(), SpinGlass.edwards_anderson((4, 4, 4), 1.0, 1), SpinGlass.random_regular(30, 3, 1.0)):
        from flowlab.mcmc.kernels.tempering import _isoenergetic

        chain = ParallelTempering(system, [0.5, 1.0], replicas=2, clusters=True)
        state, _, _ = chain.run(started(chain), 20)
        one, other = (state.spins[0, c, 0].copy() for c in (0, 1))
        fields = [state.fields[0, c, 0].copy() for c in (0, 1)]
        matrix, indices, couplings, degrees, external = (part[0] for part in chain._graph)
        graph = (matrix, indices, couplings, degrees)
        words = state.rng[0, 0, 0].copy().view(np.uint64)
        before = [one.copy(), other.copy()]
        moved = 0
        for _ in range(20):
            _isoenergetic(one, fields[0], other, fields[1], *graph, not external.any(), words)
            spins = torch.from_numpy(np.stack([one, other, *before])).double().reshape(-1, *system.shape)
            energies = system.energy(spins)
            assert float(energies[0] + energies[1]) == pytest.approx(float(energies[2] + energies[3]))
            local = system.local_fields(spins[:2]).flatten(1).numpy() / chain.unit
            np.testing.assert_allclose(np.stack(fields), local, atol=1e-4)
            moved += abs(float(energies[0] - energies[2])) > 1e-9
        assert moved or system.n_sites == 8


def test_the_lowest_energy_comes_with_its_configuration():
    for system in (glass(16, 2), SpinGlass.edwards_anderson((4, 5), 1.0, 1), SpinGlass.random_regular(20, 3, 1.0, 5)):
        J, h = system.J.numpy(), system.h.numpy()
        least = math.inf
        for high in itertools.product([-1.0, 1.0], repeat=system.n_sites - 12):
            s = np.hstack([np.tile(high, (4096, 1)), states(12).numpy()])
            least = min(least, float((-0.5 * ((s @ J) * s).sum(1) - s @ h).min()))
        for clusters in (False, True):
            chain = ParallelTempering(system, [0.3, 0.6, 1.2, math.inf], replicas=2, clusters=clusters)
            state, energies, _ = chain.run(started(chain), 400)
            found = torch.from_numpy(state.found[0]).double().reshape(-1, *system.shape)
            assert float(system.energy(found).min()) == pytest.approx(least, abs=1e-9)
            np.testing.assert_allclose(system.energy(found).numpy() / chain.unit, state.lowest[0], atol=1e-4)
            assert (chain.by_replica(state.lowest)[0] * chain.unit <= energies.min((0, 1, 3)) + 1e-4).all()


def test_states_without_a_lowest_energy_are_of_an_earlier_version():
    chain = ParallelTempering(glass(16), [0.5, 1.0], replicas=2)
    state, _, _ = chain.run(started(chain), 5)
    arrays = {name: array for name, array in chain.state_dict(state).items() if name not in ("lowest", "found")}
    again = chain.load_state_dict(arrays)
    np.testing.assert_allclose(again.lowest * chain.unit, state.energies.min(2))
    assert chain.run(again, 5)[0].spins.tolist() == chain.run(state, 5)[0].spins.tolist()


def test_thermodynamics_and_log_z_of_several_instances_at_once():
    cases = [case for case in CASES if case["N"] == 16]
    seeds, wanted = sorted({c["seed"] for c in cases}), sorted({c["T"] for c in cases})
    temperatures = ladder(wanted, 16)
    chain = ParallelTempering([glass(16, seed) for seed in seeds], temperatures)
    state, _, _ = chain.run(started(chain), 1000)
    _, energies, _ = chain.run(state, 8000)
    worst = []
    for d, seed in enumerate(seeds):
        known = {c["T"]: c for c in cases if c["seed"] == seed}
        arguments = energies[:, d], temperatures, 16
        found = thermodynamics(*arguments)
        estimates = [("E_per_site", found.energy_per_site), ("C_per_site", found.specific_heat)]
        estimates += [("lnZ", log_z_bennett(*arguments)), ("lnZ", log_z_integration(*arguments))]
        for name, estimate in estimates:
            for T, case in known.items():
                k = temperatures.index(T)
                assert 0 < estimate.error[k] < 0.03 * max(1.0, abs(case[name]))
                worst.append((estimate.value[k] - case[name]) / estimate.error[k])
    assert np.abs(worst).max() < 4
    assert 0.5 < np.std(worst) < 1.5


def test_ising_against_kaufman():
    temperatures = ladder([1.5, 2.0, 2.5, 3.0], fl.Ising((4, 4), T=1.0))
    assert temperatures == ladder([1.5, 2.0, 2.5, 3.0], 16, scale=2.0)
    chain = ParallelTempering(fl.Ising((4, 4), T=1.0), temperatures)
    state, _, _ = chain.run(started(chain), 500)
    _, energies, _ = chain.run(state, 20_000)
    found, log_z = (f(energies[:, 0], temperatures, 16) for f in (thermodynamics, log_z_bennett))
    for k, T in enumerate(temperatures[:-1]):
        known = exact.kaufman((4, 4), 1 / T)
        for estimate, value in (
            (found.energy_per_site, known.energy_per_site),
            (found.specific_heat, known.specific_heat_per_site),
            (log_z, known.log_z),
        ):
            assert abs(estimate.value[k] - value) < 4 * estimate.error[k] < 0.1
    assert log_z.value[-1] == pytest.approx(16 * math.log(2), abs=1e-12)


def star():
    J = torch.zeros(9, 9)
    J[0, 1:] = J[1:, 0] = torch.linspace(-1, 1, 8)
    return SpinGlass(J, T=1.0, h=0.2)


@pytest.mark.parametrize(
    "system",
    [
        glass(24),
        star(),
        in_a_field(),
        fl.Ising((4, 6), T=1.0, J=-1.0, h=0.3),
        SpinGlass.edwards_anderson((3, 3, 3), 1.0),
    ],
)
def test_energies_are_those_of_the_spins(system):
    chain = ParallelTempering(system, [0.5, 1.0, 2.0], replicas=2)
    state, energies, spins = chain.run(started(chain), 200, every=50, keep=range(3))
    x = torch.from_numpy(spins.astype(np.float64)).reshape(-1, *system.shape)
    np.testing.assert_allclose(energies.ravel(), system.energy(x).numpy(), atol=1e-5 * system.n_sites)
    np.testing.assert_array_equal(state.energies, energies[-1])


def test_a_swap_of_two_levels():
    """Cold on the lower level: exp[(β_0 - β_1)(E_0 - E_1)] = e^-2 of the tries; cold on the upper one: all."""
    from flowlab.mcmc.kernels.tempering import _swap

    betas, words = np.array([2.0, 1.0]), np.random.default_rng(0).integers(0, 2**64, (2, 4), dtype=np.uint64)
    accepted, tries = np.zeros(1, dtype=np.int64), 4000
    for cold, hot in ((-1.0, 1.0), (1.0, -1.0)):
        accepted[:] = 0
        for _ in range(tries):
            spins, fields = np.array([[1], [-1]], dtype=np.int8), np.array([[1.0], [2.0]], dtype=np.float32)
            energies, walkers = np.array([cold, hot]), np.array([0, 1], dtype=np.int16)
            _swap(betas, 0, spins, fields, energies, walkers, np.zeros(2, dtype=np.int8), accepted, words)
            if walkers[0] == 1:
                assert spins.tolist() == [[-1], [1]] and fields.tolist() == [[2], [1]]
                assert energies.tolist() == [hot, cold]
        p = min(1.0, math.exp(cold - hot))
        assert abs(accepted[0] - p * tries) <= 4 * math.sqrt(p * (1 - p) * tries)


def test_swaps_are_counted_and_travel():
    temperatures = [0.5, 1.0, 2.0, math.inf]
    chain = ParallelTempering(glass(12), temperatures, replicas=2)
    state = started(chain)
    trips = np.zeros((1, 2), dtype=np.int64)
    last_end = {}
    for step in range(400):
        before = state
        state, info = chain.step(state)
        assert info.tried.tolist() == [k % 2 == step % 2 for k in range(3)]
        assert not info.swapped[..., ~info.tried].any()
        assert np.array_equal(np.sort(info.walkers), np.broadcast_to(np.arange(4), (1, 2, 4)))
        moved = before.walkers[..., :-1] != info.walkers[..., :-1]
        assert np.array_equal(info.swapped.any(-1), moved.any(-1))
        for replica in range(2):
            cold, hot = info.walkers[0, replica, [0, -1]].tolist()
            trips[0, replica] += last_end.get((replica, cold)) == "hot"
            last_end[replica, cold] = "cold"
            if last_end.get((replica, hot)) == "cold":
                last_end[replica, hot] = "hot"
    assert np.array_equal(info.round_trips, trips) and trips.min() > 5
    state, energies, _ = chain.run(state, 4000)
    expected = swap_acceptance(energies[:, 0], temperatures)
    np.testing.assert_allclose(state.accepted.mean((0, 1)) / 2200, expected, atol=0.04)


def same(a: TemperingState, b: TemperingState) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("clusters", [False, True])
def test_interrupted_is_uninterrupted(tmp_path, clusters):
    chain = ParallelTempering([glass(20), glass(20, 1)], [0.3, 0.6, 1.2], replicas=3, clusters=clusters)
    begin = started(chain)
    copy = TemperingState(*(array.copy() for array in begin))
    end, energies, spins = chain.run(begin, 300, every=7, keep=[0, -1])
    assert same(begin, copy)
    half, first, first_spins = chain.run(begin, 129, every=7, keep=[0, -1])
    save_file(chain.state_dict(half), tmp_path / "state.safetensors")
    again = chain.load_state_dict(load_file(tmp_path / "state.safetensors"))
    again, _ = chain.step(again)
    resumed, second, second_spins = chain.run(again, 170, every=7, keep=[0, -1])
    assert same(end, resumed)
    assert np.array_equal(energies, np.concatenate([first, second]))
    assert np.array_equal(spins, np.concatenate([first_spins, second_spins]))
    assert spins.shape == (42, 2, 3, 2, 20) and (np.abs(spins) == 1).all()


@pytest.mark.parametrize("clusters", [False, True])
def test_threads_do_not_matter_and_seeds_do(clusters):
    runs = []
    for threads, seed in ((1, 0), (2, 0), (1, 1)):
        chain = ParallelTempering(glass(16), [0.5, 1.0], replicas=3, threads=threads, clusters=clusters)
        runs.append(chain.run(started(chain, seed), 50)[0])
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])
    sets = runs[0].energies.reshape(-1, 2)
    assert clusters or len(np.unique(sets)) == 6  # replicas are not copies of each other


def test_ladder_keeps_what_is_given_and_swaps_well():
    given = [0.2, 0.42, 1.13, 2.5]
    temperatures = ladder(given, 64)
    assert set(given) <= set(temperatures) and temperatures[-1] == math.inf
    chain = ParallelTempering(glass(64), temperatures)
    _, energies, _ = chain.run(started(chain), 2000)
    assert swap_acceptance(energies[1000:, 0], temperatures).min() > 0.25


@pytest.mark.parametrize("s", [5.0, 0.7, 1e-25, 1e25])
def test_other_units_change_nothing(s):
    """J and T times s: the same ladder times s, and the same configurations."""
    for system in (glass(20), SpinGlass.edwards_anderson((4, 4), 1.0), in_a_field()):
        found = []
        for unit in (1.0, s):
            scaled = SpinGlass(system.J * unit, unit, system.h * unit)
            temperatures = ladder([0.4 * unit, unit], scaled)
            chain = ParallelTempering(scaled, temperatures, replicas=2)
            _, energies, spins = chain.run(started(chain), 100, every=10, keep=[0, -1])
            found.append((np.array(temperatures) / unit, energies / unit, spins))
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["gaussian", "pm1"])
@pytest.mark.parametrize("shape", [(6, 6), (4, 4, 4)])
def test_the_ladder_of_a_lattice_swaps_well(shape, kind):
    system = SpinGlass.edwards_anderson(shape, 1.0, 0, kind)
    temperatures = ladder([0.5, 1.0], system)
    chain = ParallelTempering(system, temperatures)
    _, energies, _ = chain.run(started(chain), 1500)
    assert swap_acceptance(energies[500:, 0], temperatures).min() > 0.25


def test_the_spread_is_that_of_the_energy_at_infinite_temperature():
    for system in (glass(10), in_a_field(), fl.Ising((2, 4), T=1.0, J=2.0, h=0.5)):
        energy = system.energy(states(system.n_sites).reshape(-1, *system.shape))
        assert spread(spin_graph(system)) == pytest.approx(
            (2 * float(energy.var(unbiased=False)) / system.n_sites) ** 0.5
        )
    assert spread(spin_graph(SpinGlass(np.zeros((4, 4)), 1.0))) == 1


def test_a_state_kept_with_fields_in_the_units_of_the_couplings_goes_on():
    chain = ParallelTempering(SpinGlass(3 * glass(12).J, 1.0), [1.0, 2.0])
    state = chain.run(started(chain), 70)[0]
    arrays = {name: array for name, array in chain.state_dict(state).items() if name != "unit"}
    arrays["fields"] = arrays["fields"] * np.float32(chain.unit)
    again = chain.load_state_dict(arrays)
    np.testing.assert_allclose(again.fields, state.fields, rtol=1e-6)
    assert np.array_equal(chain.run(again, 20)[0].spins, chain.run(state, 20)[0].spins)


def verdict(temperatures: list[float], discarded: int, steps: int) -> str:
    chain = ParallelTempering(glass(64, 1), temperatures)
    state, _, _ = chain.run(started(chain), discarded)
    end, energies, _ = chain.run(state, steps)
    return thermalisation(energies[:, 0], temperatures, round_trips=(end.round_trips - state.round_trips)[0]).text


def test_a_good_run_is_thermalised_and_bad_ones_are_not():
    temperatures = ladder([0.2, 2.5], 64)
    assert verdict(temperatures, 1000, 8000).startswith("thermalised")
    too_short = verdict(temperatures, 0, 600)
    assert too_short.startswith("not thermalised: thirds of the run differ"), too_short
    cold_only = verdict(temperatures[:3], 1000, 2000)
    assert cold_only.startswith("not thermalised") and "differ" in cold_only, cold_only


class Pieces(fl.System):
    """Spins with a four-spin energy, for example."""

    shape, dims, domain, couplings = (4,), ("site",), "spin", {}

    def log_weight(self, x):
        return x.prod(-1)

    def observables(self, x):
        return {}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"system": Pieces()}, TypeError, "got Pieces"),
        ({"system": []}, ValueError, "at least one system"),
        ({"system": [glass(4), glass(6)]}, ValueError, r"the same shape, got \[\(4,\), \(6,\)\]"),
        ({"temperatures": [1.0]}, ValueError, "at least 2 temperatures, got 1"),
        ({"temperatures": [0.0, 1.0]}, ValueError, r"must be positive, got \[0.0, 1.0\]"),
        ({"temperatures": [math.nan, 1.0]}, ValueError, "must be positive"),
        ({"temperatures": [1.0, 1.0]}, ValueError, "must increase"),
        ({"replicas": 0}, ValueError, "replicas must be a whole number of at least 1, got 0"),
        ({"sweeps": 0}, ValueError, "sweeps must be"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, error, message):
    arguments = {"system": glass(4), "temperatures": [0.5, 1.0]} | arguments
    with pytest.raises(error, match=message):
        ParallelTempering(arguments.pop("system"), arguments.pop("temperatures"), **arguments)


def test_bad_states_and_runs_are_refused():
    chain = ParallelTempering(glass(4), [0.5, 1.0])
    state = started(chain)
    with pytest.raises(ValueError, match="keep below 2"):
        chain.run(state, 1, keep=[2])
    with pytest.raises(ValueError, match=r"needs \['rng'\]"):
        chain.load_state_dict({k: v for k, v in chain.state_dict(state).items() if k != "rng"})
    with pytest.raises(ValueError, match="needs spins of shape"):
        ParallelTempering(glass(6), [0.5, 1.0]).step(state)
    with pytest.raises(ValueError, match="at least one of them finite"):
        ladder([math.inf], 8)
    with pytest.raises(ValueError, match="a number of sites with scale=2"):
        ladder([1.0], glass(4), scale=2)
    assert spin_graph(glass(4)).fields.tolist() == [0, 0, 0, 0]


def test_an_adapted_ladder_has_even_swaps_and_all_that_is_given():
    system, given = SpinGlass.edwards_anderson((8, 8), 1.0, 1, "pm1"), [0.4, 0.45, 1.0]
    found = adapted_ladder(system, given, replicas=3, seed=1)
    assert set(given) < set(found) and math.isinf(found[-1]) and list(found) == sorted(set(found))
    assert found == adapted_ladder(system, given, replicas=3, seed=1)
    chain = ParallelTempering(system, found, replicas=4)
    state, _, _ = chain.run(started(chain), 400)
    state, energies, _ = chain.run(state, 1000)
    rates = swap_acceptance(energies[:, 0], found)
    assert rates.min() > 0.15
    free = [k for k, (a, b) in enumerate(itertools.pairwise(found)) if not {a, b} <= set(given)]
    assert len(free) > 2 and rates[free].max() < 0.8
