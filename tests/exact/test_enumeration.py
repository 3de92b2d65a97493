"""Enumeration against plain loops, for systems with and without a flip symmetry."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import flowlab.exact.enumeration as enumeration
from flowlab.core import System
from flowlab.exact import configurations, distribution, enumerate_log_z, enumerate_spins, kaufman
from flowlab.systems import Ising


class RandomTriples(System):
    """Three-spin couplings on a ring: a spin system that is neither a lattice nor flip symmetric."""

    def __init__(self, n: int, T: float = 1.0) -> None:
        super().__init__()
        self.shape, self.dims, self.domain = (n,), ("site",), "spin"
        self.couplings = {"T": torch.tensor(T, dtype=torch.float64)}
        coupling = torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        self.register_buffer("coupling", coupling)

    def log_weight(self, x: Tensor) -> Tensor:
        return (x * x.roll(1, -1) * x.roll(2, -1)) @ self.coupling / self.couplings["T"]

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        return {"first": x[:, 0], "alternating": x[:, ::2].sum(-1) - x[:, 1::2].sum(-1)}


def by_hand(system: System) -> dict[str, Any]:
    """The same numbers, one configuration at a time."""
    weights, moments = [], []
    for spins in itertools.product((-1.0, 1.0), repeat=system.n_sites):
        x = torch.tensor(spins, dtype=torch.float64).reshape(1, *system.shape)
        weights.append(math.exp(float(system.log_weight(x))))
        m = abs(sum(spins)) / system.n_sites
        values = {name: float(value) for name, value in system.observables(x).items()}
        moments.append(values | {"|m|": m, "m2": m**2, "m4": m**4, "log_weight": math.log(weights[-1])})
    z = math.fsum(weights)
    mean = {key: math.fsum(w * v[key] for w, v in zip(weights, moments, strict=True)) / z for key in moments[0]}
    square = {key: math.fsum(w * v[key] ** 2 for w, v in zip(weights, moments, strict=True)) / z for key in moments[0]}
    return {"log_z": math.log(z), "mean": mean, "square": square}


SYSTEMS = {
    "ferromagnet": Ising((2, 3), T=2.0),
    "antiferromagnet": Ising((3, 3), T=1.5, J=-1.0),
    "field": Ising((2, 4), T=3.0, h=0.3),
    "triples": RandomTriples(7),
}


@pytest.mark.parametrize("chunk", [1 << 14, 16])
@pytest.mark.parametrize("name", SYSTEMS)
def test_against_plain_loops(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enumeration, "CHUNK", chunk)
    system = SYSTEMS[name]
    exact, expected = enumerate_spins(system), by_hand(system)
    mean, square = expected["mean"], expected["square"]
    assert exact.n_sites == system.n_sites
    assert exact.log_z == pytest.approx(expected["log_z"], rel=1e-13)
    assert enumerate_log_z(system) == pytest.approx(expected["log_z"], rel=1e-13)
    for observable in system.observables(configurations(system.shape, 0, 1)):
        assert exact.mean[observable] == pytest.approx(mean[observable], rel=1e-12, abs=1e-13)
        assert exact.mean_square[observable] == pytest.approx(square[observable], rel=1e-12)
    assert exact.abs_magnetization == pytest.approx(mean["|m|"], rel=1e-12)
    assert exact.magnetization_squared == pytest.approx(mean["m2"], rel=1e-12)
    assert exact.magnetization_fourth == pytest.approx(mean["m4"], rel=1e-12)
    assert exact.log_weight_mean == pytest.approx(mean["log_weight"], rel=1e-12)
    assert exact.log_weight_variance == pytest.approx(square["log_weight"] - mean["log_weight"] ** 2, rel=1e-10)
    assert exact.entropy == pytest.approx(expected["log_z"] - mean["log_weight"], rel=1e-12)
    n = system.n_sites
    assert exact.susceptibility == pytest.approx(n * mean["m2"], rel=1e-12)
    assert exact.susceptibility_connected == pytest.approx(n * (mean["m2"] - mean["|m|"] ** 2), rel=1e-11)
    assert exact.binder == pytest.approx(1 - mean["m4"] / (3 * mean["m2"] ** 2), rel=1e-11)


@pytest.mark.parametrize("name", SYSTEMS)
def test_distribution(name: str) -> None:
    system = SYSTEMS[name]
    log_p, x = distribution(system), configurations(system.shape)
    assert log_p.shape == (2**system.n_sites,)
    assert log_p.dtype == torch.float64
    assert float(log_p.exp().sum()) == pytest.approx(1, rel=1e-13)
    torch.testing.assert_close(log_p, system.log_weight(x) - enumerate_log_z(system), rtol=1e-12, atol=1e-12)


def test_order_of_configurations() -> None:
    x = configurations((2, 3))
    assert x.shape == (64, 2, 3)
    bits = ((x.flatten(1) + 1) / 2).to(torch.int64)
    assert (bits @ (2 ** torch.arange(6))).tolist() == list(range(64))
    assert torch.equal(x.flip(0), -x)
    assert torch.equal(configurations((2, 3), 10, 20), x[10:20])
    assert configurations((2, 3), 5, 5).shape == (0, 2, 3)
    assert configurations((2, 3), dtype=torch.float32).dtype == torch.float32


def test_a_field_that_vanishes_changes_nothing() -> None:
    halved, whole = enumerate_spins(Ising((3, 4), T=2.2)), enumerate_spins(Ising((3, 4), T=2.2, h=1e-300))
    assert halved.log_z == pytest.approx(whole.log_z, rel=1e-14)
    assert halved.mean_square == pytest.approx(whole.mean_square, rel=1e-12)
    assert halved.entropy == pytest.approx(whole.entropy, rel=1e-12)


def test_field_derivative_is_the_magnetization() -> None:
    T, h, step = 2.5, 0.2, 1e-4
    up, down = (enumerate_log_z(Ising((3, 4), T=T, h=h + shift)) for shift in (step, -step))
    m = enumerate_spins(Ising((3, 4), T=T, h=h)).mean["magnetization"]
    assert T * (up - down) / (2 * step) / 12 == pytest.approx(m, rel=1e-6)


def test_cold_system_has_no_nan() -> None:
    exact = enumerate_spins(Ising((3, 3), T=0.01))
    assert exact.log_z == pytest.approx(1800 + math.log(2), rel=1e-15)
    assert exact.entropy == pytest.approx(math.log(2), rel=1e-12)
    assert exact.log_weight_variance == pytest.approx(0, abs=1e-12)
    assert exact.mean["energy_per_site"] == pytest.approx(-2, rel=1e-14)


def test_forbidden_configurations_count_for_nothing() -> None:
    class NoNeighboursUp(RandomTriples):
        def log_weight(self, x: Tensor) -> Tensor:
            return torch.where(((x + x.roll(1, -1)) == 2).any(-1), -math.inf, 0.0)

    exact = enumerate_spins(NoNeighboursUp(6))
    assert exact.log_z == pytest.approx(math.log(18), rel=1e-14)  # the Lucas number L_6
    assert exact.entropy == pytest.approx(math.log(18), rel=1e-13)


def test_couplings_with_a_gradient() -> None:
    T = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert enumerate_spins(Ising((2, 3), T=T)).log_z == pytest.approx(enumerate_log_z(Ising((2, 3), T=2.0)), rel=1e-14)


@pytest.mark.slow
def test_24_sites() -> None:
    assert enumerate_log_z(Ising((4, 6), T=2.3)) == pytest.approx(kaufman((4, 6), 1 / 2.3).log_z, rel=1e-13)


@pytest.mark.parametrize("function", [enumerate_spins, enumerate_log_z, distribution])
def test_too_many_sites(function: Any) -> None:
    with pytest.raises(ValueError, match="enumeration needs at most 24 sites, got 25"):
        function(Ising((5, 5), T=2.0))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="enumeration needs at most 24 sites, got 30"):
        configurations((5, 6), 0, 1)
    with pytest.raises(ValueError, match="expected 0 <= start <= stop <= 16, got start=3, stop=17"):
        configurations((2, 2), 3, 17)
    fields = RandomTriples(4)
    fields.domain = "real"
    with pytest.raises(ValueError, match="enumeration needs a system of spins, got the domain 'real'"):
        enumerate_spins(fields)
    broken = RandomTriples(4)
    broken.coupling[0] = math.nan
    with pytest.raises(ValueError, match=r"RandomTriples\.log_weight must be finite, got nan"):
        enumerate_spins(broken)
