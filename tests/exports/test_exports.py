"""What is taken elsewhere is what the run has: ensembles, files, zip, pyerrors, observables of one's own."""

import json
import zipfile

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.special import logsumexp

import flowlab as fl
from flowlab.cli import main
from flowlab.exports import ensemble, expect, write_ensemble
from flowlab.storage.store import StoreError

SPINS = dict(L=3, T=5.0, layers=1, width=1, steps=30, batch=50, device="cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = fl.experiment("ising-xor", out=tmp_path_factory.mktemp("exports") / "run", **SPINS | {"L": 4})
    made.run(progress=False)
    return made


def exact_mean(system, f):
    every = 2.0 * torch.tensor([[k >> i & 1 for i in range(16)] for k in range(2**16)]).double().reshape(-1, 4, 4) - 1
    log_weight = system.log_weight(every).numpy()
    p = np.exp(log_weight - logsumexp(log_weight))
    return np.tensordot(p, f(every.numpy()), 1)


def energy(x):
    return -(x * (np.roll(x, 1, 1) + np.roll(x, 1, 2))).sum((1, 2))


@pytest.mark.parametrize("method", ["weighted", "metropolis", "resampled"])
def test_every_ensemble_has_the_means_of_the_target(run, method):
    found = run.ensemble(20_000, method, seed=3)
    assert found.sizes["sample"] == 20_000 and found.attrs["method"] == method
    np.testing.assert_allclose(found.log_weight_ratio, found.log_weight - found.log_q)
    value, error = expect(found, energy)
    exact = exact_mean(run.system, energy)
    raw = energy(run.sample(20_000, seed=3).configuration.values)
    assert abs(raw.mean() - exact) > 6 * raw.std() / 20_000**0.5  # which the model alone does not have
    assert abs(value - exact) < 4 * error and 0 < error < 0.3
    if method == "metropolis":
        assert found.attrs["tau_int"] > 0.5 and found.attrs["tau_int_error"] > 0
    again = run.ensemble(20_000, method, seed=3)
    xr.testing.assert_identical(found, again)


def test_an_observable_of_ones_own_is_a_number_or_an_array(run):
    value, error = run.expect(energy, 4000)
    assert abs(value - exact_mean(run.system, energy)) < 4 * error
    corner = run.expect(lambda x: x * x[:, :1, :1], 4000)
    exact = exact_mean(run.system, lambda x: x * x[:, :1, :1])
    assert corner.value.shape == (4, 4) and corner.error[0, 0] < 1e-12
    assert (np.abs(corner.value - exact) <= 4.5 * corner.error + 1e-12).all()
    with pytest.raises(ValueError, match="observable must give a value for each of 100 configurations, got one number"):
        run.expect(lambda x: x.mean(), 100)


def test_chains_know_their_memory():
    chain = fl.experiment("ising-chain", L=4, T=3.0, chains=20, every=1, steps=150, samples=3000)
    chain.run(progress=False)
    value, error = chain.expect(energy)
    kept = chain.recent(150).configuration
    naive = energy(kept.values.reshape(-1, 4, 4)).std() / kept[..., 0, 0].size ** 0.5
    assert error > naive and abs(value - exact_mean(chain.system, energy)) < 4 * error


@pytest.mark.parametrize("ending", ["npy", "nc", "h5"])
def test_files_are_read_back_and_are_plain(run, tmp_path, ending):
    found = run.ensemble(50, "weighted", seed=1)
    path = write_ensemble(found, tmp_path / f"mine.{ending}")
    if ending == "npy":
        assert np.load(path).shape == (50, 4, 4)
        assert json.loads((tmp_path / "mine.json").read_text())["method"] == "weighted"
    again = fl.read_ensemble(path, run.system)
    np.testing.assert_array_equal(again.configuration, found.configuration)
    np.testing.assert_allclose(again.log_weight, found.log_weight, rtol=1e-6)
    evaluated = run.evaluate(500, reference=again.configuration)
    assert np.isfinite(evaluated.forward_kl)
    with pytest.raises(ValueError, match=r"is of another system than .* the log weight of configuration"):
        fl.read_ensemble(path, fl.Ising((4, 4), T=2.0))
    with pytest.raises(ValueError, match=r"must hold configurations of shape \(n, 8, 8\), got \(50, 4, 4\)"):
        fl.read_ensemble(path, fl.Ising((8, 8), T=3.0))


def test_wrong_values_are_named(tmp_path):
    x = np.ones((3, 4, 4))
    x[1, 2, 2] = np.nan
    np.save(tmp_path / "a.npy", x)
    with pytest.raises(ValueError, match=r"configuration 1 of .*a\.npy has values that are not finite"):
        fl.read_ensemble(tmp_path / "a.npy", fl.Ising((4, 4), T=5.0))
    np.save(tmp_path / "a.npy", 0.5 * np.ones((3, 4, 4)))
    with pytest.raises(ValueError, match="holds no configurations of"):
        fl.read_ensemble(tmp_path / "a.npy", fl.Ising((4, 4), T=3.0))


def test_couplings_are_given_in_all_conventions_of_the_field():
    phi4 = fl.Phi4((4, 4), kappa=0.3, lam=0.02)
    told = phi4.conventions
    phi = torch.randn(20, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    action = phi4.action(phi)

    def derivative(x):
        return sum((x.roll(-1, d) - x).square() for d in (1, 2))

    m2, lam, field = told["m2-lambda"].values()
    x = field * phi
    other = (derivative(x) + m2 * x**2 + lam * x**4).sum((1, 2))
    torch.testing.assert_close(other, action)
    m0, g0, field = told["m0_squared-g0"].values()
    x = field * phi
    other = (derivative(x) / 2 + m0 * x**2 / 2 + g0 / 24 * x**4).sum((1, 2))
    torch.testing.assert_close(other, action)
    beta, lam = told["beta-lambda"].values()
    torch.testing.assert_close(
        fl.Phi4.from_beta((4, 4), beta, lam).action(phi) - action, torch.full((20,), 0.32).double()
    )


def test_one_file_opens_with_and_without_flowlab(run, tmp_path):
    path = run.export(tmp_path / "run.zip")
    with zipfile.ZipFile(path) as archive:
        assert {"README.txt", "experiment.json", "journal.jsonl", "data.nc"} <= set(archive.namelist())
        assert "lock" not in archive.namelist() and b"fl.load" in archive.read("README.txt")
    again = fl.load(path)
    xr.testing.assert_identical(again.data, run.data)
    xr.testing.assert_identical(again.evaluate(100), run.evaluate(100))
    assert again.path == tmp_path / "run" and fl.load(path).path == again.path
    (tmp_path / "other").mkdir()
    path.rename(tmp_path / "other.zip")
    with pytest.raises(StoreError, match="which is there already: rename one of them"):
        fl.load(tmp_path / "other.zip")
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("experiment.json", "{}")
        archive.writestr("../outside", "")
    with pytest.raises(StoreError, match="names that lead out of its directory"):
        fl.load(tmp_path / "bad.zip")
    with pytest.raises(ValueError, match="this run has no directory"):
        fl.experiment("ising-xor", **SPINS | {"L": 4}).export(tmp_path / "x.zip")


def test_observables_of_pyerrors_come_back_to_the_last_digit(run, tmp_path):
    import pyerrors

    found = run.to_pyerrors(2000, path=tmp_path / "found.json.gz")
    again = pyerrors.input.json.load_json_dict(str(tmp_path / "found.json.gz"), verbose=False)
    evaluated = run.ensemble(2000, "weighted", seed=run.seed)
    for name, one in found.items():
        assert again[name].value == one.value and again[name].reweighted
        np.testing.assert_allclose(again[name].deltas["ising-xor"], one.deltas["ising-xor"], rtol=1e-12, atol=1e-14)
    value, error = expect(evaluated, lambda x: energy(x) / 16)
    assert found["energy_per_site"].value == pytest.approx(value, rel=1e-9)
    assert found["energy_per_site"].dvalue == pytest.approx(error, rel=0.25)


def test_arviz_takes_a_tree(run):
    tree = run.to_arviz(100, seed=1)
    assert tree["posterior"].configuration.dims == ("chain", "draw", "y", "x")
    found = ensemble(run, 100, seed=1)
    np.testing.assert_array_equal(tree["sample_stats"].lp[0], found.log_weight)


def test_zarr_is_named_where_it_is_missing(run, tmp_path):
    try:
        import zarr  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"this needs zarr: pip install 'flowlab\[export\]'"):
            run.to_zarr(tmp_path / "run.zarr")
        return
    xr.testing.assert_allclose(xr.open_zarr(run.to_zarr(tmp_path / "run.zarr"), consolidated=False).load(), run.data)


def test_command_line(run, tmp_path, capsys):
    words = ["sample", str(run.path), "-n", "30", "--out", str(tmp_path / "a.npy"), "--seed", "2"]
    assert main(words) == 0
    assert "30 configurations (method metropolis, tau_int" in capsys.readouterr().out
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), run.ensemble(30, seed=2).configuration)


def diagonal(x):
    return (x * np.roll(x, (1, 1), (1, 2))).mean((1, 2))


def test_observables_of_ones_own_stand_in_an_evaluation(run):
    found = run.evaluate(4000, observables={"diagonal": diagonal, "rows": lambda x: x.mean(2) ** 2})
    exact = exact_mean(run.system, diagonal)
    assert abs(float(found["diagonal"]) - exact) < 4.5 * float(found["diagonal_error"]) < 0.3
    assert found["rows"].shape == found["rows_error"].shape == (4,)
    plain = run.evaluate(4000)
    xr.testing.assert_identical(found[list(plain)], plain)
    with pytest.raises(ValueError, match="energy_per_site"):
        run.evaluate(100, observables={"energy_per_site": diagonal})


def test_a_model_draws_once_for_all_observables_of_ones_own(run, monkeypatch):
    sample, seen = run.sample, []
    monkeypatch.setattr(run, "sample", lambda *n, **how: (seen.append(n), sample(*n, **how))[1])
    found = run.evaluate(200, observables={"a": diagonal, "b": diagonal, "c": lambda x: x[:, 0, 0]})
    assert seen == [(200,)] and found.a.identical(found.b.rename("a").assign_attrs(found.a.attrs))


@pytest.mark.parametrize("study", ["ising-chain", "ising-cluster-ais"])
def test_observables_of_ones_own_of_chains(study):
    more = {"sweeps": 4} if study == "ising-cluster-ais" else {}
    chain = fl.experiment(study, L=4, T=2.0, steps=60, chains=50, **more)
    chain.run(progress=False)
    found = chain.evaluate(observables={"diagonal": diagonal})
    exact = exact_mean(chain.system, diagonal)
    assert abs(float(found["diagonal"]) - exact) < 4.5 * float(found["diagonal_error"]) < 0.1


def test_an_evaluation_is_a_table(run):
    found = run.evaluate(500, observables={"diagonal": diagonal})
    table = fl.exports.to_dataframe(found)
    assert table.loc["diagonal", ["value", "error"]].tolist() == [float(found.diagonal), float(found.diagonal_error)]
    assert table.loc["log_z", "unit"] == "nats" and "verdict" not in table.index and "log_z_error" not in table.index
    swept = xr.concat([found.expand_dims(T=[T]) for T in (1.0, 2.0)], "T", combine_attrs="override")
    assert fl.exports.to_dataframe(swept).loc[("diagonal", 2.0), "value"] == float(found.diagonal)
