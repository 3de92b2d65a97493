"""Laws of every density of real fields."""

import pytest
import torch

import flowlab as fl
from flowlab.testing import check_density, check_integral
from tests.laws.registry import REAL_DENSITIES


@pytest.mark.parametrize("name", REAL_DENSITIES)
def test_laws_of_densities(name):
    check_density(REAL_DENSITIES[name](), fl.core.Reals(), shake=0, tolerance=1e-6 if name == "upscaled" else 1e-8)


@pytest.mark.parametrize("name", REAL_DENSITIES)
def test_normalised(name):
    check_integral(REAL_DENSITIES[name](), draws=8000 if name == "upscaled" else 40_000)


@pytest.mark.parametrize("name", REAL_DENSITIES)
def test_of_real_fields_nothing_is_a_choice_and_levels_are_shown_as_such(name):
    density = REAL_DENSITIES[name]().double()
    draw = density.draw(9, generator=torch.Generator().manual_seed(0))
    assert not draw.score.any()
    back = list(density.stages(x=draw.x.detach()))
    if back[0].kind == "level":
        assert [bool(state.x.isnan().any()) for state in back] == [True] * (len(back) - 1) + [False]


@pytest.mark.parametrize("name", REAL_DENSITIES)
def test_state_dict_holds_all_that_was_learned_or_estimated(name):
    density = REAL_DENSITIES[name]()
    names = {name for name, _ in density.named_parameters()}
    others = {name.split(".")[-1] for name in set(density.state_dict()) - names}
    assert others <= {"basis", "scale"}
