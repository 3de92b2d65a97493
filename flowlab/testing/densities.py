"""The laws of densities."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowlab.core import Density, Draw, Variables
from flowlab.core.generators import Portion
from flowlab.testing.laws import enumerable, every, generator, hold, same, shaken

SIGMAS = 5.0


def check_density(
    density: Density,
    variables: Variables | None = None,
    *,
    n: int = 20,
    shake: float = 0.3,
    tolerance: float = 1e-8,
    draws: int = 10_000,
    trained: bool = True,
    seed: int = 0,
) -> None:
    """A density has one ln q for a configuration, on every path, and draws by it; tried on a copy.

    - ln q of ``sample``, of ``draw`` with and without gradients and of the last of the ``stages`` is ``log_prob``, in
      the density's precision and in double precision;
    - equal generators draw equal configurations, with gradients and without, and what is drawn is of its variables;
    - ``stages`` from a configuration, and from its latents, end in it;
    - where it is ``divisible``, two processes draw the rows that one draws, and leave the generator where it does;
    - integers, half floats and arrays have the likelihood of the same numbers; booleans are refused;
    - ``state_dict`` holds all that was learned, written and read again; ``warm_start`` takes all of it over;
    - ``parameter_groups`` names every parameter once, and the gradient of a loss on its draws reaches each of them;
    - q(a x) = q(x) for the ``flip_action`` a;
    - where all configurations can be tried: Σ q = 1, and they are drawn as often as q says.

    For the integral of a q of real fields see :func:`check_integral`.

    Args:
        density: any with a ln q.
        variables: that it draws; by default its own, where it names them.
        n: configurations.
        shake: by which every parameter is moved first; 0 leaves them.
        tolerance: of ln q in double precision, in nats; that of the integration for flows that integrate.
        draws: for the last law; 0 leaves it out.
        trained: whether all of its parameters are.
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
    hold(density, "log_norm is a number or None", density.log_norm is None or math.isfinite(density.log_norm))
    if variables is not None:
        variables.check(x)
    single = max(tolerance, 2e-3) + 1e-5 * float(log_q.abs().max())
    _check_likelihoods(density, n, single, seed)
    if density.divisible:
        _check_portions(density, n - n % 2, tolerance, seed)
    with torch.no_grad():
        _check_weights(density, fresh, x, single)
        _check_types(density, x, single)
    named = [id(parameter) for group in density.parameter_groups().values() for parameter in group]
    wanted = [id(parameter) for parameter in density.parameters() if parameter.requires_grad]
    hold(density, "parameter_groups names every parameter once", sorted(named) == sorted(wanted))
    density = density.double()
    silent, loud = _check_likelihoods(density, n, tolerance, seed)
    if density.iid:
        same(density, "gradients change no draw", loud.x, silent.x, atol=max(tolerance, 1e-6))
    _check_stages(density, n, tolerance, seed)
    if trained:
        _check_gradient(density, seed)
    with torch.no_grad():
        x, action = x.double(), density.flip_action()
        if action is not None:
            law = "q(a x) = q(x) for its flip_action a"
            same(density, law, density.log_prob(action.to(x) * x), density.log_prob(x), atol=1e-8, on=x)
        countable = variables is not None and enumerable(variables, tuple(density.shape)) and density.log_norm == 0
        if draws and countable and variables is not None:
            _check_frequencies(density, every(variables, tuple(density.shape)), seed, draws)


def check_integral(density: Density, *, draws: int = 40_000, seed: int = 0) -> None:
    """∫ q = 1, for a q of a few real sites that is not far from a Gaussian; tried on a copy in double precision.

    The mean of r/q over draws of q is the integral of r, here a Gaussian a little narrower than q.

    Args:
        density: of real fields, normalised.
        draws: of it.
        seed: of the draws.

    Raises:
        LawBroken: by how much; also where q is so unlike a Gaussian that r/q spreads by more than 10.

    >>> from flowlab.densities import Normal
    >>> check_integral(Normal((2, 2)), draws=1000)
    """
    density = copy.deepcopy(density).double()
    with torch.no_grad():
        x, log_q = density.sample(draws, generator=generator(seed, "integral"))
    flat = x.flatten(1)
    r = torch.distributions.MultivariateNormal(flat.mean(0), 0.6 * flat.T.cov())
    ratio = (r.log_prob(flat) - log_q).exp()
    off, spread = float(ratio.mean()) - 1, float(ratio.std())
    hold(density, "it is near a Gaussian", spread < 10, f"the weights of one spread by {spread:.3g}")
    error = spread / math.sqrt(draws)
    hold(density, "∫ q = 1", abs(off) < SIGMAS * error, f"off by {off:.3g} ± {error:.2g}")


def _check_likelihoods(density: Density, n: int, tolerance: float, seed: int) -> tuple[Draw, Draw]:
    """Also returns draws of one generator without gradients and with them."""
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
    hold(density, "without gradients there are none", not silent.log_q.requires_grad and not silent.score.requires_grad)
    return silent, draw


def _check_portions(density: Density, n: int, tolerance: float, seed: int) -> None:
    """Two processes draw what one draws, in double precision, where rounding turns no discrete choice."""
    drawn, states = [], []
    for count, rank in ((1, 0), (2, 0), (2, 1)):
        random = generator(seed, "portions")
        drawn.append(Portion(rank, count).rows(copy.deepcopy(density).double().draw, n, random))
        states.append(random.get_state())
    for name, one, *two in zip(Draw._fields, *drawn, strict=True):
        same(density, f"{name} of two processes is that of one", torch.cat(two), one, atol=tolerance)
    at_the_end = all(torch.equal(state, states[0]) for state in states)
    hold(density, "processes leave the generator where one leaves it", at_the_end)


def _check_weights(density: Density, fresh: Density, x: Tensor, tolerance: float) -> None:
    log_q, warm, file = density.log_prob(x), copy.deepcopy(fresh), io.BytesIO()
    torch.save(density.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    same(density, "what state_dict holds restores it", fresh.log_prob(x), log_q, atol=tolerance, on=x)
    warm.warm_start(density)
    same(density, "warm_start takes over all weights of one like it", warm.log_prob(x), log_q, atol=tolerance, on=x)


def _check_types(density: Density, x: Tensor, tolerance: float) -> None:
    x = x.half()  # the same numbers at every width
    log_q = density.log_prob(x)
    others: list[Any] = [x.float(), x.double(), x.float().numpy(), x.double().numpy(), xr.DataArray(x.numpy())]
    others += [x.tolist()]
    if bool((x == x.round()).all()):
        others += [x.to(torch.int8), x.long(), x.numpy().astype(np.int16)]
    for other in others:
        kind = f"{type(other).__name__} of {getattr(other, 'dtype', 'numbers')}"
        same(density, f"{kind} has the likelihood of the same numbers", density.log_prob(other), log_q, atol=tolerance)
    try:
        density.log_prob(x > 0)
    except TypeError:
        return
    hold(density, "booleans are refused", False, "begin with x = self.as_batch(x)")


def _check_stages(density: Density, n: int, tolerance: float, seed: int) -> None:
    with torch.no_grad():
        drawn = list(density.stages(n, generator=generator(seed, "stages")))
        x = drawn[-1].x
        back = list(density.stages(x=x))
        found = {"n": drawn, "x": back}
        if back[0].kind != "level":  # else the sites of finer levels are drawn again
            found["the latents of x"] = list(density.stages(z=back[0].x))
        expected = density.log_prob(x)
    near = max(tolerance, 1e-6)
    for how, stages in found.items():
        same(density, f"stages from {how} end in x", stages[-1].x, x, atol=near)
        same(density, f"stages from {how} end with its ln q", stages[-1].log_q, expected, atol=near, on=x)
        hold(density, "the last stage has time 1", stages[-1].time == 1.0, f"got {stages[-1].time}")
        for one, other in zip(stages, back, strict=True) if how != "n" else ():
            same(density, f"stages from {how} are those from x", one.x, other.x, atol=near)


def _check_gradient(density: Density, seed: int, n: int = 300) -> None:
    """R = ln q + some energy, by the score of discrete choices and along the path of the rest."""
    density.zero_grad()
    with torch.enable_grad():
        draw = density.draw(n, generator=generator(seed, "gradient"))
        field = torch.randn(density.shape, generator=generator(seed, "field"), dtype=torch.float64).to(draw.x)
        energy = (field * draw.x + draw.x.roll(1, -1) * draw.x + draw.x.pow(4)).flatten(1).sum(1)
        R = draw.log_q + energy
        loss = ((R - R.mean()).detach() * draw.score + R).mean()
        if loss.requires_grad:
            loss.backward()
    missed = [
        name
        for name, parameter in density.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.any()))
    ]
    hold(density, "the gradient of a loss reaches every parameter", not missed, f"not {', '.join(missed)}")


def _check_frequencies(density: Density, x: Tensor, seed: int, n: int) -> None:
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
