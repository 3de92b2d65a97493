"""Laws of every experiment: reproducible, resumable, readable."""

import contextlib

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from tests.laws.named import assert_named
from tests.laws.registry import EXPERIMENTS
from tests.runs.small_runs import broken_off_everywhere

pytestmark = pytest.mark.usefixtures("short_warm_up", "few_enumerated")


@pytest.fixture(params=EXPERIMENTS)
def make(request):
    return EXPERIMENTS[request.param]


def records(run):
    return run.data.drop_vars("wall_time")


def test_same_seed_same_records_another_seed_others(make):
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    for run in (first, again, other):
        run.run(3, progress=False)
    xr.testing.assert_identical(records(first), records(again))
    assert not np.array_equal(first.data.loss, other.data.loss)


def test_looking_never_changes_training(make):
    quiet, watched = make(), make()
    quiet.run(progress=False)
    for _ in watched.stream():
        watched.layers(4)
        watched.sample(3)
    xr.testing.assert_identical(records(quiet), records(watched))


def test_never_uses_the_global_generator(make):
    before = torch.get_rng_state()
    run = make()
    run.run(2, progress=False)
    run.evaluate(50)
    assert torch.equal(before, torch.get_rng_state())


def test_interrupted_and_resumed_is_uninterrupted(make, tmp_path):
    straight = make()
    straight.run(progress=False)
    run = make(out=tmp_path / "run")
    run.run(3, progress=False)
    resumed = fl.load(tmp_path / "run")
    assert resumed.step == 3 and resumed.keys == run.keys
    resumed.run(progress=False)
    xr.testing.assert_identical(records(resumed), records(straight))
    xr.testing.assert_identical(resumed.evaluate(200), straight.evaluate(200))
    on_disk = xr.load_dataset(tmp_path / "run" / "data.nc")
    np.testing.assert_array_equal(on_disk.loss, straight.data.loss)


def test_steps_that_break_off_are_undone(make):
    straight, broken = make(), make()
    straight.run(progress=False)
    broken_off_everywhere(broken)
    xr.testing.assert_identical(records(broken), records(straight))
    torch.testing.assert_close(broken.state_dict(), straight.state_dict(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.filterwarnings("ignore::flowlab.estimators.LowESSWarning")
def test_readings_repeat_by_their_seed_and_samples_are_fresh_without_one(make):
    """Whatever else is asked in between: the n-th call of every such run draws the same."""
    run, watched = make(), make()
    first, second = run.sample(20), run.sample(20)
    assert not np.array_equal(first.configuration, second.configuration)
    for look in (watched.layers, watched.evaluate, lambda n: watched.sample(n, seed=4)):
        look(20)
    xr.testing.assert_identical(watched.sample(20), first)
    xr.testing.assert_identical(watched.sample(20), second)
    for found, again in ((first, watched.sample), (second, run.sample), (run.evaluate(20), watched.evaluate)):
        xr.testing.assert_identical(again(20, seed=found.attrs["seed"]), found)
        assert found.attrs["run_seed"] == run.seed
    layers = run.layers(3, seed=5)
    xr.testing.assert_identical(watched.layers(3, seed=layers.attrs["seed"]), layers)
    assert not np.array_equal(run.sample(20, seed=3).log_q, run.sample(20, seed=4).log_q)
    assert float(run.evaluate(20, seed=3).log_z_bound) != float(run.evaluate(20).log_z_bound)


def test_numbers_of_samples_are_whole(make):
    run = make()
    assert run.sample(3.0).sizes["sample"] == run.layers(3.0).sizes["sample"] == 3
    for look in (run.sample, run.layers, run.evaluate):
        for n in (1.5, "100"):
            with pytest.raises(ValueError, match="the number of samples must be a whole number, got "):
                look(n)


def test_a_warm_start_at_the_same_keys_takes_over_every_weight(make):
    run = make()
    other = run.at(steps=3)
    assert other.parent["copied"] == 1
    theirs = dict(run.reading()[1].named_parameters())
    assert all(torch.equal(mine, theirs[name]) for name, mine in other.density.named_parameters())


def test_layers_end_in_configurations_of_the_system(make):
    run = make()
    layers = run.layers(5)
    assert layers.configuration.dims == ("layer", "sample", *run.system.dims)
    values = layers.configuration.values
    assert np.isfinite(values[-1]).all()
    run.system.variables.check(torch.as_tensor(values[np.isfinite(values)]))
    back = run.layers(x=layers.field.values[-1])
    np.testing.assert_allclose(back.field[-1], layers.field[-1], atol=1e-4)
    drawn_again = np.isnan(values).any()  # the sites of finer levels
    if not drawn_again and not isinstance(getattr(run.density, "density", None), fl.Pushforward):  # nor a shared sign
        again = run.layers(z=layers.field.values[0])
        np.testing.assert_allclose(again.configuration, layers.configuration, atol=1e-6)


def test_every_variable_has_the_name_and_the_units_of_the_table(make):
    run = make()
    run.run(2, progress=False)
    datasets = [run.data, run.layers(3), run.sample(3), run.evaluate(100)]
    with contextlib.suppress(TypeError):  # where there is neither an autoregressive base nor a lattice of spins
        datasets.append(run.diagnose(100))
    for dataset in datasets:
        assert_named(dataset, run.study)
