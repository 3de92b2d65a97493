"""The laws of densities."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from flowlab.core import Density, Variables
from flowlab.testing.laws import enumerable, every, generator, hold, same, shaken

SIGMAS = 5.0


def check_density(
    density: Density,
    variables: Variables | None = None,
    *,
    n: int = 20,
    shake: float = 0.3,
    tolerance: float = 1e-8,
    seed: int = 0,
) -> None:
    """A density has one ln q for a configuration, on every path, and draws by it; tried on a copy.

    - ln q of ``sample``, of ``draw`` with and without gradients and of the last of the ``stages`` is ``log_prob``, in
      the density's precision and in double precision;
    - equal generators draw equal configurations, and what is drawn is of its variables;
    - integers, half floats and arrays have the likelihood of the same numbers;
    - ``state_dict`` holds all that was learned; ``parameter_groups`` names every parameter once;
    - q(a x) = q(x) for the ``flip_action`` a;
    - where all configurations can be tried: Σ q = 1, and they are drawn as often as q says.

    Args:
        density: any with a ln q.
        variables: that it draws; by default its own, where it names them.
        n: configurations.
        shake: by which every parameter is moved first; 0 leaves them.
        tolerance: of ln q in double precision, in nats; that of the integration for flows that integrate.
        seed: of the draws.

    Raises:
        LawBroken: which law, on which input, by how much.

    >>> from flowlab.densities import MADE
    >>> check_density(MADE((3, 2)))
    """
    variables = density.variables if variables is None else variables
    fresh, density = copy.deepcopy(density), copy.deepcopy(density)
    shaken(density, shake, seed)
    x, log_q = density.sample(n, generator=generator(seed, "sample"))
    hold(
        density, "it draws configurations of its shape", tuple(x.shape) == (n, *density.shape), f"got {tuple(x.shape)}"
    )
    hold(density, "ln q of its draws is finite", bool(log_q.isfinite().all()))
    if variables is not None:
        variables.check(x)
    with torch.no_grad():
        single = max(tolerance, 2e-3) + 1e-5 * float(log_q.abs().max())
        _check_likelihoods(density, n, single, seed)
        fresh.load_state_dict(density.state_dict())
        law = "what state_dict holds restores it"
        same(density, law, fresh.log_prob(x), density.log_prob(x), atol=single, on=x)
        _check_types(density, x, single)
    named = [id(parameter) for group in density.parameter_groups().values() for parameter in group]
    wanted = [id(parameter) for parameter in density.parameters() if parameter.requires_grad]
    hold(density, "parameter_groups names every parameter once", sorted(named) == sorted(wanted))
    density = density.double()
    _check_likelihoods(density, n, tolerance, seed)
    action = density.flip_action()
    with torch.no_grad():
        x = x.double()
        if action is not None:
            law = "q(a x) = q(x) for its flip_action a"
            same(density, law, density.log_prob(action.to(x) * x), density.log_prob(x), atol=1e-8, on=x)
        if variables is not None and enumerable(variables, tuple(density.shape)) and density.log_norm == 0:
            _check_frequencies(density, every(variables, tuple(density.shape)), seed)


def _check_likelihoods(density: Density, n: int, tolerance: float, seed: int) -> None:
    with torch.no_grad():
        silent, again = (density.draw(n, generator=generator(seed, "draw")) for _ in range(2))
        last = list(density.stages(n, generator=generator(seed, "stages")))[-1]
    with torch.enable_grad():
        draw = density.draw(n, generator=generator(seed, "draw"))
    found = {"draw": draw[:2], "draw without gradients": silent[:2], "stages": (last.x, last.log_q)}
    found |= {"sample": density.sample(n, generator=generator(seed, "draw"))}
    for where, (x, log_q) in found.items():
        with torch.no_grad():
            expected = density.log_prob(x.detach())
        same(density, f"ln q of {where} is log_prob", log_q, expected, atol=tolerance, on=x.detach())
    if density.iid:  # else it goes on from where its chains are
        same(density, "equal generators draw equal configurations", again.x, silent.x, atol=0)
    same(density, "score is the same with and without gradients", draw.score, silent.score, atol=tolerance)
    hold(density, "without gradients there are none", not silent.log_q.requires_grad)


def _check_types(density: Density, x: Tensor, tolerance: float) -> None:
    x = x.half()  # the same numbers at every width
    log_q = density.log_prob(x)
    others: list[Any] = [x.float(), x.double(), x.float().numpy(), x.tolist()]
    others += [x.to(torch.int8)] if bool((x == x.round()).all()) else []
    for other in others:
        kind = getattr(other, "dtype", type(other).__name__)
        same(density, f"{kind} has the likelihood of the same numbers", density.log_prob(other), log_q, atol=tolerance)


def _check_frequencies(density: Density, x: Tensor, seed: int, n: int = 10_000) -> None:
    log_q = torch.cat([density.log_prob(some) for some in x.split(4096)])
    same(density, "Σ q = 1 over all configurations", log_q.logsumexp(0)[None], torch.zeros(1), atol=1e-8)
    drawn, _ = density.sample(n, generator=generator(seed, "frequencies"))
    everything, order = torch.cat([x, drawn.double()]).flatten(1).unique(dim=0, return_inverse=True)
    counts = torch.bincount(order[len(x) :], minlength=len(everything)).double()
    expected = torch.zeros(len(everything), dtype=torch.float64).index_add(0, order[: len(x)], n * log_q.exp().double())
    often = expected > 5
    chi2, cells = float(((counts - expected).square() / expected)[often].sum()), int(often.sum())
    most = cells + SIGMAS * math.sqrt(2 * cells) + 1
    hold(density, "it draws as often as q says", chi2 <= most, f"χ² = {chi2:.4g} over {cells} configurations")
