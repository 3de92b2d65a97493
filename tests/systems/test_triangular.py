"""The triangular Ising model: six neighbours, frustration, its three sublattices."""

from __future__ import annotations

import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.exact import enumerate_spins
from flowlab.exact.enumeration import configurations
from flowlab.flows.discrete.partitions import sublattices
from flowlab.mcmc.kernels.graphs import spin_graph
from flowlab.systems.triangular import TriangularIsing


def spins(n: int, *shape: int) -> torch.Tensor:
    return 2.0 * torch.randint(0, 2, (n, *shape), generator=named_generator(0, "spins")).double() - 1


@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (3, 3), (4, 6)], ids=str)
@pytest.mark.parametrize("J", [-1.0, 0.7])
def test_energy_is_that_of_its_neighbours(shape, J):
    system, x = TriangularIsing(shape, 1.7, J), spins(9, *shape)
    sites, couplings = system.neighbours()
    expected = -0.5 * (x.flatten(1)[:, :, None] * x.flatten(1)[:, sites] * couplings).sum((1, 2))
    torch.testing.assert_close(system.energy(x), expected)
    torch.testing.assert_close(system.log_weight(x), -expected / 1.7)
    graph = spin_graph(system)
    assert (graph.indices == sites.numpy()).all() and (graph.couplings == J).all() and not graph.fields.any()


def test_each_bond_has_two_ends_and_each_site_six_neighbours():
    sites, _ = TriangularIsing((5, 6), 1.0).neighbours()
    assert all(len(set(row)) == 6 for row in sites.tolist())
    assert all(i in sites[j] for i, row in enumerate(sites.tolist()) for j in row)


def test_no_triangle_is_satisfied():
    energies = TriangularIsing((3, 3), 1.0).energy(configurations((3, 3)))
    assert energies.min() == -9  # one of three bonds of every triangle is broken: -J N at best
    cold = enumerate_spins(TriangularIsing((3, 3), 0.05))
    assert cold.entropy == pytest.approx(float(torch.tensor(float((energies == -9).sum())).log()), rel=1e-6)


def test_neighbours_lie_on_the_other_sublattices():
    masks = torch.stack(sublattices((6, 9), 3))
    assert ((~masks).sum(0) == 1).all()
    sites, _ = TriangularIsing((6, 9), 1.0).neighbours()
    for mask in masks:
        assert mask.flatten()[sites[~mask.flatten()]].all()


def test_nouns():
    system = TriangularIsing((4, 6), T=0.5)
    assert (system.shape, system.dims, system.domain, system.flip_symmetric) == ((4, 6), ("y", "x"), "spin", True)
    assert system.title == "Triangular Ising 4 × 6, J = -1, T = 0.5"
    assert fl.exact.log_z(system) is not None
    assert system.critical_temperature is None
    assert system.at(J=1.0).critical_temperature == pytest.approx(3.640957, abs=1e-6)
    with pytest.raises(ValueError, match=r"T must be positive, got 0\.0"):
        TriangularIsing((4, 6), T=0.0)
    with pytest.raises(ValueError, match=r"two sides of at least 2, got \(4, 1\)"):
        TriangularIsing((4, 1), T=1.0)
