"""Studies of glasses with couplings of the user's own: built, kept with their run, loaded elsewhere, trained again."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.runs import studies
from flowlab.storage.store import StoreError

PUBLIC = Path(__file__).parents[2] / "data/ea2d_couplings_N100_J0_seed370513139.txt"
EXACT = json.loads((PUBLIC.parent / "public_ea2d_file.json").read_text())["cases"]
SHORT: dict[str, dict[str, object]] = {
    "glass-forward": {"samples": 100, "replicas": 3, "steps": 2, "batch": 20, "temperatures": "1,2"},
    "glass-reverse": {"samples": 200, "replicas": 3, "steps": 2, "batch": 20},
    "glass-autoregressive": {"samples": 200, "replicas": 3, "steps": 2, "batch": 20},
    "glass-xor": {"steps": 2, "batch": 20},
    "glass-pt": {"samples": 100, "replicas": 3, "steps": 60, "sweeps": 1, "temperatures": "0.8,2"},
}
SMALL = "1 0 0.5\n1 2 -1.5\n0 3 0.7\n2 3 1.1\n3 0.25\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "four.csv"
    path.write_text(SMALL)
    return path


def short(name: str, **keys: object) -> fl.Experiment:
    return fl.experiment(name, **SHORT[name] | keys)


@pytest.mark.parametrize("name", SHORT)
def test_a_file_is_kept_with_its_run_and_loads_without_it(name, file, tmp_path):
    run = short(name, couplings=f"file:{file}", out=tmp_path / "run")
    assert run.system.J[1, 2] == -1.5 and run.system.h[3] == 0.25 and run.system.title.startswith("four.csv N = 4")
    run.run(progress=False)
    file.unlink()
    again = fl.load(tmp_path / "run")
    assert torch.equal(again.system.J, run.system.J) and torch.equal(again.system.h, run.system.h)
    assert again.keys == run.keys and again.data.equals(run.data)
    other = again.at(T=0.9)
    assert torch.equal(other.system.J, run.system.J) and float(other.system.couplings["T"]) == 0.9
    other.attach(tmp_path / "other")
    assert float(fl.load(tmp_path / "other").system.J[1, 2]) == -1.5


def test_another_process_loads_and_goes_on_bit_for_bit(file, tmp_path):
    whole = short("glass-autoregressive", couplings=f"file:{file}", steps=6)
    expected = whole.run(progress=False)
    part = short("glass-autoregressive", couplings=f"file:{file}", steps=6, out=tmp_path / "run")
    part.run(3, progress=False)
    file.unlink()
    shutil.move(tmp_path / "run", tmp_path / "moved")
    code = f"import flowlab as fl; fl.load({str(tmp_path / 'moved')!r}).run(progress=False)"
    environment = os.environ | {"PYTHONPATH": str(Path(fl.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/", env=environment)
    np.testing.assert_array_equal(fl.load(tmp_path / "moved").data.loss, expected.loss)


def test_objects_are_taken_and_kept(tmp_path):
    graph = nx.random_regular_graph(3, 8, seed=1)
    J = nx.to_numpy_array(graph)
    h = np.linspace(-1, 1, 8)
    runs = [short("glass-xor", couplings=one, h=h) for one in (graph, J, torch.tensor(J))]
    assert len({run.keys["couplings"] for run in runs}) == 1 and runs[0].keys["couplings"].startswith("given#")
    runs[0].attach(tmp_path / "run")
    again = fl.load(tmp_path / "run")
    np.testing.assert_array_equal(again.system.J, J)
    np.testing.assert_array_equal(again.system.h, h)


def test_a_copy_in_another_process_has_its_couplings():
    key = short("glass-xor", couplings=np.ones((3, 3)) - np.eye(3)).keys["couplings"]
    again = pickle.loads(pickle.dumps(key))
    assert again == key and again.arrays["values"].tolist() == [1.0] * 3
    assert studies()["glass-xor"].given({"couplings": again})["couplings"] is again


def test_what_was_changed_or_lost_is_refused(file, tmp_path):
    run = short("glass-xor", couplings=f"file:{file}", out=tmp_path / "run")
    (kept,) = (tmp_path / "run/inputs").iterdir()
    named = str(run.keys["couplings"])
    assert kept.stem == named[-16:]
    data = kept.read_bytes()
    kept.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StoreError, match="was changed after it was written"):
        fl.load(tmp_path / "run")
    kept.unlink()
    with pytest.raises(ValueError, match=r"couplings cannot be read: four\.csv"):
        fl.load(tmp_path / "run")
    file.write_text(SMALL + "0 2 1\n")
    with pytest.raises(ValueError, match=r"couplings .* has others by now"):
        short("glass-xor", couplings=f"file:{file}#{named[-16:]}")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"couplings": "eq"}, "couplings must be one of sk, ea, regular, hopfield, or file:PATH, got 'eq'"),
        ({"couplings": "file:nowhere.txt"}, "couplings cannot be read: nowhere.txt: No such file"),
        ({"couplings": "given#0123456789abcdef"}, "couplings given#0123456789abcdef was given as an object"),
        ({"couplings": np.ones((3, 3))}, r"couplings: J\[i, j\] must be 0 for i = j, got J\[0, 0\] = 1"),
        ({"couplings": np.triu(np.ones((3, 3)), 1)}, "couplings: J must be symmetric"),
        ({"h": "file:nowhere.txt"}, "h cannot be read: nowhere.txt"),
        ({"h": [0.1, 0.2]}, "h must hold a field for each of the 16 sites, got 2"),
        ({"h": [0.1, np.nan]}, "h: there must be a finite field for each site"),
        ({"couplings": "regular", "N": 9}, "degree must be below N, and N · degree even, got 3 and N = 9"),
        ({"couplings": "sk", "L": 5}, "L has no effect where couplings are sk"),
        ({"N": 5}, "N has no effect where couplings are ea"),
        ({"couplings": 1 - np.eye(3), "seed_J": 2}, "seed_J has no effect where couplings are of your own"),
    ],
)  # fmt: skip
def test_bad_input_names_its_key(keys, message):
    with pytest.raises(ValueError, match=message):
        short("glass-xor", **keys)


def test_a_bad_file_is_named_with_its_line(file):
    file.write_text("0 1 1\n1 0 1\n")
    with pytest.raises(ValueError, match=r"couplings: .*four.csv line 2: the pair 1 0 is there twice"):
        short("glass-pt", couplings=f"file:{file}")


@pytest.mark.parametrize("couplings", ["ea", "regular", "hopfield", "sk"])
@pytest.mark.parametrize("name", ["glass-pt", "glass-forward", "glass-xor"])
def test_drawn_couplings_and_fields(name, couplings):
    own = {"L": 3, "d": 3} if couplings == "ea" else {"N": 10}
    run = short(name, couplings=couplings, h=0.3, seed_J=2, T=1.3, **own)
    assert (run.system.h == 0.3).all() and not run.target.flip_symmetric
    data = run.run(progress=False)
    assert np.isfinite(data["energy" if name == "glass-pt" else "loss"]).all()


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("boundary", ["periodic", "open", "cylinder"])
def test_lattices(d, boundary):
    system = short("glass-pt", couplings="ea", L=3, d=d, boundary=boundary).system
    bonds = d * 3**d - {"periodic": 0, "open": d, "cylinder": 1}[boundary] * 3 ** (d - 1)
    assert system.n_sites == 3**d and int((system.J != 0).sum()) == 2 * bonds


def test_the_names_of_the_sherrington_kirkpatrick_model_are_presets():
    for name in ("forward", "reverse", "autoregressive", "pt", "xor"):
        mine, other = studies()[f"sk-{name}"], studies()[f"glass-{name}"]
        assert mine.function is other.function and set(mine.defaults) < set(other.defaults)
        assert "couplings" not in mine.defaults and mine.defaults["T"] == 0.5
    run = fl.experiment("sk-xor", N=12, T=0.7, seed_J=3)
    same = fl.experiment("glass-xor", couplings="sk", N=12, T=0.7, seed_J=3)
    assert run.system.title == same.system.title and torch.equal(run.system.J, same.system.J)
    assert float(fl.studies.sk_xor(N=12).system.couplings["T"]) == 0.5


def test_sweeps_take_files_and_objects_as_instances(file, tmp_path):
    other = file.with_name("ring.txt")
    other.write_text("0 1 1\n1 2 1\n2 3 1\n0 3 -1\n")
    over = {"couplings": [f"file:{file}", f"file:{other}"]}
    found = fl.sweep("glass-xor", over, out=tmp_path / "s", evaluate=100, progress=False, **SHORT["glass-xor"])
    assert found.state.values.tolist() == ["finished"] * 2
    assert found.log_z_exact.values.tolist() == [
        fl.load(tmp_path / "s" / name).log_z_exact for name in found.run.values
    ]
    file.unlink()
    assert fl.load(tmp_path / "s" / found.run.values[0]).system.J[1, 2] == -1.5


def test_scales_are_those_of_the_couplings(tmp_path):
    """Temperatures and ladder of couplings in other units are the same in these."""
    J = 1000.0 * fl.SpinGlass.edwards_anderson((4, 4), 1.0).J.numpy()
    chain = short("glass-pt", couplings=J, T=500.0, temperatures="auto").chain
    assert 100 < chain.temperatures[0] < 1000 and len(chain.temperatures) < 60


def test_a_public_instance_by_tempering():
    run = fl.experiment("glass-pt", couplings=f"file:{PUBLIC}", T=1.0, temperatures="1,2", steps=600, replicas=3)
    run.run(progress=False)
    found = run.evaluate(500)
    for case in EXACT[:2]:
        at = found.sel(temperature=case["T"])
        assert abs(float(at.log_z) - case["lnZ"]) < 4 * float(at.log_z_error) + 0.01
