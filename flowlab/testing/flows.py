"""The laws of flows."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from flowlab.core import Flow, Reals, Variables
from flowlab.testing.laws import generator, hold, inputs, same, shaken

DISTINCT = 1e-9


def check_flow(
    flow: Flow,
    shape: tuple[int, ...],
    variables: Variables | None = None,
    *,
    n: int = 4,
    shake: float = 0.3,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    """A flow is a bijection of its variables with the ln|det| that it says; tried on a copy in double precision.

    - f⁻¹(f(z)) = z, and the ln|det| of both directions are opposite;
    - ln|det| is that of the Jacobian, by automatic differentiation; 0 on discrete variables, whose values are kept;
    - values depend neither on gradients nor on the generator;
    - where ``pull_flip`` says how a flip is pulled through, f(a z) = -f(z).

    Args:
        flow: any.
        shape: of the configurations.
        variables: of them; by default real fields.
        n: configurations, unless there are so few that all are tried.
        shake: by which every parameter is moved first; 0 leaves them.
        tolerance: of x and of ln|det|.
        seed: of the inputs.

    Raises:
        LawBroken: which law, on which input, by how much.

    >>> from flowlab.core import Spins
    >>> from flowlab.flows import XorCoupling
    >>> check_flow(XorCoupling((4, 2), start="random"), (4, 2), Spins())
    """
    variables = Reals() if variables is None else variables
    flow = copy.deepcopy(flow).double()
    shaken(flow, shake, seed)
    z = inputs(variables, shape, n, seed)
    with torch.no_grad():
        x, log_det = flow(z)
        back, log_det_back = flow.inverse(x)
    law = "ln|det| is one number a configuration"
    hold(flow, law, log_det.shape == log_det_back.shape == (len(z),), f"got shape {tuple(log_det.shape)}")
    turned = variables.principal(back - z) if not variables.discrete else back - z
    same(flow, "the inverse of f(z) is z", turned, torch.zeros_like(z), atol=tolerance, on=z)
    same(flow, "ln|det| there and back are opposite", log_det_back, -log_det, atol=tolerance, on=z)
    if variables.discrete:
        variables.check(x)
        same(flow, "a map of discrete variables has ln|det| = 0", log_det, torch.zeros_like(log_det), atol=0, on=z)
        hold(flow, "no two latents have one image", len(x.unique(dim=0)) == len(z.unique(dim=0)))
    else:
        _check_jacobian(flow, z[:n], log_det[:n], tolerance)
    noisy, _ = flow(z, generator=generator(seed, "noise"))
    same(
        flow, "values depend neither on gradients nor on a generator", noisy, x, atol=0 if variables.discrete else 1e-12
    )
    action = -torch.ones(shape, dtype=z.dtype)
    pulled = flow.pull_flip(action) if variables.signed else None
    if pulled is not None:
        with torch.no_grad():
            same(flow, "pull_flip says how a flip is pulled through", flow(z * pulled)[0], -x, atol=tolerance, on=z)


def _check_jacobian(flow: Flow, z: Tensor, log_det: Tensor, tolerance: float) -> None:
    found = []
    for one in z:
        jacobian = torch.autograd.functional.jacobian(lambda at: flow(at[None])[0][0], one)
        found.append(jacobian.reshape(one.numel(), one.numel()).slogdet().logabsdet)
    same(flow, "ln|det| is that of the Jacobian", log_det, torch.stack(found), atol=tolerance, on=z)
