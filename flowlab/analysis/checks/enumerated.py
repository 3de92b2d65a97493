"""A density on a small system in full: KL, ESS and bound from every configuration, with no draws."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from flowlab.analysis.representations import like
from flowlab.core import Density, System
from flowlab.core.density import NoLikelihood
from flowlab.core.names import about
from flowlab.estimators.weights.evidence import Evidence
from flowlab.estimators.weights.pareto import low_ess
from flowlab.estimators.weights.weights import Estimate

LARGEST = 1 << 20
"""Configurations of a system that is enumerated, at most: those of 20 spins."""
AT_ONCE = 1 << 11
SECONDS = 10.0
"""Time for it."""


class Enumerated(NamedTuple):
    """What every configuration of the target says about q.

    Attributes:
        log_z: ln Z of the target, in nats.
        log_z_bound: E_q[log_weight - ln q], in nats.
        kl: KL(q | p), in nats.
        forward_kl: KL(p | q), in nats.
        ess: 1 / E_q[(p/q)²].
        total: Σ q, 1 for a normalised density.
    """

    log_z: float
    log_z_bound: float
    kl: float
    forward_kl: float
    ess: float
    total: float

    @property
    def variables(self) -> dict[str, tuple[tuple[()], float, dict[str, str]]]:
        """What an evaluation keeps of it: ``kl_exact``, ``forward_kl_exact``, ``ess_exact``, ``log_z_bound_exact``."""
        names = {"kl": self.kl, "forward_kl": self.forward_kl, "ess": self.ess, "log_z_bound": self.log_z_bound}
        return {f"{name}_exact": ((), value, about(f"{name}_exact")) for name, value in names.items()}


def enumerated(density: Density, target: System, seconds: float = SECONDS) -> Enumerated | None:
    """Exact numbers of q on the target's own variables.

    Where q and the target have the sign symmetry of spins by construction, half of the configurations say everything.

    Returns:
        Enumerated; None where the target has too many configurations, the density no normalised ln q, or its ln q of
        all of them would take longer than ``seconds``.
    """
    count = target.variables.count
    if density.log_norm != 0.0 or count is None or count**target.n_sites > LARGEST:
        return None
    total, copies = count**target.n_sites, 1
    if _even(density) and target.variables.signed and target.flip_symmetric:
        total, copies = total // 2, 2
    log_weight, log_q, started = [], [], time.perf_counter()
    try:
        with torch.no_grad():
            for x in _configurations(target, total, like(density).device):
                log_weight.append(target.log_weight(x.double()).double())
                log_q.append(density.log_prob(x).double())
                if (time.perf_counter() - started) * total > seconds * len(log_q) * AT_ONCE:
                    return None
    except NoLikelihood:
        return None
    lw, lq = torch.cat(log_weight), torch.cat(log_q)
    log_z = float(lw.logsumexp(0)) + math.log(copies)
    log_p, q, p = lw - log_z, copies * lq.exp(), copies * (lw - log_z).exp()
    normalisation = float(q.sum())
    drawn, there = q > 0, p > 0
    bound = float((q[drawn] * (lw - lq)[drawn]).sum()) / normalisation
    forward = float((p[there] * (log_p - lq)[there]).sum())
    ess = math.exp(-float((2 * log_p - lq)[there].logsumexp(0))) / copies
    return Enumerated(log_z, bound, log_z - bound, forward, ess, normalisation)


class Kept:
    """:func:`enumerated` of one density, found once for the weights and couplings that it has: no draws enter.

    >>> from flowlab.densities import IndependentSpins
    >>> from flowlab.systems import Ising
    >>> density, target, kept = IndependentSpins((2, 2)), Ising((2, 2), T=2.0), Kept()
    >>> kept(density, target) is kept(density, target)
    True
    """

    def __init__(self) -> None:
        self._of: tuple[System | None, bytes] = (None, b"")
        self._found: Enumerated | None = None

    def __call__(self, density: Density, target: System) -> Enumerated | None:
        state = hashlib.sha256()
        for name, tensor in (*density.state_dict().items(), *target.couplings.items()):
            state.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        same = self._of[0] is target and self._of[1] == state.digest()
        if not same or self._found is None:
            self._of, self._found = (target, state.digest()), enumerated(density, target)
        return self._found


def _even(density: Density) -> bool:
    """Whether q(-x) = q(x) for every value of the parameters."""
    action = density.flip_action()
    return action is not None and bool((action == -1).all())


def enumeration_evidence(found: Enumerated, ess: Estimate, n: int) -> list[Evidence]:
    """Every configuration beside n draws: is ln q normalised, and is the true ESS what the draws say?

    >>> enumeration_evidence(Enumerated(1.0, 0.9, 0.1, 2.0, 0.0008, 1.0), Estimate(0.2, 0.01), 10_000)[0].fails
    True
    """
    if abs(found.total - 1) > 1e-3:
        sentence = f"q sums to {found.total:.4g} over all configurations: ln q is not normalised"
        return [Evidence(sentence, fails=True, independent=True)]
    if low_ess(found.ess, n):
        sentence = (
            f"the ESS is {found.ess:.2g} by enumeration of all configurations and {ess.value:.2g} from the draws: "
            "they hardly reach a part of the target"
        )
        return [Evidence(sentence, fails=True, independent=True)]
    return [Evidence(f"the ESS is {found.ess:.3g} by enumeration of all configurations", independent=True)]


def _configurations(target: System, total: int, device: torch.device) -> Iterator[Tensor]:
    """The first ``total`` configurations of the target, some at once; of spins the first half are those of one sign."""
    count = target.variables.count
    assert count is not None
    places = count ** torch.arange(target.n_sites, device=device)
    for first in range(0, total, AT_ONCE):
        number = torch.arange(first, min(first + AT_ONCE, total), device=device)
        digits = (number[:, None] // places) % count
        yield target.variables.numbered(digits).reshape(-1, *target.shape)
