"""Multilevel densities on lines and in cubes."""

import json
import math
from pathlib import Path

import pytest
import torch

import flowlab as fl
from flowlab.exact import log_z, ring_log_z
from flowlab.exact.enumeration import enumerate_log_z
from tests.laws.registry import shaken

CUBE = json.loads((Path(__file__).parents[2] / "data" / "ising_4x4x4.json").read_text())["rows"]
LINES_AND_CUBES = [((16,), (8,)), ((4, 4, 4), (4, 4, 2)), ((8, 8, 8), (8, 8, 4))]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("h", [0.0, 0.3])
@pytest.mark.parametrize(("shape", "half"), LINES_AND_CUBES)
def test_draws_agree_with_log_prob(shape, half, h):
    q = shaken(fl.Multilevel(half, hidden=(8,), symmetric=h == 0)).double()
    q.bind(fl.Ising(shape, T=4.0, h=h).decimate())
    draw = q.draw(20, generator=generator())
    torch.testing.assert_close(q.log_prob(draw.x), draw.log_q, atol=1e-10, rtol=0)
    stages = list(q.stages(x=draw.x))
    torch.testing.assert_close(stages[-1].log_q, draw.log_q, atol=1e-10, rtol=0)
    assert stages[0].name == " × ".join(["2"] * len(shape))


@pytest.mark.parametrize("h", [0.0, 0.3, -2.0])
@pytest.mark.parametrize(("shape", "half"), [((8, 8), (8, 4)), ((8, 8, 8), (8, 8, 4))])
def test_the_last_group_is_exact(shape, half, h):
    target = fl.Ising(shape, T=2.0 * len(half), h=h).decimate()
    q = shaken(fl.Multilevel(half, symmetric=h == 0, hidden=(8,)), 0.4).double()
    q.bind(target)
    x, _ = q.sample(3, generator=generator())
    conditional, rows, span = list(q.steps())[-1]
    log_odds = conditional(q.rows(x), rows)
    for i, row in enumerate(range(span.start, span.stop)):
        up, down = x.clone(), x.clone()
        up.flatten(1)[:, q.order[row]], down.flatten(1)[:, q.order[row]] = 1.0, -1.0
        torch.testing.assert_close(log_odds[i], target.log_weight(up) - target.log_weight(down), atol=1e-9, rtol=0)


def test_a_heat_bath_on_a_line_is_exact():
    q, target = fl.Multilevel((16,), "heat_bath").double(), fl.Ising((32,), T=0.8).decimate()
    q.bind(target)
    x, log_q = q.sample(50, generator=generator())
    log_w = target.log_weight(x) - log_q
    torch.testing.assert_close(log_w, torch.full_like(log_w, ring_log_z(32, 1 / 0.8)), atol=1e-9, rtol=0)


@pytest.mark.parametrize(("n", "J", "h"), [(2, 1.0, 0.0), (5, -0.8, 0.3), (12, 1.0, -2.0)])
def test_a_ring_is_enumerated(n, J, h):
    ising = fl.Ising((n,), T=0.9, J=J, h=h)
    assert log_z(ising) == pytest.approx(enumerate_log_z(ising), rel=1e-12)
    assert math.isfinite(ring_log_z(1000, 800.0, J, h))


@pytest.mark.parametrize("h", [0.0, 0.2])
def test_a_cube_is_learned(h):
    keys = {"L": 4, "d": 3, "T": 4.5, "h": h, "steps": 400 if h else 300, "batch": 200, "hidden": 16, "device": "cpu"}
    run = fl.experiment("ising-coloured", **keys)
    run.run()
    found = run.evaluate(4000)
    assert float(found.ess) > 0.05
    exact = next(row["log_z"] for row in CUBE if row["T"] == 4.5 and row["h"] == h)
    assert abs(float(found.log_z) - exact) < 4 * float(found.log_z_error)


def test_cubes_of_fields_are_learned():
    keys = {"L": 4, "d": 3, "kappa": 0.15, "lam": 0.9, "steps": 60, "batch": 100, "hidden": 8, "device": "cpu"}
    run = fl.experiment("phi4-multilevel", **keys)
    run.run()
    found, free = run.evaluate(2000), fl.experiment("phi4-hmc", L=4, d=3, kappa=0.15, lam=0.9, steps=60, chains=50)
    free.run()
    chain = free.evaluate()
    assert float(found.ess) > 0.05
    for name in ("phi_squared", "action_per_site"):
        error = math.hypot(float(found[f"{name}_error"]), float(chain[f"{name}_error"]))
        assert abs(float(found[name] - chain[name])) < 4 * error, name


def test_what_is_not_there_in_other_dimensions_is_refused():
    with pytest.raises(ValueError, match="for d = 3, got 'autoregressive'"):
        fl.Multilevel((4, 4, 2), "autoregressive")
    with pytest.raises(ValueError, match="for d = 3, got 'heat_bath'"):
        fl.Multilevel((4, 4, 2), "heat_bath")
    with pytest.raises(ValueError, match="kind must be coloured for d = 1"):
        fl.densities.MultilevelFields((4,), "autoregressive")
    with pytest.raises(ValueError, match="of states in the plane"):
        fl.densities.MultilevelStates((4, 4, 2))
