"""The symmetry of a target of one's own is measured, and messages name the attribute."""

from __future__ import annotations

import pytest
import torch

import flowlab as fl
from flowlab.core.symmetry import asymmetry, check_symmetry


class Own(fl.System):
    """Fields in wells: even, unless tilted; it says nothing of its symmetry."""

    def __init__(self, tilt: float = 0.0, domain: str = "real") -> None:
        super().__init__()
        self.shape, self.dims, self.domain, self.couplings = (4,), ("x",), domain, {}
        self.tilt = tilt

    def log_weight(self, x):
        return -(3 * (x**2 - 1) ** 2 - x * x.roll(1, 1) - self.tilt * x).sum(1)

    def observables(self, x):
        return {"squared": x.square().mean(1)}


class Single(Own):
    """Computes in single precision only."""

    def log_weight(self, x):
        return super().log_weight(x @ torch.eye(4))


def trained(target, density):
    return fl.Training(target, density, fl.ReverseKL(), steps=1, batch=4, learning_rate={"base": 1e-3, "flow": 1e-3})


@pytest.mark.parametrize("kind", [Own, Single])
@pytest.mark.parametrize("domain", ["spin", "real"])
def test_a_system_that_does_not_say_it_is_measured(kind, domain):
    assert kind(0.0, domain).flip_symmetric and not kind(1e-3, domain).flip_symmetric


def test_an_even_target_takes_a_symmetrised_density_and_reports_its_signs():
    run = trained(Own(), fl.Z2Symmetrized(fl.Normal((4,))))
    assert 0.4 < float(run.evaluate(400).positive_fraction) < 0.6
    assert fl.HMC(Own(), tuning=1).flips and not fl.HMC(Own(0.1), tuning=1).flips


def test_messages_say_what_was_measured_and_name_the_attribute():
    class Denies(Own):
        flip_symmetric = False

    class Claims(Own):
        flip_symmetric = True

    with pytest.raises(ValueError, match=r"flip_symmetric is False, although log_weight\(-x\) = log_weight\(x\) on 8"):
        trained(Denies(), fl.Z2Symmetrized(fl.Normal((4,))))
    with pytest.raises(ValueError, match=r"a field breaks: .*differ by up to \d.* \(flip_symmetric\)"):
        trained(Own(0.3), fl.Z2Symmetrized(fl.Normal((4,))))
    with pytest.raises(ValueError, match=r"flip_symmetric of Claims is True, but log_weight\(-x\) and log_weight\(x\)"):
        trained(Claims(0.3), fl.Normal((4,)))


def test_only_weights_that_are_numbers_are_compared():
    class Walls(Own):
        def log_weight(self, x):
            return torch.where((x.abs() > 1).any(1), -torch.inf, super().log_weight(x))

    assert Walls().flip_symmetric and not Walls(0.1).flip_symmetric
    assert asymmetry(fl.Ising((2, 2), T=1.0), torch.neg) == 0.0


class Said(Own):
    flip_symmetric = True


def test_a_slight_asymmetry_is_one():
    target = Said(tilt=0.05)
    assert 0 < asymmetry(target, torch.neg) < 1
    with pytest.raises(ValueError, match="flip_symmetric of Said is True"):
        check_symmetry(target)
    check_symmetry(Said())
