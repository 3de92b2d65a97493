"""Densities built to look right: each passes by its ESS, and the verdict of an evaluation names what is wrong."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import flowlab as fl
from flowlab.analysis import evaluation
from flowlab.analysis.checks.enumerated import enumerated
from flowlab.analysis.checks.witness import Witness
from flowlab.core import named_generator
from flowlab.core.variables import Angles
from flowlab.estimators.weights.evidence import shown
from flowlab.exact.enumeration import configurations, distribution


class XY(fl.System):
    """Angles on a ring, from outside: E = -Σ cos(θ_i - θ_{i+1})."""

    variables = Angles()
    dims = ("x",)

    def __init__(self, L: int, T: float) -> None:
        super().__init__()
        self.shape, self.couplings = (L,), {"T": torch.tensor(T, dtype=torch.float64)}

    def log_weight(self, x: Tensor) -> Tensor:
        return torch.cos(x - x.roll(1, -1)).sum(-1) / self.couplings["T"].to(x.dtype)

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        return {"magnetization": self.variables.magnetization(x)}


class Among(fl.Density):
    """Draws given configurations with given probabilities, and says another ln q where asked to."""

    def __init__(self, system: fl.System, x: Tensor, log_q: Tensor, *, lie: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.shape, self.lie, self.scale = system.shape, lie, scale
        self.register_buffer("x", x)
        self.register_buffer("table", log_q - log_q.logsumexp(0))
        self.number = {tuple(row.flatten().tolist()): i for i, row in enumerate(x)}

    def draw(self, n, *, generator=None):
        chosen = torch.multinomial(self.table.exp(), n, replacement=True, generator=generator)
        return fl.core.Draw(self.x[chosen].float(), self.table[chosen].float() + self.lie, torch.zeros(n))

    def log_prob(self, x):
        rows = (self.number.get(tuple(row.flatten().tolist()), -1) for row in x)
        return torch.tensor([-math.inf if i < 0 else float(self.table[i]) for i in rows]) * self.scale


class Uniform(fl.Density):
    """Independent angles, all of them or only those of a half circle."""

    def __init__(self, L: int, width: float) -> None:
        super().__init__()
        self.shape, self.width = (L,), width
        self.register_buffer("log_q", torch.tensor(-L * math.log(width)))

    def draw(self, n, *, generator=None):
        x = (torch.rand(n, *self.shape, generator=generator) - 0.5) * self.width
        return fl.core.Draw(x, self.log_q.expand(n), torch.zeros(n))

    def log_prob(self, x):
        return self.log_q.expand(len(x))


def evaluate(system, density, n=4000, **known):
    found = evaluation.evaluate(density, system, n, named_generator(0, "witness"), {"T": system.temperature, **known})
    return found.attrs["verdict"], found.attrs["reasons"], found


ISING = fl.Ising((4, 4), T=2.0)
LOG_P = distribution(ISING)
ALL = configurations((4, 4))


def test_the_target_itself_is_consistent():
    verdict, _, found = evaluate(ISING, Among(ISING, ALL, LOG_P))
    assert verdict.startswith("consistent: ln Z is ") and "the ESS is 1 by enumeration" in verdict
    assert float(found.ess_exact) == pytest.approx(1, abs=1e-4) and abs(float(found.kl_exact)) < 1e-4


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (lambda x: x.sum((1, 2)) >= 0, "M > 0 in"),
        (lambda x: x.sum((1, 2)).abs() == 16, "moves of one site"),
        (lambda x: x[:, 0, 0] * x[:, 0, 1] > 0, "translations along"),
        (lambda x: (x * x.roll(1, 1)).sum((1, 2)) >= (x * x.roll(1, 2)).sum((1, 2)), "exchange of y and x"),
    ],
    ids=["a sign", "single flips", "a bond", "a direction"],
)
def test_what_is_missing_of_the_target_is_seen_without_an_exact_value(keep, reason, monkeypatch):
    """p itself on a part of the configurations: ESS 1, no variance, and everything else fine."""
    monkeypatch.setattr(evaluation, "enumerated", lambda density, target: None)
    density = Among(ISING, ALL, torch.where(keep(ALL), LOG_P, -torch.inf))
    verdict, reasons, found = evaluate(ISING, density)
    assert float(found.ess) > 0.999
    assert verdict.startswith("not to be trusted"), reasons
    assert any(reason in line for line in found.attrs["warnings"].splitlines()), reasons


def test_half_of_the_configurations_say_all_of_what_is_even():
    """And nothing is enumerated that would take too long."""
    density = fl.Z2Symmetrized(fl.MADE((4, 4), generator=named_generator(3, "weights")))
    table = Among(ISING, ALL, density.log_prob(ALL.float()).detach().double())
    half, other = enumerated(density, ISING), enumerated(table, ISING)
    assert half is not None and other is not None
    assert half == pytest.approx(tuple(other), rel=1e-5) and half.total == pytest.approx(1, abs=1e-5)
    assert enumerated(density, ISING, seconds=1e-9) is None
    assert enumerated(fl.MADE((6, 6)), fl.Ising((6, 6), T=2.0)) is None


def test_an_enumeration_is_kept_while_weights_and_couplings_stay(monkeypatch):
    found = []
    monkeypatch.setattr(
        "flowlab.analysis.checks.enumerated.enumerated", lambda *given: found.append(enumerated(*given)) or found[-1]
    )
    run = fl.experiment("ising-xor", L=4, T=2.3, steps=4, batch=50, seed=1)
    with shown():
        run.run(2, progress=False)
        one, other = (run.evaluate(100, seed=seed) for seed in (1, 2))
        assert len(found) == 1 and float(one.ess_exact) == float(other.ess_exact) != float(one.ess)
        run.run(progress=False)
        assert float(run.evaluate(100, seed=1).ess_exact) == pytest.approx(found[1].ess) != float(one.ess_exact)
    assert len(found) == 2


def test_enumeration_sees_what_the_draws_do_not():
    density = Among(ISING, ALL, torch.where(ALL[:, 0, 0] > 0, LOG_P, LOG_P - 20))
    verdict, reasons, found = evaluate(ISING, density)
    assert float(found.ess) > 0.999 and float(found.ess_exact) < 1e-6
    assert verdict.startswith("not to be trusted") and "by enumeration of all configurations" in reasons


def test_a_ln_q_that_is_not_that_of_the_draws_is_seen():
    verdict, reasons, _ = evaluate(ISING, Among(ISING, ALL, LOG_P, lie=1.0))
    assert verdict.startswith("not to be trusted") and "differ by up to 1 nats" in reasons
    _, reasons, _ = evaluate(ISING, Among(ISING, ALL, LOG_P, scale=0.9, lie=0.0))
    assert "ln q is not normalised" in reasons


def test_angles_that_point_one_way_break_the_rotation():
    ring = XY(6, T=50.0)
    verdict, _, found = evaluate(ring, Uniform(6, 2 * math.pi))
    assert verdict.startswith("not checked: ") and "equation_of_motion" not in found and float(found.ess) > 0.9
    verdict, reasons, found = evaluate(ring, Uniform(6, math.pi))
    assert float(found.ess) > 0.9 and verdict.startswith("not to be trusted") and "mean direction" in reasons


def test_a_field_breaks_the_symmetry_and_nothing_is_asked_of_it():
    generator = named_generator(0, "witness")
    assert Witness(ISING, generator).symmetric and not Witness(fl.Ising((4, 4), T=2.0, h=1e-4), generator).symmetric
    glass = Witness(fl.SpinGlass.sherrington_kirkpatrick(8, T=1.0, seed=0), generator)
    assert glass.symmetric and glass.axes == [] and glass.turns == []


def test_moves_of_one_site_balance_for_every_kind_of_variable():
    x = Among(ISING, ALL, LOG_P).sample(20_000, generator=named_generator(1, "balance"))[0]
    b = Witness(ISING, named_generator(2, "balance")).balance(x)
    assert abs(float(b.mean())) < 4 * float(b.std()) / math.sqrt(len(b))
    field = fl.systems.FreeField((4,), mass=1.0)
    phi = field.sample(20_000, generator=named_generator(3, "balance"))
    b = Witness(field, named_generator(4, "balance")).balance(phi)
    assert abs(float(b.mean())) < 4 * float(b.std()) / math.sqrt(len(b))
    broad = Witness(field, named_generator(4, "balance")).balance(1.2 * phi)
    assert float(broad.mean()) > 8 * float(broad.std()) / math.sqrt(len(b))


def test_draws_of_a_field_that_come_again_are_counted():
    class Again(fl.Normal):
        def draw(self, n, *, generator=None):
            return fl.core.Draw(*(part.repeat_interleave(4, 0)[:n] for part in super().draw(n, generator=generator)))

    field = fl.systems.FreeField((4,), mass=1.0)
    verdict, reasons, _ = evaluate(field, Again((4,)), n=400)
    assert verdict.startswith("not to be trusted") and "only 100 of 400 draws differ" in reasons


def test_a_system_of_single_precision_is_looked_at_too():
    class Quadratic(fl.System):
        variables, shape, dims = fl.Reals(), (3,), ("x",)

        def __init__(self) -> None:
            super().__init__()
            self.couplings = {"mass": torch.tensor(1.0)}
            self.register_buffer("K", 2 * torch.eye(3))

        def log_weight(self, x: Tensor) -> Tensor:
            return -0.5 * ((x @ self.K) * x).sum(-1)

        def observables(self, x: Tensor) -> dict[str, Tensor]:
            return {"magnetization": x.mean(-1)}

    assert Witness(Quadratic(), named_generator(0, "witness")).symmetric
    verdict, reasons, _ = evaluate(Quadratic(), fl.Normal((3,)))
    assert verdict.startswith("not checked: ") and "translations along x" in reasons


def test_two_states_have_one_exchange():
    assert Witness(fl.Potts((4, 4), q=2, T=1.0), named_generator(0, "witness")).symmetric
