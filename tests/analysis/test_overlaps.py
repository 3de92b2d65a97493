"""What an evaluation says about overlaps and divergences, against exact samples and exact numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.analysis import evaluation, overlaps
from flowlab.core import named_generator
from flowlab.exact.enumeration import configurations, distribution

N, T = 10, 0.5
GLASS = fl.SpinGlass.sherrington_kirkpatrick(N, T=T, seed=0)
LOG_Z = fl.exact.log_z(GLASS)


def equilibrium(n: int, seed: int) -> torch.Tensor:
    probability = distribution(GLASS).exp()
    chosen = torch.multinomial(probability, n, replacement=True, generator=named_generator(seed, "equilibrium"))
    return configurations((N,))[chosen].float()


@pytest.fixture(scope="module")
def reference() -> xr.Dataset:
    spins = equilibrium(6000, 0).reshape(3, 2000, N).double().numpy()
    return xr.Dataset(
        {"configuration": (("replica", "sample", "site"), spins), "log_z": LOG_Z, "log_z_error": 0.0},
        attrs={"thermalised": 1, "thermalisation": "thermalised"},
    )


class Table(fl.Density):
    """Any distribution of N spins, by its 2^N probabilities."""

    def __init__(self, log_q: torch.Tensor) -> None:
        super().__init__()
        self.shape = (N,)
        self.register_buffer("table", log_q)

    def draw(self, n, *, generator=None):
        chosen = torch.multinomial(self.table.exp(), n, replacement=True, generator=generator)
        log_q = self.table[chosen].float()
        return fl.core.Draw(configurations((N,))[chosen].float(), log_q, torch.zeros(n))

    def log_prob(self, x):
        place = ((x > 0).long() * 2 ** torch.arange(N)).sum(1)
        return self.table[place].float()


def one_valley() -> Table:
    """Equilibrium within 2 flips of the ground states, and little elsewhere."""
    log_p = distribution(GLASS)
    ground = configurations((N,))[log_p.argmax()]
    near = (configurations((N,)) @ ground).abs() >= N - 4
    return Table(torch.log_softmax(torch.where(near, log_p, log_p - 6.0), 0))


def evaluated(density: fl.Density, reference: xr.Dataset) -> xr.Dataset:
    generator = named_generator(1, "evaluate")
    seen = overlaps.unseen(reference, fl.ReverseKL().unseen)
    told, evidence = overlaps.model_overlaps(density, GLASS, reference, seen, 5000, generator)
    known = {"T": T, "log_z_exact": LOG_Z}
    found = evaluation.evaluate(density, GLASS, 5000, generator, known, evidence=evidence)
    return overlaps.merged(found, told)


@pytest.mark.parametrize("held_out", [0.02, 0.1, 0.5])
def test_the_forward_divergence_is_on_samples_that_were_held_out(held_out):
    """A fraction of less than a replica, too; and what is trained on reverse has seen none of them."""
    numbered = configurations((N,))[:200]
    reference = xr.Dataset({"configuration": (("replica", "sample", "site"), numbered.reshape(10, 20, N).numpy())})
    forward = fl.training.ForwardKL(numbered, held_out=held_out)
    forward.prepare(Table(distribution(GLASS)), GLASS, fresh=False)
    found = overlaps.unseen(reference, forward.unseen)
    seen_twice = (found[:, None] == forward._train[None]).all(-1).any()
    assert len(found) == round(200 * held_out) and not seen_twice
    assert len(overlaps.unseen(reference, fl.ReverseKL().unseen)) == 200


def test_the_target_itself_passes(reference):
    found = evaluated(Table(distribution(GLASS)), reference)
    assert float(found.mode_collapse) == 0 and found.attrs["warnings"] == ""
    assert found.attrs["verdict"].startswith("consistent: ") and "no collapse seen" in found.attrs["verdict"]
    assert abs(float(found.forward_kl)) < 1e-5 and abs(float(found.reverse_kl)) < 1e-5
    assert float(found.overlap_total_variation) < 2 * float(found.overlap_total_variation_floor)
    q, p = fl.exact.overlap_distribution(GLASS)
    assert abs(float(found.overlap_squared) - p @ q**2) < 4 * float(found.overlap_squared_error)
    assert abs(float(found.triangle_isosceles - found.reference_triangle_isosceles)) < 4 * float(
        np.hypot(found.triangle_isosceles_error, found.reference_triangle_isosceles_error)
    )


def test_divergences_and_free_energies_are_the_enumerated_ones(reference):
    density = one_valley()
    found = evaluated(density, reference)
    log_p, log_q = distribution(GLASS), density.table
    exact = {
        "reverse_kl": log_q.exp() @ (log_q - log_p),
        "forward_kl": log_p.exp() @ (log_p - log_q),
        "entropy_x": -(log_p.exp() @ log_p),
        "loss_forward": -(log_p.exp() @ log_q),
        "gibbs_free_energy_x": T * (log_q.exp() @ (log_q - log_p) - LOG_Z),
    }
    for name, value in exact.items():
        assert abs(float(found[name]) - float(value)) < 4 * float(found[f"{name}_error"]), name
    assert float(found.helmholtz_free_energy_x) == pytest.approx(-T * LOG_Z)


def test_a_lost_valley_is_named_although_the_bound_looks_fine(reference):
    found = evaluated(one_valley(), reference)
    assert float(found.mode_collapse) == 1
    assert found.attrs["verdict"].startswith("not to be trusted") and "mode collapse" in found.attrs["warnings"]
    assert float(found.reverse_kl) / N < 0.1


def test_layers_show_where_the_overlaps_part(reference):
    spins = np.stack([configurations((N,))[:1000].numpy(), equilibrium(1000, 3).numpy()])
    coords = {
        "layer_name": ("layer", ["latent", "flow 1"]),
        "layer_kind": ("layer", ["flow"] * 2),
        "time": ("layer", [0, 1]),
    }
    layers = xr.Dataset({"configuration": (("layer", "sample", "site"), spins)}, coords=coords)
    layers["configuration"][0] = np.random.default_rng(0).choice([-1.0, 1.0], (1000, N))
    found = overlaps.layer_overlaps(layers, reference, np.random.default_rng(1))
    assert dict(found.triangle_fraction.sizes) == {"layer": 2, "convention": 2, "kind": 4}
    np.testing.assert_allclose(found.triangle_fraction.sum("kind"), 1.0)
    np.testing.assert_allclose(found.overlap_distribution.sum("overlap"), 1.0)
    free, glass = found.overlap_binder
    assert abs(float(free) - 1 / N) < 4 * float(found.overlap_binder_error[0])
    assert abs(float(glass - found.reference_overlap_binder)) < 4 * float(found.overlap_binder_error[1]) + 0.02
    assert float(found.overlap_dip[1]) > float(found.overlap_dip[0]) + 0.2
