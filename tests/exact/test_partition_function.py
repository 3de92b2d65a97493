"""log_z picks the exact answer where one is known, and says None where none is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from flowlab.core import Representation, System
from flowlab.exact import enumerate_log_z, enumerate_spins, kaufman, log_z, moments_per_site
from flowlab.exact.plane import plane_log_z
from flowlab.systems import Ising


class Shifted(Representation):
    """The parent with every spin turned over and its weights doubled."""

    def __init__(self, parent: System) -> None:
        super().__init__()
        self.parent = parent
        self.shape, self.dims, self.domain = parent.shape, parent.dims, "spin"
        self.couplings, self.log_z_offset = {}, -math.log(2.0)

    def log_weight(self, x: Tensor) -> Tensor:
        return self.parent.log_weight(-x) + math.log(2.0)

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        return {}

    def restore(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return -x, torch.zeros(len(x))

    def reduce(self, s: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        return -s


def test_ising_without_field_is_kaufman() -> None:
    assert log_z(Ising((16, 16), T=2.0)) == kaufman((16, 16), 0.5).log_z
    assert log_z(Ising((5, 8), T=2.0, J=-1.0)) == kaufman((5, 8), 0.5, -1.0).log_z
    assert log_z(Ising((8, 8), T=torch.tensor(2.0), h=torch.tensor(0.0, requires_grad=True))) == log_z(
        Ising((8, 8), T=2.0)
    )


def test_ising_in_a_field_is_enumerated_or_unknown() -> None:
    small = Ising((3, 4), T=2.0, h=0.1)
    assert log_z(small) == enumerate_log_z(small)
    assert log_z(Ising((12, 12), T=2.0, h=0.1)) is None


@pytest.mark.parametrize("shape", [(4, 5), (2, 6), (2, 2)])
def test_the_plane_of_ising_spins_is_theirs(shape) -> None:
    ising = Ising(shape, T=2.0, J=-0.7, h=0.3)
    assert plane_log_z(ising.plane()) == pytest.approx(enumerate_log_z(ising), rel=1e-13)


def test_where_kaufman_cancels() -> None:
    small = Ising((3, 3), T=0.3, J=-1.0)
    assert log_z(small) == enumerate_log_z(small)
    assert log_z(Ising((15, 15), T=0.5, J=-1.0)) is None


def test_representation_takes_its_parents_answer() -> None:
    system = Shifted(Ising((2, 3), T=2.0))
    assert log_z(system) == pytest.approx(enumerate_log_z(system), rel=1e-14)
    assert log_z(Shifted(Ising((12, 12), T=2.0, h=1.0))) is None


def test_other_systems_and_registration() -> None:
    class Free(System):
        def __init__(self, n: int, domain: str) -> None:
            super().__init__()
            self.shape, self.dims, self.domain, self.couplings = (n,), ("site",), domain, {}

        def log_weight(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x))

        def observables(self, x: Tensor) -> dict[str, Tensor]:
            return {}

    assert log_z(Free(5, "spin")) == pytest.approx(5 * math.log(2))
    assert log_z(Free(5, "real")) is None
    assert log_z(Free(30, "spin")) is None
    log_z.register(Free, lambda system: system.n_sites * math.log(2))
    assert log_z(Free(30, "spin")) == 30 * math.log(2)


def test_energies_are_those_of_every_configuration() -> None:
    ising = Ising((4, 4), T=2.0)
    counted, known = enumerate_spins(ising), moments_per_site(ising)
    found = {"energy_per_site": counted.mean["energy_per_site"], "specific_heat": counted.log_weight_variance / 16}
    assert known == pytest.approx(found, abs=1e-10)
    assert moments_per_site(ising.decimate()) == known
    assert moments_per_site(ising.at(h=0.1)) == {}
