"""What each layer of a flow does: to the free energy, to walls and defects, to a single spin, next to other layers."""

from __future__ import annotations

import copy

import numpy as np
import torch

from flowlab.analysis.estimates import Columns, Coords, after_the_latent, pair, scaled, stacked
from flowlab.analysis.samples_by_layer import SamplesByLayer, passed, tensor_like
from flowlab.core import Density, Flow
from flowlab.estimators.information import self_similarity
from flowlab.estimators.information.power_law import power_law
from flowlab.estimators.information.response import response
from flowlab.estimators.information.work import work, work_distribution
from flowlab.estimators.observables import walls
from flowlab.estimators.observables.defects import TOPOLOGY, defects, placements, topology_distance
from flowlab.estimators.observables.domain_walls import domain_walls, wall_overlap
from flowlab.estimators.series import blocks
from flowlab.estimators.weights.weights import Estimate

SPINS_AT_ONCE = 2**20
PLACEMENTS = 64
ALIGNED_SITES = 64
"""Logits are compared at so many sites, at most: far fewer than samples."""


def work_columns(run: SamplesByLayer) -> tuple[Columns, Coords]:
    """Free energies, work and Jarzynski's check after every layer."""
    T, N = float(run.target.couplings["T"].detach()), run.target.n_sites
    found = work(run.log_w, T=T)
    centres, spread = work_distribution(run.log_w, T=T)
    change = scaled(1 / N, found.change)
    fit = power_law(np.arange(1, len(change.value) + 1), change.value, change.error)
    return {
        **pair("free_energy_bound_per_site", ("layer",), scaled(1 / N, found.free_energy_bound)),
        **pair("delta_free_energy_per_site", ("layer",), after_the_latent(change)),
        **pair("work_variance", ("layer",), after_the_latent(found.variance)),
        **pair("work_distribution", ("layer", "work"), after_the_latent(spread)),
        **pair("log_z", ("layer",), found.log_z),
        **pair("log_z_change", ("layer",), after_the_latent(found.log_z_change)),
        **pair("ess", ("layer",), found.ess),
        **pair("delta_exponent", (), fit.exponent),
        **pair("delta_amplitude", (), fit.amplitude),
        "delta_chi2": ((), fit.chi2_per_point),
    }, {"work": ("work", centres)}


def wall_columns(run: SamplesByLayer) -> tuple[Columns, Coords]:
    """Length and dimension of the walls after every layer."""
    N, n = run.target.n_sites, run.spins.shape[1]
    length = walls.wall_length(run.spins) / N
    some = run.spins[:, : max(200, 2 * SPINS_AT_ONCE // (N * len(run.spins)))]
    return {
        **pair("wall_length_per_site", ("layer",), Estimate(length.mean(1), length.std(1, ddof=1) / np.sqrt(n))),
        **pair("wall_dimension", ("layer",), stacked([walls.wall_dimension(layer) for layer in some])),
    }, {}


def overlap_columns(run: SamplesByLayer) -> tuple[Columns, Coords]:
    """How much the latents look like the samples (block 1), and like their majorities."""
    sides = [b for b in (1, 3, 5) if b <= min(run.samples.shape[1:])]
    seen = [blocks.majority(run.samples, b) for b in sides]
    return {
        **pair("latent_overlap", ("block",), stacked([blocks.overlap(run.latents, b) for b in seen])),
        **pair("sample_overlap", ("block",), stacked([blocks.overlap(run.samples, b) for b in seen])),
    }, {"block": ("block", sides)}


def response_columns(run: SamplesByLayer, rng: np.random.Generator) -> tuple[Columns, Coords]:
    """What the flip of one latent changes after every layer; each sample has one latent flipped."""
    n, h, w = run.latents.shape
    k = min(n, max(200, SPINS_AT_ONCE // (4 * h * w)))
    z, sites = run.latents[:k], rng.integers(h * w, size=k)
    flipped = z.reshape(k, -1).copy()
    flipped[np.arange(k), sites] *= -1
    before, after = run.forwards(z), run.forwards(flipped.reshape(z.shape))
    found = [response(a, b, sites) for a, b in zip(before, after, strict=True)]
    return {
        **pair("response", ("layer", "separation"), stacked([one.probability for one in found])),
        **pair("response_range", ("layer",), stacked([one.range for one in found])),
        **pair("response_size", ("layer",), stacked([one.changed for one in found])),
        "response_reach": (("layer",), np.array([one.reach for one in found])),
    }, {"separation": ("separation", found[0].separation)}


def defect_columns(run: SamplesByLayer, rng: np.random.Generator) -> tuple[Columns, Coords]:
    """Configurations with known defects, sent back through the layers."""
    shape = (run.target.shape[0], run.target.shape[1])
    made = defects(shape)
    names, topology = list(made), [TOPOLOGY[name] for name in made]
    physical = np.stack(list(made.values()))
    seen = run.backwards(physical).swapaxes(0, 1)
    columns: Columns = {
        "defect_configuration": (("defect", "layer", "y", "x"), seen.astype(float)),
        "defect_flipped_sites": (("defect", "layer"), (seen != seen[:, -1:]).sum((2, 3))),
        "defect_wall_length": (("defect", "layer"), walls.wall_length(seen)),
    }
    placed = placements(physical, PLACEMENTS, rng=rng)
    images = run.backwards(placed.reshape(-1, *shape))[0].reshape(placed.shape)
    for name, states in (("latent", images), ("physical", placed)):
        found = topology_distance(states, topology)
        columns |= pair(f"{name}_distance", ("defect", "other_defect"), found.matrix)
        columns |= pair(f"{name}_distance_equal", (), found.equal)
        columns |= pair(f"{name}_distance_different", (), found.different)
    return columns, {"defect": names, "other_defect": names, "topology": ("defect", topology)}


def duality_columns(
    run: SamplesByLayer, untrained: Density | None, generator: torch.Generator
) -> tuple[Columns, Coords]:
    """The latents against domain walls of the same samples, next to maps that know less, and to the exact one.

    "untrained" is the same flow before training; "shuffled weights" has each parameter's entries in random order;
    "shuffled samples" are latents of other samples; "identity" are the spins themselves.
    """
    s = run.samples[: max(400, SPINS_AT_ONCE // (4 * run.target.n_sites))]
    learned = run.latents[: len(s)]
    maps = {"learned": learned}
    if untrained is not None:
        maps["untrained"] = _latents(untrained, s)
    maps["shuffled weights"] = _latents(_shuffled(run.density, generator), s)
    maps |= {"shuffled samples": np.roll(learned, len(s) // 3, axis=0), "identity": s}
    maps["exact"] = domain_walls(s).astype(np.int8)
    found = [wall_overlap(z, s) for z in maps.values()]
    return {
        **pair("wall_agreement", ("map",), stacked([one.agreement for one in found])),
        "wall_agreement_chance": (("map",), np.array([one.chance for one in found])),
        **pair("wall_information", ("map",), stacked([one.information for one in found])),
        **pair("site_wall_information", ("map", "y", "x"), stacked([one.site_information for one in found])),
    }, {"map": list(maps), "relabeling": ("map", [one.relabeling for one in found])}


def mask_columns(run: SamplesByLayer) -> tuple[Columns, Coords]:
    """Masks and logits of XOR layers on the same samples; NaN between layers whose partitions cannot be shifted.

    The samples are shifted so that every layer of one kind of partition reads the sites that the first of them reads.
    """
    layers = run.density.flow_layers
    s = run.samples[: max(1000, SPINS_AT_ONCE // (2 * run.target.n_sites * len(layers)))]
    seen = [_logits(layer, run, number, s) for number, layer in enumerate(layers, 1)]
    shape = (len(layers), len(layers))
    agreement, alignment = np.full((2, *shape), np.nan), np.full((2, *shape), np.nan)
    chance, flips = np.full(shape, np.nan), np.full((2, len(layers)), np.nan)
    for kind in dict.fromkeys(pattern for pattern, _ in seen):
        members = [i for i, (pattern, _) in enumerate(seen) if pattern == kind]
        logits = np.stack([seen[i][1] for i in members])
        found, block = self_similarity.mask_agreement(np.copysign(1.0, logits)), np.ix_(members, members)
        aligned = self_similarity.kernel_alignment(logits[:, :, :: -(-logits.shape[2] // ALIGNED_SITES)])
        for table, estimate in ((agreement, found.fraction), (alignment, aligned)):
            table[0][block], table[1][block] = estimate
        chance[block], flips[:, members] = found.chance, found.flips
    numbers = ("mask", np.arange(1, len(layers) + 1))
    return {
        **pair("mask_agreement", ("mask", "other_mask"), Estimate(*agreement)),
        "mask_agreement_chance": (("mask", "other_mask"), chance),
        **pair("logit_alignment", ("mask", "other_mask"), Estimate(*alignment)),
        **pair("mask_flips", ("mask",), Estimate(*flips)),
    }, {"mask": numbers, "other_mask": ("other_mask", numbers[1])}


def _logits(layer: Flow, run: SamplesByLayer, number: int, s: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A layer's partition shifted to a standard place, and its logits there, (n, M), in the gauge."""
    decides = layer.decides()
    assert decides is not None
    deciding = decides.cpu().numpy()
    h, w = deciding.shape
    pattern, y, x = max((np.roll(deciding, (y, x), (0, 1)).tobytes(), y, x) for y in range(h) for x in range(w))
    before, after = run.gauge[number - 1], run.gauge[number]
    inputs = tensor_like(run.density, np.roll(s, (-y, -x), (1, 2)) * before)
    with torch.no_grad():
        logits = layer.flip_logits(inputs).cpu().double().numpy()
    logits = np.roll(logits * before * after, (y, x), (1, 2))
    return pattern, logits[:, ~np.frombuffer(pattern, dtype=bool).reshape(h, w)]


def _latents(density: Density, s: np.ndarray) -> np.ndarray:
    """(n, h, w) samples -> their latents by another density, in its own gauge of all-up."""
    up = np.ones((1, *s.shape[1:]))
    return np.asarray(passed(density, x=s)[0] * passed(density, x=up)[0])


def _shuffled(density: Density, generator: torch.Generator) -> Density:
    """A copy whose flow has the entries of each of its parameters in random order."""
    other = copy.deepcopy(density)
    with torch.no_grad():
        for layer in other.flow_layers:
            for p in layer.parameters():
                order = torch.randperm(p.numel(), generator=generator, device=generator.device).to(p.device)
                p.copy_(p.flatten()[order].view_as(p))
    return other
