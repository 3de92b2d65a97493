"""The diagnosis of densities whose answers are known: majority masks, idle flows, the exact domain-wall map."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

import flowlab as fl
from flowlab.analysis.diagnosis import OF_A_FLOW, PARTS, diagnose
from flowlab.analysis.samples_by_layer import draw_by_layer
from flowlab.core import Flow, named_generator
from flowlab.estimators.observables.domain_walls import domain_walls, spins_from_walls
from flowlab.systems.lattice import checkerboard
from flowlab.systems.triangular import TriangularIsing

T, SHAPE = 4.0, (6, 6)


def majority(sign: float = 1.0) -> fl.Pushforward:
    """The majority mask over fair even and tilted odd spins; sign = -1 is the same density in the other gauge."""
    base = fl.IndependentSpins(SHAPE)
    layer = fl.XorCoupling(SHAPE, "even", parity="odd", start="local_field", kernel=3)
    with torch.no_grad():
        base.bias[~checkerboard(SHAPE)] = sign * 3 / T
        layer.network.skip *= sign
        layer.network.weights[-1] *= sign
    return fl.Pushforward(fl.Composed([layer]), base)


def diagnosed(density: fl.Density, n: int = 4000, **options):
    return diagnose(density, fl.Ising(SHAPE, T), n, 0, {}, **options)


@pytest.fixture(scope="module")
def of_majority():
    return diagnosed(majority())


class WallFlow(Flow):
    """Walls and sector bits to spins, exactly."""

    label = "walls"

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return torch.as_tensor(spins_from_walls(z.numpy()), dtype=z.dtype), z.new_zeros(len(z))

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.as_tensor(domain_walls(x.numpy()), dtype=x.dtype), x.new_zeros(len(x))


def close(found, name, expected, more=1e-9, **where):
    value, error = (float(found[key].sel(where)) for key in (name, f"{name}_error"))
    assert abs(value - expected) < 4 * error + more, (value, error, expected)


# free energy


def test_free_energy_of_the_majority_mask(of_majority):
    after = -T * math.log(2) - T / 2 * math.log(math.cosh(1.5 / T))
    up = 1 / (1 + math.exp(-3 / T))
    before = -T / 2 * (math.log(2) - up * math.log(up) - (1 - up) * math.log(1 - up))
    close(of_majority, "free_energy_bound_per_site", before, layer=0)
    close(of_majority, "free_energy_bound_per_site", after, layer=1)
    close(of_majority, "delta_free_energy_per_site", after - before, layer=1)
    assert np.isnan(of_majority.delta_free_energy_per_site[0])
    assert float(of_majority.work_distribution[1].sum()) == pytest.approx(1)
    mean = float((of_majority.work * of_majority.work_distribution[1]).sum())
    assert mean / 36 == pytest.approx(float(of_majority.delta_free_energy_per_site[1]), abs=0.02)


def test_what_is_reported_does_not_depend_on_the_gauge(of_majority):
    other = diagnosed(majority(-1.0))
    change = other.delta_free_energy_per_site[1] - of_majority.delta_free_energy_per_site[1]
    assert abs(float(change)) < 4 * math.sqrt(2) * float(other.delta_free_energy_per_site_error[1])
    for name in ("defect_configuration", "defect_flipped_sites", "defect_wall_length", "latent_distance"):
        np.testing.assert_array_equal(other[name], of_majority[name])
    raw = majority(-1.0)
    assert not bool((raw.flow.inverse(torch.ones(1, *SHAPE))[0] == 1).all())
    run = draw_by_layer(raw, fl.Ising(SHAPE, T), 10, named_generator(0, "gauge"))
    assert (run.backwards(np.ones((1, *SHAPE))) == 1).all()
    np.testing.assert_array_equal(run.forwards(run.latents), run.spins)


# what else is measured of the flow


def test_a_mask_of_nearest_neighbours_responds_to_them_alone(of_majority):
    far = of_majority.separation > 1
    assert not of_majority.response[1][far].any()
    assert float(of_majority.response.sel(layer=1, separation=1)) > 0.1
    assert (of_majority.response_reach == [0, 1]).all()
    assert float(of_majority.mask_agreement[0, 0]) == 1
    close(of_majority, "mask_flips", 0.5, mask=1)


def test_an_idle_flow_does_nothing():
    layers = [fl.XorCoupling(SHAPE, reads) for reads in ("even", "odd", "even")]
    found = diagnosed(fl.Pushforward(fl.Composed(layers), fl.IndependentSpins(SHAPE)), n=500)
    assert not found.delta_free_energy_per_site[1:].any() and not found.mask_flips.any()
    assert np.isnan(found.delta_exponent)
    assert (found.response_range == 0).all() and (found.defect_flipped_sites == 0).all()
    assert float(found.latent_overlap.sel(block=1)) == 1
    assert float(found.latent_distance_equal) == float(found.physical_distance_equal)
    np.testing.assert_array_equal(found.mask_agreement, np.ones((3, 3)))
    np.testing.assert_array_equal(found.wall_length_per_site, np.full(4, found.wall_length_per_site[0]))


def test_shifted_masks_of_both_sublattices_are_the_same_function():
    layers = [fl.XorCoupling(SHAPE, reads, parity="odd", start="local_field") for reads in ("even", "odd", "even")]
    layers[1].load_state_dict(layers[0].state_dict())
    found = diagnosed(fl.Pushforward(fl.Composed(layers), fl.IndependentSpins(SHAPE)), parts=["self_similarity"])
    assert float(found.mask_agreement[0, 1]) == 1
    assert float(found.mask_agreement_chance[0, 1]) == pytest.approx(0.5, abs=0.02)
    assert float(found.logit_alignment[0, 1]) == pytest.approx(1, abs=1e-3)


def test_partitions_that_cannot_be_shifted_are_not_compared():
    masks = fl.flows.discrete.partitions.partitions("hierarchical", (8, 8), 6)
    layers = [fl.XorCoupling((8, 8), reads, parity="even", start="identity") for reads in masks]
    density = fl.Pushforward(fl.Composed(layers), fl.IndependentSpins((8, 8)))
    found = diagnose(density, fl.Ising((8, 8), T), 200, 0, {}, parts=["self_similarity"])
    comparable = np.kron(np.ones((2, 2)), np.eye(3)).astype(bool)
    comparable[2, 5] = comparable[5, 2] = False  # pairs side by side, and pairs one above the other
    np.testing.assert_array_equal(np.isfinite(found.mask_agreement), comparable)


def test_the_exact_domain_wall_flow_scores_one():
    found = diagnosed(fl.Pushforward(WallFlow(), fl.IndependentSpins(SHAPE)), n=1000)
    agreement = found.wall_agreement.sel(map=["learned", "exact"])
    np.testing.assert_array_equal(agreement, [1, 1])
    for control in ("shuffled samples", "identity"):
        here = found.sel(map=control)
        assert (
            abs(float(here.wall_agreement - here.wall_agreement_chance)) < 4 * float(here.wall_agreement_error) + 0.01
        )
        assert abs(float(here.wall_information)) < 4 * float(here.wall_information_error) + 1e-3
    assert "mask_agreement" not in found and "untrained" not in found["map"]
    with pytest.raises(TypeError, match="self_similarity needs XOR layers, got WallFlow"):
        diagnosed(fl.Pushforward(WallFlow(), fl.IndependentSpins(SHAPE)), parts=["self_similarity"])


def test_latents_that_are_free_bits_know_little_and_all_together_everything(of_majority):
    assert (of_majority.k == np.arange(len(of_majority.k))).all()
    close(of_majority, "information_sign", 0.0, k=0)
    assert float(of_majority.information_sign[-1]) < 0.1
    accuracy = of_majority.sign_predictability
    assert abs(float(accuracy[0]) - 0.5) < 0.05 and float(accuracy[-1]) > 0.7
    assert float(of_majority.spin_mode_explained[-1, 0]) > 0.5
    assert (of_majority.conditional_entropy <= math.log(2) + 1e-6).all()


# without a flow, and what is refused


def test_without_a_flow_the_rest_is_given():
    found = diagnosed(fl.MADE(SHAPE), n=300)
    assert found.attrs["parts"] == "entropy, information, walls"
    assert found.sizes["layer"] == 1 and "wall_length_per_site" in found and "delta_free_energy_per_site" not in found
    for part in OF_A_FLOW:
        with pytest.raises(TypeError, match=f"{part} needs? a flow, got MADE without layers"):
            diagnosed(fl.MADE(SHAPE), parts=[part])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n": 50}, ValueError, "a diagnosis needs at least 100 samples, got 50"),
        ({"parts": ["moments"]}, ValueError, "parts must be among entropy, information, .*, got moments"),
        ({"parts": []}, ValueError, "parts must be among .*, got none"),
    ],
)
def test_refused(options, error, message):
    with pytest.raises(error, match=message):
        diagnosed(majority(), **options)


def test_walls_are_for_the_square_lattice():
    triangular = TriangularIsing(SHAPE, 2.0)
    found = diagnose(majority(), triangular, 200, 0, {})
    assert found.attrs["parts"] == "entropy, information, work, overlap, self_similarity, response"
    with pytest.raises(TypeError, match="duality needs the Ising model on the square lattice, got TriangularIsing"):
        diagnose(majority(), triangular, 200, 0, {}, parts=["duality"])


def test_parts_are_for_lattices():
    glass = fl.SpinGlass.sherrington_kirkpatrick(8, seed=0, T=1.0)
    density = fl.MADE((8,))
    with pytest.raises(TypeError, match="walls needs spins on a lattice in the plane, got SpinGlass"):
        diagnose(density, glass, 100, 0, {}, parts=["walls"])
    training = fl.Training(glass, density, fl.ReverseKL(), steps=1, batch=10, learning_rate={"base": 1e-3})
    with pytest.raises(TypeError, match="parts walls need spins on a lattice in the plane"):
        training.diagnose(100, parts=["walls"])


# of a run


def test_diagnosis_of_a_run():
    run = fl.experiment("ising-xor", L=4, T=2.5, steps=20, batch=50, layers=2, start="local_field", width=1)
    run.run(20, progress=False)
    found = run.diagnose(400)
    assert found.attrs["parts"].split(", ") == list(PARTS) and found.attrs["step"] == 20
    assert list(found["map"].values[:2]) == ["learned", "untrained"]
    for name, variable in found.data_vars.items():
        assert variable.attrs["long_name"] and variable.attrs["units"], name
        if name.endswith("_error"):
            assert found[name.removesuffix("_error")].dims == variable.dims
    assert found.sizes["site"] == 16 and sorted(found.place.values) == list(range(16))
    assert found.identical(run.diagnose(400))
    some = run.diagnose(400, parts=("defects", "walls"))
    assert some.attrs["parts"] == "walls, defects" and "response" not in some and "conditional_entropy" not in some
    assert all(some[name].identical(found[name]) for name in ("latent_distance", "wall_length_per_site"))


def test_a_multilevel_run_is_diagnosed_on_the_whole_lattice():
    run = fl.experiment("ising-mlmc-hb", L=4, beta=0.3, device="cpu")
    found = run.diagnose(4000)
    assert found.attrs["parts"] == "information, walls" and sorted(found.place.values) == list(range(16))
    assert list(found.place[:4]) == [0, 2, 8, 10] and list(found.place[8:12]) == [1, 3, 4, 6]  # coarse first, odd last
    energy = run.evaluate(4000).energy_per_site  # each wall costs 2 J; ESS is nearly 1 at this temperature
    length = found.wall_length_per_site[0]
    assert abs(float(length) - (2 + float(energy)) / 2) < 4 * float(found.wall_length_per_site_error[0]) + 0.02
    close(found, "information_sign", 0.0, k=0)
    assert found.information_sign[4] > found.information_sign[1] > 0


def test_where_nothing_fits_every_part_says_why():
    run = fl.experiment("phi4-hybrid", L=4, beta=0.5, device="cpu")
    with pytest.raises(TypeError, match=r"nothing of a diagnosis fits: conditional .*; information needs spins .*Phi4"):
        run.diagnose(200)
    decimated = fl.Ising(SHAPE, T).decimate()
    density = fl.IndependentSpins((6, 3))
    with pytest.raises(TypeError, match="walls of a decimated lattice needs a multilevel density, got IndependentSp"):
        diagnose(density, decimated, 200, 0, {}, parts=["walls"])


def test_diagnosis_is_written_and_read(tmp_path, of_majority):
    of_majority.to_netcdf(tmp_path / "diagnosis.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "diagnosis.nc", engine="h5netcdf") as read:
        np.testing.assert_array_equal(read.defect_configuration, of_majority.defect_configuration)
        assert list(read.relabeling.values) == list(of_majority.relabeling.values)
