"""What is read off a training: how well the density does, and what its layers say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowlab.analysis import evaluation, overlaps
from flowlab.analysis.checks.check import check_evidence
from flowlab.analysis.checks.enumerated import Kept
from flowlab.analysis.diagnosis import Part, diagnose
from flowlab.core import Density, named_generator
from flowlab.core.generators import named_seed
from flowlab.core.numbers import seed_of, whole_number

Held = tuple[int, Density]
"""A step and the density at it, as :meth:`.Training.reading` gives them: kept, readings go on from there."""


class Asked(NamedTuple):
    """What a reading starts from.

    Attributes:
        density: as it is at the step that ``attrs`` name.
        generator: of its random numbers.
        attrs: attributes to keep, among them ``step`` and ``seed``.
    """

    density: Density
    generator: torch.Generator
    attrs: dict[str, Any]


class Evaluations:
    """What is read off a training, at the density that it publishes: a part of it.

    Args:
        run: the :class:`.Training`.
    """

    def __init__(self, run: Any) -> None:
        self._run, self._kept = run, Kept()

    def asked(self, what: str, seed: int | None, *, fresh: bool = False, held: Held | None = None) -> Asked:
        """The density as it is, and the random numbers of a reading: the run's own seed where none is given, or one."""
        step, density = held or self._run.reading()
        unasked = self._run._fresh_seed(step) if fresh and seed is None else self._run.seed
        own = unasked if seed is None else seed_of(seed)
        generator = named_generator(own, what, step, device=self._run.device)
        return Asked(density, generator, self._run._attrs(step, own))

    def batch(self, x: Any) -> Tensor | None:
        """Configurations as the density takes them; those of several chains, as a Dataset has them, in one batch."""
        if x is None:
            return None
        tensor: Tensor = self._run.density.as_batch(x).to(self._run.device)
        return tensor.reshape(-1, *tensor.shape[-len(self._run.system.dims) :]) if hasattr(x, "dims") else tensor

    def layers(self, n: int | None, x: Any, z: Any, seed: int, symmetrised: bool = True) -> xr.Dataset:
        """What :meth:`.Training.layers` returns."""
        run, (step, density) = self._run, self._run.reading()
        density = density if symmetrised else density.unsymmetrised
        n = 16 if n is None and x is None and z is None else n
        generator = named_generator(run.seed, "layers", seed, device=run.device)
        restored = named_seed(run.seed, "restore", seed)
        return evaluation.layers(
            density, run.target, generator, run._attrs(step, seed), n=n, x=self.batch(x), z=self.batch(z),
            restored_with=restored,
        )  # fmt: skip

    def evaluate(self, asked: Asked, n: int, reference: Any) -> xr.Dataset:
        """What :meth:`.Training.evaluate` returns at the run's own couplings.

        Args:
            asked: see :class:`Asked`.
            n: number of draws.
            reference: configurations of the system, None for those of the run's comparison, or those that a check left.
        """
        run, (density, generator, attrs) = self._run, asked
        compared, evidence = run.reference(), check_evidence(run)
        if compared is None:
            seen = run._checks.configurations() if reference is None else reference
        else:
            unseen = overlaps.unseen(compared, run.objective.unseen)
            spawned = named_generator(attrs["seed"], "compare", attrs["step"], device=run.device)
            told, said = overlaps.model_overlaps(density, run.target, compared, unseen, n, spawned)
            seen, evidence = unseen if reference is None else reference, evidence + said
        q = density.proposal(run.target)
        found = evaluation.evaluate(q, run.target, n, generator, attrs, self.batch(seen), evidence, self._kept)
        learned = run.objective.learned(density, run.target, run.drawn, generator=generator)
        found = found if learned is None else learned.add_to(found)
        return found if compared is None else overlaps.merged(found, told)

    def diagnosis(self, asked: Asked, n: int, parts: Sequence[Part] | None) -> xr.Dataset:
        """What :meth:`.Training.diagnose` returns."""
        run, (density, generator, attrs) = self._run, asked
        own = named_seed(attrs["seed"], "diagnose", attrs["step"])
        if not run.system.disordered:
            untrained = None if run.study is None else run._last.untrained(density)  # by hand: perhaps a trained one
            return diagnose(density, run.target, n, own, attrs, parts=parts, untrained=untrained)
        if parts is not None:
            raise TypeError(f"parts {', '.join(parts)} need spins on a lattice in the plane, got {run.system.title}")
        layers = run.layers(min(whole_number("the number of samples", n), 5000), seed=own)
        found = overlaps.layer_overlaps(layers, run.reference(), np.random.default_rng(own))
        if evaluation.has_conditionals(density):
            found = found.merge(evaluation.diagnose(density, n, generator, attrs, dim="place"))
        return found.assign_attrs(seed=attrs["seed"])
