"""Each law is broken once, and says so: which one, on what, by how much."""

from __future__ import annotations

import pytest
import torch

import flowlab as fl
from flowlab.testing import (
    LawBroken,
    check_chain,
    check_density,
    check_flow,
    check_integral,
    check_objective,
    check_system,
)

AFFINE = fl.AffineCoupling(torch.tensor([True, False, True, False]))


class Off(fl.AffineCoupling):
    def inverse(self, x):
        z, log_det = super().inverse(x)
        return z + 1e-3, log_det


class WithoutDet(fl.AffineCoupling):
    def _map(self, x, *, inverse):
        moved, log_det = super()._map(x, inverse=inverse)
        return moved, torch.zeros_like(log_det)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Off, r"Off: the inverse of f\(z\) is z: off by 0\.001 \(.*\), on \["),
        (WithoutDet, r"WithoutDet: ln\|det\| is that of the Jacobian: off by"),
    ],
)
def test_flows(kind, message):
    with pytest.raises(LawBroken, match=message):
        check_flow(kind(torch.tensor([True, False, True, False])), (4,))


class Unnormalised(fl.MADE):
    def log_prob(self, x):
        return super().log_prob(x) + 0.1


class Biased(fl.MADE):
    def draw(self, n, *, generator=None):
        draw = super().draw(n, generator=generator)
        x = torch.cat([draw.x[:1]] * (n // 2) + [draw.x[n // 2 :]])[:n]
        return fl.core.Draw(x, self.log_prob(x), self.log_prob(x))


class Noisy(fl.Z2Symmetrized):
    """Draws the other sign with gradients."""

    def __init__(self, shape):
        super().__init__(fl.MADE(shape))

    def draw(self, n, *, generator=None):
        draw = super().draw(n, generator=generator)
        return draw._replace(x=-draw.x) if torch.is_grad_enabled() else draw


class Forgetful(fl.MADE):
    def warm_start(self, other):
        return []


class Frozen(fl.MADE):
    def draw(self, n, *, generator=None):
        draw = super().draw(n, generator=generator)
        return fl.core.Draw(draw.x, draw.log_q, draw.score.detach())


class TakesBooleans(fl.MADE):
    def as_batch(self, x):
        return super().as_batch(2.0 * x - 1 if torch.is_tensor(x) and x.dtype == torch.bool else x)


class Staged(fl.MADE):
    def stages(self, n=None, *, x=None, z=None, generator=None):
        for state in super().stages(n, x=x, z=z, generator=generator):
            yield state if x is None else state._replace(x=-state.x)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Noisy, r"Noisy: gradients change no draw: off by 2 "),
        (Forgetful, r"Forgetful: warm_start takes over all weights of one like it: off by"),
        (Frozen, r"Frozen: the gradient of a loss reaches every parameter: not "),
        (TakesBooleans, r"TakesBooleans: booleans are refused: begin with x = self.as_batch\(x\)"),
        (Staged, r"Staged: stages from x end in x: off by 2 "),
        (Unnormalised, r"Unnormalised: ln q of draw without gradients is log_prob: off by 0\.1 .*, on \[-?1\.0, "),
        (Biased, r"Biased: it draws as often as q says: χ² = "),
    ],
)
def test_densities(kind, message):
    with pytest.raises(LawBroken, match=message):
        check_density(kind((3, 2)))


class Heavy(fl.Normal):
    def log_prob(self, x):
        return super().log_prob(x) + 0.1


def test_the_integral_of_real_fields():
    check_integral(fl.Normal((2, 2)))
    with pytest.raises(LawBroken, match=r"Heavy: ∫ q = 1: off by -0\.1"):
        check_integral(Heavy((2, 2)))


def test_masks_of_gumbel_draw_the_same_with_gradients_and_without():
    """Under a shared sign, which is drawn after them."""
    masks = fl.XorCoupling((4, 2), gradient="gumbel", start="random", parity=None)
    check_density(fl.Z2Symmetrized(fl.Pushforward(masks, fl.MADE((4, 2)))), fl.Spins())


class WrongSign(fl.Ising):
    @property
    def flip_symmetric(self):
        return True


class OfTheBatch(fl.Ising):
    def log_weight(self, x):
        x = self.batch(x)
        return super().log_weight(x) + x.mean() / len(x)


class AnyShape(fl.Ising):
    def batch(self, x):
        return self.numbers(x)


@pytest.mark.parametrize(
    ("system", "message"),
    [
        (WrongSign(4, T=2.0, h=0.5), "WrongSign: flip_symmetric means it: it says True, and ln weight of the flipped"),
        (OfTheBatch(4, T=2.0), "OfTheBatch: ln weight does not depend on the batch: off by"),
        (AnyShape(4, T=2.0), "AnyShape: configurations of another shape are refused: begin with"),
    ],
)
def test_systems(system, message):
    with pytest.raises(LawBroken, match=message):
        check_system(system)


def test_objectives():
    class Nan(fl.ReverseKL):
        def loss(self, density, target, n, *, generator=None):
            loss = super().loss(density, target, n, generator=generator)
            return loss._replace(log_weight=loss.log_weight + 1)

    with pytest.raises(LawBroken, match="Nan: the draws that it reports have the target's ln weight: off by 1 "):
        check_objective(Nan(), fl.MADE((4, 4)), fl.Ising(4, T=3.0))
    for objective in (fl.ReverseKL(), fl.PathGradient()):
        density = fl.Pushforward(AFFINE, fl.Normal((4,)))
        check_objective(objective, density, fl.Phi4((4,), kappa=0.2, lam=0.5))


def test_chains():
    system = fl.Ising((2, 4), T=2.5)
    check_chain(fl.mcmc.Wolff(system), system, steps=30)
    with pytest.raises(LawBroken, match="the chains end in the distribution of the system: χ² = "):
        check_chain(fl.mcmc.Metropolis(system.at(T=2.8)), system)
