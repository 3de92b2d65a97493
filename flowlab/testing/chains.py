"""The laws of Markov chains."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from flowlab.core import MarkovChain, System
from flowlab.testing.laws import enumerable, every, generator, hold, same

SIGMAS = 5.0


def check_chain(
    chain: MarkovChain[Any, Any], system: System, *, steps: int = 100, n: int = 4000, seed: int = 0
) -> None:
    """A chain goes on from its state alone, and ends in the distribution of its system.

    - its state has ``configurations`` (n, *shape) of the system;
    - ``step`` leaves the state that it is given as it is, and makes the same of it every time;
    - where all configurations can be tried: after ``steps`` steps n chains are distributed as exp(log_weight)/Z.

    Args:
        chain: any whose states have ``configurations``.
        system: that it samples; small, for the last law: 10 spins at most.
        steps: until it has forgotten how it began.
        n: chains.
        seed: of them.

    Raises:
        LawBroken: which law, and by how much.

    >>> from flowlab.mcmc import Metropolis
    >>> from flowlab.systems import Ising
    >>> check_chain(Metropolis(Ising((2, 4), T=3.0)), Ising((2, 4), T=3.0))
    """
    state = chain.init(n, generator=generator(seed, "chain"))
    _check_configurations(chain, system, state, n)
    kept = copy.deepcopy(state)
    first, _ = chain.step(state)
    law = "step leaves the state that it is given as it is"
    same(chain, law, as_tensor(state.configurations), as_tensor(kept.configurations), atol=0)
    again, _ = chain.step(state)
    law = "the same state has the same next one"
    same(chain, law, as_tensor(again.configurations), as_tensor(first.configurations), atol=0)
    for _ in range(steps):
        state, _ = chain.step(state)
    _check_configurations(chain, system, state, n)
    if enumerable(system.variables, tuple(system.shape)):
        _check_distribution(chain, system, as_tensor(state.configurations))


def as_tensor(configurations: Any) -> Tensor:
    """Configurations of a state, (n, *shape) float64."""
    return torch.as_tensor(configurations).detach().double()


def _check_configurations(chain: MarkovChain[Any, Any], system: System, state: Any, n: int) -> None:
    x = as_tensor(state.configurations)
    law = "a state has a configuration of the system for each chain"
    hold(chain, law, tuple(x.shape) == (n, *system.shape), f"got shape {tuple(x.shape)}")
    system.check_configurations(x)


def _check_distribution(chain: MarkovChain[Any, Any], system: System, x: Tensor) -> None:
    """χ² of how often each value of ln weight and of the sum of all sites is found, beside how likely it is."""
    configurations = every(system.variables, tuple(system.shape))
    seen = torch.cat([configurations, x])
    with torch.no_grad():
        log_weight = system.log_weight(seen)
    kinds = torch.stack([log_weight.round(decimals=6), seen.flatten(1).sum(1)], 1)
    _, kind = kinds.unique(dim=0, return_inverse=True)
    p = torch.softmax(log_weight[: len(configurations)], 0).double()
    expected = len(x) * torch.zeros(int(kind.max()) + 1, dtype=torch.float64).index_add(
        0, kind[: len(configurations)], p
    )
    counts = torch.bincount(kind[len(configurations) :], minlength=len(expected)).double()
    often = expected > 5
    chi2, cells = float(((counts - expected).square() / expected)[often].sum()), int(often.sum())
    most = cells + SIGMAS * math.sqrt(2 * cells) + 1
    law = "the chains end in the distribution of the system"
    hold(chain, law, chi2 <= most, f"χ² = {chi2:.4g} over {cells} kinds of configurations")
