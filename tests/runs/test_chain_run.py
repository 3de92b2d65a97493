"""A batch of chains as a run: measured, kept, interrupted, killed, resumed, refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import xarray as xr

from flowlab import exact
from flowlab.densities import Normal
from flowlab.mcmc import HeatBath
from flowlab.mcmc.hmc import HMC
from flowlab.mcmc.independence import IndependenceMetropolis
from flowlab.mcmc.langevin import Langevin
from flowlab.mcmc.mixed import Mixed
from flowlab.runs.chain_run import ChainRun
from flowlab.storage.store import Store
from flowlab.systems import Ising, Phi4

SYSTEM = Phi4((4, 4), kappa=0.2, lam=0.02)
HMC_CHAIN = HMC(SYSTEM, steps=4, tuning=20)
PROPOSALS = IndependenceMetropolis(Normal((4, 4)), SYSTEM)
CHAINS = {
    "hmc": HMC_CHAIN,
    "langevin": Langevin(SYSTEM, 0.05, adjusted=True),
    "independence": PROPOSALS,
    "mixed": Mixed(PROPOSALS, HMC_CHAIN),
}


def run_of(chain=HMC_CHAIN, **more):
    keys = {"chains": 6, "steps": 20, "every": 5, "keep_every": 3, "seed": 1} | more
    run = ChainRun(chain.system, chain, **keys)
    vars(run)["log_z_exact"] = None  # takes longer than the chains
    return run


class FairCoins:
    """Spins at infinite temperature, as a chain of numpy arrays."""

    def __init__(self, system):
        self.system = system

    def init(self, n, *, generator=None):
        seed = int(torch.randint(1000, (), generator=generator))
        return self.drawn(np.array(seed), n)

    def drawn(self, seed, n):
        from collections import namedtuple

        spins = np.random.default_rng(int(seed)).choice(np.array([-1, 1], dtype=np.int8), (n, *self.system.shape))
        return namedtuple("State", "configurations seed")(spins, np.asarray(seed))

    def run(self, state, sweeps):
        rows = []
        for _ in range(sweeps):
            state = self.drawn(state.seed + 1, len(state.configurations))
            x = torch.from_numpy(state.configurations).double()
            rows.append({name: values.numpy() for name, values in self.system.observables(x).items()})
        return state, {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def state_dict(self, state):
        return state._asdict()

    def load_state_dict(self, tensors):
        return self.drawn(np.asarray(tensors["seed"]), len(tensors["configurations"]))


@pytest.fixture(scope="module")
def done():
    run = run_of(HMC(SYSTEM, steps=6, tuning=30), chains=50, steps=40)
    run.run(progress=False)
    return run


def test_evaluation_has_every_observable_with_its_error_and_memory(done):
    found = done.evaluate()
    names = {
        "acceptance",
        "phi_squared",
        "equation_of_motion",
        "abs_magnetization",
        "susceptibility_connected",
        "binder",
    }
    names |= {"action_per_site", "magnetization", "structure_factor_1", "susceptibility", "correlation_length"}
    assert names | {f"tau_int_{name}" for name in names} | {"tau_int"} == {n for n in found if not n.endswith("_error")}
    for name in names:
        assert float(found[f"{name}_error"]) > 0 and float(found[f"tau_int_{name}"]) >= 0.5, name
        assert found[name].attrs["long_name"] and found[f"tau_int_{name}"].attrs["units"] == "steps"
    assert abs(float(found.equation_of_motion) - 1) < 4 * float(found.equation_of_motion_error)
    assert found.attrs["warnings"] == "" and found.attrs["n"] == 34 * 5 * 50
    slowest = found.tau_int.attrs["observable"]
    assert float(found.tau_int) == float(found[f"tau_int_{slowest}"]) < 5


def test_data_says_how_it_goes(done):
    data = done.data
    assert np.isfinite(data.action_mean).all() and float(data.step_size[-1]) == float(data.step_size[10])
    assert abs(float(data.acceptance[10:].mean()) - 0.8) < 0.1
    assert float(data.action_mean[-1]) / 16 == pytest.approx(0.48, abs=0.1)
    assert "S / N" in done.headline() and "acceptance" in repr(done)
    assert done.seconds_per_step() > 0 and done.step == 40
    for variable in data.data_vars.values():
        assert variable.attrs["long_name"] and variable.attrs["units"]


def test_samples_are_configurations_that_were_kept(done):
    found = done.sample(7)
    assert found.configuration.dims == ("sample", "y", "x") and found.configuration.shape == (7, 4, 4)
    kept = {field.tobytes() for fields in done._kept[2:] for field in fields.astype(np.float64)}
    assert all(field.tobytes() in kept for field in found.configuration.values)
    xr.testing.assert_identical(found, done.sample(7, seed=found.attrs["seed"]))


@pytest.mark.parametrize("name", CHAINS)
def test_interrupted_and_resumed_is_uninterrupted(name, tmp_path):
    chain = CHAINS[name]
    straight = run_of(chain)
    straight.run(progress=False)
    run = run_of(chain)
    run.attach(tmp_path / "run")
    run.run(7, progress=False)
    resumed = run_of(chain)
    resumed.restore(tmp_path / "run")
    assert resumed.step == 7
    resumed.run(progress=False)
    again = run_of(chain)
    again.restore(tmp_path / "run")
    for other in (resumed, again):
        xr.testing.assert_identical(other.data.drop_vars("wall_time"), straight.data.drop_vars("wall_time"))
        xr.testing.assert_identical(other.measured, straight.measured)
        xr.testing.assert_identical(other.evaluate(), straight.evaluate())
        xr.testing.assert_identical(other.sample(5, seed=2), straight.sample(5, seed=2))


def test_what_a_killed_run_wrote_beyond_its_checkpoint_is_made_again(tmp_path):
    run = run_of()
    run.attach(tmp_path / "run")
    run.run(8, progress=False)
    with Store.open(tmp_path / "run") as store:
        store.write_part(15, run._part(0))
    resumed = run_of()
    resumed.restore(tmp_path / "run")
    assert len(resumed._series) == resumed.step == 8
    resumed.run(progress=False)
    parts = sorted((tmp_path / "run" / "samples").glob("*.nc"))
    with xr.open_dataset(parts[-1], engine="h5netcdf") as part:  # needs no flowlab
        assert part.step.values[-1] == 20 and part.magnetization.dims == ("step", "sweep", "chain")
        assert part.configuration.dims == ("kept", "chain", "y", "x") and part.configuration.dtype == np.float32


def test_spins_in_numpy_arrays(tmp_path):
    system = Ising((2, 4), T=1e6)
    run = run_of(FairCoins(system), chains=40, steps=30)
    run.attach(tmp_path / "run")
    run.run(progress=False)
    found = run.evaluate()
    assert float(found.specific_heat) >= 0 and "correlation_length" not in found
    assert abs(float(found.susceptibility) - 1) < 4 * float(found.susceptibility_error)
    energy = -(exact.log_z(system.at(T=1e6 / 1.001)) - exact.log_z(system)) / (1e-9 * 8)
    assert abs(float(found.energy_per_site) - energy) < 4 * float(found.energy_per_site_error)
    assert set(np.unique(run.sample(20).configuration)) == {-1.0, 1.0}
    assert math.isfinite(run.data.energy_mean[-1]) and "action_mean" not in run.data
    again = run_of(FairCoins(system), chains=40, steps=30)
    again.restore(tmp_path / "run")
    xr.testing.assert_identical(again.evaluate(), found)
    assert run._kept[0].dtype == np.int8


def test_many_equilibrated_chains_are_not_too_short():
    """280 sweeps are 30 autocorrelation times, and 120 were left out before: 13 of them."""
    system, keys = Ising((8, 8), T=3.0), dict(chains=200, every=10)
    run = ChainRun(system, HeatBath(system), steps=40, discard=0.3, **keys)
    run.run(progress=False)
    found = run.evaluate()
    assert found.attrs["verdict"].startswith("consistent"), found.attrs["verdict"]
    energy = exact.kaufman((8, 8), 1 / 3).energy_per_site
    assert abs(float(found.energy_per_site) - energy) < 4 * float(found.energy_per_site_error)
    fresh = ChainRun(system, HeatBath(system), steps=28, discard=0.0, **keys)
    fresh.run(progress=False)
    assert "at least 50 are needed" in fresh.evaluate().attrs["warnings"]


def test_chains_that_are_too_short_or_stuck_are_named():
    short = run_of(Langevin(SYSTEM, 0.001, adjusted=True))
    short.run(progress=False)
    assert "autocorrelation times of" in short.evaluate().attrs["warnings"]
    apart = run_of(HMC(SYSTEM, steps=8, step_size=0.3), chains=12, steps=60)
    apart._chain_state.configurations[0] *= 60.0  # where the leapfrog is not stable: every trajectory is rejected
    apart.run(progress=False)
    assert "chains differ in action per site" in apart.evaluate().attrs["warnings"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"discard": 1.0}, "discard must lie in"),
        ({"every": 0}, "every and keep_every must be at least 1"),
        ({"chains": 0}, "number of chains must be at least 1"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_refuses(keys, message):
    with pytest.raises(ValueError, match=message):
        run_of(**keys)


def test_too_short_a_run_says_so():
    run = run_of()
    run.run(2, progress=False)
    with pytest.raises(ValueError, match="need 4 measured steps after 20 sweeps of tuning, got 0: run it longer"):
        run.evaluate()
    with pytest.raises(ValueError, match="none so far"):
        run.sample(3)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        run.sample(0)
    assert json.dumps(run.meta())
