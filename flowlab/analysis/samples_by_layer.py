"""Samples on their way through the layers of a density, in the gauge in which all-up stays all-up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowlab.analysis.representations import like, to_array
from flowlab.core import Density, LayerState, Spins, System

AT_ONCE = 4096

SpinArray = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class SamplesByLayer:
    """n samples of a density of lattice spins after each of its L layers, latents first.

    Attributes:
        density, target: whose samples, and the physical system.
        spins: (L+1, n, h, w) of ±1, in the gauge of :attr:`gauge`.
        gauge: (L+1, h, w) of ±1 by which the density's own spins were multiplied: where all-up passes on its way back.
        log_weight, log_q: (L+1, n) log weight and ln q of these spins.
        names, kinds, times: (L+1,) of the layers.
        order: (N,) raster site numbers in the order in which the latents are drawn.
    """

    density: Density
    target: System
    spins: SpinArray
    gauge: SpinArray
    log_weight: np.ndarray
    log_q: np.ndarray
    names: list[str]
    kinds: list[str]
    times: list[float]
    order: np.ndarray

    @property
    def log_w(self) -> np.ndarray:
        """(L+1, n) log weight - ln q."""
        return np.asarray(self.log_weight - self.log_q)

    @property
    def latents(self) -> SpinArray:
        """(n, h, w) the latents."""
        return np.asarray(self.spins[0])

    @property
    def samples(self) -> SpinArray:
        """(n, h, w) the samples."""
        return np.asarray(self.spins[-1])

    def backwards(self, x: np.ndarray) -> SpinArray:
        """(k, h, w) samples -> (L+1, k, h, w) in the gauge, after every layer on the way back."""
        return np.asarray(passed(self.density, x=x) * self.gauge[:, None])

    def forwards(self, z: np.ndarray) -> SpinArray:
        """(k, h, w) latents in the gauge -> (L+1, k, h, w) in the gauge."""
        return np.asarray(passed(self.density, z=z * self.gauge[0]) * self.gauge[:, None])


def on_a_lattice(target: System) -> bool:
    """Whether a target is spins alike everywhere on a lattice in the plane, which a diagnosis needs."""
    plane = len(target.dims) == 2 and target.physical is target
    return plane and target.variables == Spins() and not target.disordered


def place_in_order(density: Density) -> np.ndarray:
    """(N,) raster site numbers in the order in which the base draws its latents; raster if it has none."""
    order = density.site_order
    return np.arange(int(np.prod(density.shape))) if order is None else order.cpu().numpy()


def passed(density: Density, *, x: np.ndarray | None = None, z: np.ndarray | None = None) -> SpinArray:
    """(L+1, k, h, w) spins after every layer, of given samples x or latents z, in the density's own gauge."""
    given = x if x is not None else z
    assert given is not None
    parts = []
    for part in np.array_split(given, -(-len(given) // AT_ONCE)):
        one = tensor_like(density, part)
        parts.append(_spins(_states(density, density.stages(x=one) if x is not None else density.stages(z=one))))
    return np.concatenate(parts, axis=1)


def draw_by_layer(density: Density, target: System, n: int, generator: torch.Generator) -> SamplesByLayer:
    """n fresh samples after every layer.

    The gauge: masks m and -m are the same density with another base, so the layers' states are multiplied by the images
    of the all-up configuration, sent backwards through the flow. All-up then passes every layer unchanged.

    Raises:
        TypeError: where the layers do not all hold ±1 at the sites of the lattice.
    """
    gauge = passed(density, x=np.ones((1, *density.shape), np.int8))[:, 0]
    spins, log_weight, log_q = [], [], []
    states: list[LayerState] = []
    for size in [AT_ONCE] * (n // AT_ONCE) + ([n % AT_ONCE] if n % AT_ONCE else []):
        states = _states(density, density.stages(size, generator=generator))
        here = _spins(states) * gauge[:, None]
        with torch.no_grad():
            log_weight.append(np.stack([to_array(target.log_weight(tensor_like(density, s))) for s in here]))
        log_q.append(np.stack([to_array(state.log_q) for state in states]))
        spins.append(here)
    return SamplesByLayer(
        density,
        target,
        np.concatenate(spins, axis=1),
        gauge,
        np.concatenate(log_weight, axis=1),
        np.concatenate(log_q, axis=1),
        [state.name for state in states],
        [state.kind for state in states],
        [state.time for state in states],
        place_in_order(density),
    )


def restored_samples(density: Density, target: System, n: int, generator: torch.Generator) -> SamplesByLayer:
    """n fresh samples of a density of a decimated lattice, the sites that are summed over drawn; no layers before."""
    spins, log_weight, log_q = [], [], []
    with torch.no_grad():
        for size in [AT_ONCE] * (n // AT_ONCE) + ([n % AT_ONCE] if n % AT_ONCE else []):
            x, of_x = density.sample(size, generator=generator)
            s, of_others = target.restore(x, generator=generator)
            spins.append(s.cpu().numpy().astype(np.int8))
            log_weight.append(to_array(target.physical.log_weight(s)))
            log_q.append(to_array(of_x + of_others))
    samples = np.concatenate(spins)[None]
    weights, of_samples = np.concatenate(log_weight)[None], np.concatenate(log_q)[None]
    up = np.ones_like(samples[:, 0])
    order = target.physical_order(torch.from_numpy(place_in_order(density))).numpy()
    return SamplesByLayer(
        density, target.physical, samples, up, weights, of_samples, ["sample"], ["flow"], [1.0], order
    )


def _states(density: Density, stages: Iterable[LayerState]) -> list[LayerState]:
    """The layers of a flow; of a density without one, the samples alone."""
    states = list(stages)
    return states if density.flow_layers else states[-1:]


def _spins(states: list[LayerState]) -> SpinArray:
    shape = states[-1].x.shape
    for state in states:
        if state.x.shape != shape or not bool((state.x.abs() == 1).all()):
            raise TypeError(
                f"the layers must hold spins of ±1 at {tuple(shape[1:])} sites, got values of shape "
                f"{tuple(state.x.shape[1:])} that are not, in {state.name!r}"
            )
    return np.stack([state.x.detach().cpu().numpy().astype(np.int8) for state in states])


def tensor_like(density: Density, spins: np.ndarray) -> Tensor:
    """SpinArray as a tensor of the dtype and on the device of a density."""
    own = like(density)
    return torch.as_tensor(spins.astype(np.float64), dtype=own.dtype, device=own.device)
