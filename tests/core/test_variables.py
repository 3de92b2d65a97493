"""Laws of every kind of variable, and how a system comes by its kind."""

import itertools
import math

import pytest
import torch

import flowlab as fl
from flowlab.core.variables import Angles, Reals, Spins, States, variables_of

KINDS = [Spins(), States(2), States(3), States(5), Reals(), Angles()]


def some(kind, n=40, shape=(3, 5)):
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(n, *shape, generator=generator, dtype=torch.float64)
    if isinstance(kind, States):
        return (kind.q * uniform).floor()
    if isinstance(kind, Angles):
        return 2 * math.pi * uniform - math.pi
    return uniform - 0.4 if isinstance(kind, Reals) else torch.where(uniform < 0.4, -1.0, 1.0).double()


def products(kind, x):
    """(n, N, N): the scalar product of every pair of sites."""
    components = kind.components(x).flatten(2)
    return torch.einsum("kni,knj->nij", components, components)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_the_symmetry_changes_neither_order_nor_correlations(kind):
    x = some(kind)
    kind.check(x)
    for image in kind.images(x):
        kind.check(image)
        assert not torch.equal(image, x)
        torch.testing.assert_close(kind.magnetization(image).abs(), kind.magnetization(x).abs())
        torch.testing.assert_close(products(kind, image), products(kind, x))


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_the_symmetry_takes_one_sector_to_another(kind):
    x = some(kind)
    sectors = kind.sectors(x)
    torch.testing.assert_close(sectors.sum(1), torch.ones(len(x)).double())
    reached = {0}
    for image in kind.images(x):
        there = kind.sectors(image)
        reached |= {int(b) for a, b in zip(sectors.argmax(1), there.argmax(1), strict=True) if a != b}
    assert len(reached) == sectors.shape[1]
    mean = torch.cat([kind.sectors(image) for image in whole_group(kind, x)]).mean(0)
    torch.testing.assert_close(mean, torch.full_like(mean, 1 / len(mean)), atol=0.03, rtol=0)


def whole_group(kind, x):
    """Every element of the symmetry applied to x, or enough turns of a circle."""
    if isinstance(kind, States):
        return [torch.tensor(p).double()[x.long()] for p in itertools.permutations(range(kind.q))]
    if isinstance(kind, Angles):
        return [(x + turn + math.pi) % (2 * math.pi) - math.pi for turn in torch.arange(0, 2 * math.pi, 0.1)]
    return [x, -x]


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_order_is_one_where_all_sites_agree_and_correlations_vanish_at_random(kind):
    agree = torch.ones(1, 4, 4, dtype=torch.float64)
    assert float(kind.magnetization(agree)) == pytest.approx(1.0)
    assert float(products(kind, agree).mean()) == pytest.approx(1.0)
    if not isinstance(kind, Spins | Reals):
        many = kind.components(some(kind, 4000)).flatten(1).mean(1)
        assert float(many.abs().max()) < 5 / math.sqrt(60_000)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_order_leaves_out_sites_that_are_not_there(kind):
    x = some(kind)
    padded = torch.cat([x, torch.full_like(x, math.nan)], -1)
    torch.testing.assert_close(kind.magnetization(padded), kind.magnetization(x))
    assert bool(kind.magnetization(torch.full_like(x, math.nan)).isnan().all())


@pytest.mark.parametrize(
    ("kind", "bad"), [(Spins(), 0.5), (States(3), 3.0), (States(3), 0.5), (Reals(), math.inf), (Angles(), math.nan)]
)
def test_values_that_a_site_cannot_have_are_refused(kind, bad):
    x = some(kind)
    x[3, 1, 1] = bad
    with pytest.raises(ValueError, match=str(bad)):
        kind.check(x)


class Own(fl.core.System):
    def __init__(self, **given):
        super().__init__()
        self.shape, self.dims, self.couplings = (2, 2), ("y", "x"), {}
        for name, value in given.items():
            setattr(self, name, value)

    def log_weight(self, x):
        return torch.zeros(len(x))

    def observables(self, x):
        return {}


class OfClass(Own):
    domain = "real"


class OfClassToo(Own):
    variables = Angles()


def test_a_system_says_its_kind_by_variables_or_by_domain_alone():
    assert Own(domain="spin").variables == Spins() and Own(domain="angle").variables == Angles()
    assert Own(domain="potts", q=4).variables == States(4) != States(3)
    assert Own(variables=States(5)).domain == "potts"
    assert OfClass().variables == Reals() and OfClassToo().domain == "angle"
    changed = Own(variables=Spins())
    changed.domain = "real"
    assert changed.variables == Reals()
    with pytest.raises(TypeError, match=r"Own must set variables, e\.g\. to Spins\(\), or domain"):
        _ = Own().variables
    with pytest.raises(ValueError, match="number of states q is needed"):
        _ = Own(domain="potts").domain


@pytest.mark.parametrize("name", ["shape", "dims", "couplings"])
def test_what_a_system_of_ones_own_has_forgotten_is_named(name):
    system = Own(variables=Spins())
    delattr(system, name)
    with pytest.raises(TypeError, match=f"Own must set {name} when it is made, "):
        fl.Training(system, fl.IndependentSpins((2, 2)), fl.ReverseKL(), steps=1, batch=10, learning_rate=0.1)
    with pytest.raises(ValueError, match="domain must be 'spin', 'potts', 'real' or 'angle', got 'clock'"):
        variables_of("clock")


def test_the_systems_say_theirs():
    assert fl.Potts((2, 2), 1.0, q=4).variables == States(4)
    assert fl.Ising((2, 2), 1.0).decimate().variables == Spins()
    assert fl.Phi4((2, 2), 0.1, 0.1).at(kappa=0.2).variables == Reals()
    glass = fl.SpinGlass.sherrington_kirkpatrick(4, 1.0)
    assert glass.disordered and fl.ContinuousSpinGlass(glass).disordered and not fl.Ising((2, 2), 1.0).disordered
