"""Whatever a public constructor is given: it builds, or says which argument is wrong. Nothing fails deep inside."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.core import Density, Flow, System
from flowlab.densities.refined import coarse_chain
from flowlab.flows import checkerboard_masks, coarse_to_fine, coupling_windows, row_masks
from flowlab.systems.lattice import checkerboard

SHAPE = (4, 4)
MASK = checkerboard(SHAPE)
PHI4 = fl.Phi4(SHAPE, 0.25, 0.5)
GLASS = fl.SpinGlass.sherrington_kirkpatrick(4, 1.0)
COARSE = fl.Normal((2, 2))
SYSTEMS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Ising": (fl.Ising, {"shape": SHAPE, "T": 2.0}),
    "TriangularIsing": (fl.TriangularIsing, {"shape": SHAPE, "T": 2.0}),
    "Potts": (fl.Potts, {"shape": SHAPE, "T": 2.0}),
    "XY": (fl.XY, {"shape": SHAPE, "T": 0.9}),
    "Phi4": (fl.Phi4, {"shape": SHAPE, "kappa": 0.25, "lam": 0.5}),
    "Phi4.from_beta": (fl.Phi4.from_beta, {"shape": SHAPE, "beta": 0.5, "lam": 0.5}),
    "Phi4.from_mass": (fl.Phi4.from_mass, {"shape": SHAPE, "m0_squared": -1.0, "g0": 2.0}),
    "FreeField": (fl.FreeField, {"shape": SHAPE, "mass": 1.0}),
    "SpinGlass": (fl.SpinGlass, {"J": np.ones((4, 4)) - np.eye(4), "T": 1.0}),
    "SpinGlass.sherrington_kirkpatrick": (fl.SpinGlass.sherrington_kirkpatrick, {"n": 4, "T": 1.0}),
    "SpinGlass.edwards_anderson": (fl.SpinGlass.edwards_anderson, {"shape": SHAPE, "T": 1.0}),
    "SpinGlass.uniform": (fl.SpinGlass.uniform, {"shape": SHAPE, "T": 1.0}),
    "SpinGlass.random_regular": (fl.SpinGlass.random_regular, {"n": 6, "degree": 3, "T": 1.0}),
    "SpinGlass.hopfield": (fl.SpinGlass.hopfield, {"n": 6, "patterns": 2, "T": 1.0}),
    "ContinuousSpinGlass": (fl.ContinuousSpinGlass, {"glass": GLASS}),
    "Decimated": (fl.systems.Decimated, {"parent": fl.Ising(SHAPE, 2.0)}),
}
FLOWS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "AdditiveCoupling": (fl.flows.AdditiveCoupling, {"mask": MASK}),
    "AffineCoupling": (fl.AffineCoupling, {"mask": MASK}),
    "ContractingCoupling": (fl.flows.ContractingCoupling, {"mask": MASK}),
    "SplineCoupling": (fl.flows.SplineCoupling, {"mask": MASK}),
    "Composed": (fl.Composed, {"layers": [fl.Rescaling(SHAPE)]}),
    "ContinuousFlow": (fl.ContinuousFlow, {"shape": SHAPE}),
    "DomainWalls": (fl.flows.DomainWalls, {"shape": SHAPE}),
    "Linear": (fl.flows.Linear, {"shape": SHAPE}),
    "Linear.from_covariance": (fl.flows.Linear.from_covariance, {"covariance": torch.eye(16), "shape": SHAPE}),
    "MultiscaleXor": (fl.flows.MultiscaleXor, {"shape": SHAPE}),
    "PermutationCoupling": (fl.flows.PermutationCoupling, {"shape": SHAPE}),
    "Rescaling": (fl.Rescaling, {"shape": SHAPE}),
    "SortingCoupling": (fl.flows.SortingCoupling, {"shape": SHAPE, "reads": MASK}),
    "SpectralScaling": (fl.SpectralScaling, {"shape": SHAPE}),
    "XorCoupling": (fl.XorCoupling, {"shape": SHAPE}),
    "checkerboard_masks": (checkerboard_masks, {"shape": SHAPE, "layers": 2}),
    "coarse_to_fine": (coarse_to_fine, {"shape": SHAPE}),
    "coupling_windows": (coupling_windows, {"mask": MASK}),
    "row_masks": (row_masks, {"shape": SHAPE, "layers": 2}),
}
DENSITIES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "BlockNoise": (fl.BlockNoise, {"shape": SHAPE}),
    "BlockSpins": (fl.densities.BlockSpins, {"shape": SHAPE}),
    "CoarseFields": (fl.densities.CoarseFields, {"system": PHI4, "sampler": coarse_chain.CoarseHMC(PHI4, chains=4)}),
    "CoarseHMC": (coarse_chain.CoarseHMC, {"system": PHI4, "chains": 4}),
    "CoarseLangevin": (coarse_chain.CoarseLangevin, {"system": PHI4, "chains": 4}),
    "CoupledMADE": (fl.densities.CoupledMADE, {"target": GLASS}),
    "Conditional": (fl.densities.Conditional, {"density": fl.MADE(SHAPE), "over": {"T": (2.0, 3.0)}}),
    "Mixture": (fl.densities.Mixture, {"densities": [fl.MADE(SHAPE)] * 2, "shares": (0.5, 0.5)}),
    "FieldPixelCNN": (fl.densities.FieldPixelCNN, {"shape": SHAPE}),
    "GraphAutoregressive": (fl.densities.GraphAutoregressive, {"target": GLASS}),
    "Hierarchical": (fl.densities.Hierarchical, {"shape": SHAPE}),
    "IndependentPotts": (fl.densities.IndependentPotts, {"shape": SHAPE}),
    "IndependentSpins": (fl.IndependentSpins, {"shape": SHAPE}),
    "LocalAutoregressive": (fl.densities.LocalAutoregressive, {"shape": SHAPE}),
    "MADE": (fl.MADE, {"shape": SHAPE}),
    "Multilevel": (fl.Multilevel, {"shape": (4, 2)}),
    "MultilevelAngles": (fl.densities.MultilevelAngles, {"shape": (4, 2)}),
    "MultilevelFields": (fl.densities.MultilevelFields, {"shape": (4, 2)}),
    "MultilevelStates": (fl.densities.MultilevelStates, {"shape": (4, 2)}),
    "Normal": (fl.Normal, {"shape": SHAPE}),
    "PermutationSymmetrized": (fl.densities.PermutationSymmetrized, {"density": fl.densities.PottsMADE(SHAPE)}),
    "PixelCNN": (fl.densities.PixelCNN, {"shape": SHAPE}),
    "PottsMADE": (fl.densities.PottsMADE, {"shape": SHAPE}),
    "Pushforward": (fl.Pushforward, {"flow": fl.XorCoupling(SHAPE), "base": fl.MADE(SHAPE)}),
    "RowRNN": (fl.densities.RowRNN, {"shape": SHAPE}),
    "TensorNetwork": (fl.TensorNetwork, {"system": fl.SpinGlass.uniform(SHAPE, 2.0)}),
    "Upscaled": (fl.Upscaled, {"coarse": COARSE, "shape": SHAPE}),
    "VQVAE": (fl.densities.VQVAE, {"shape": SHAPE}),
    "Z2Symmetrized": (fl.Z2Symmetrized, {"density": fl.MADE(SHAPE)}),
}
CONSTRUCTORS = SYSTEMS | FLOWS | DENSITIES
HUGE = 2**70
WRONG: list[Any] = [
    *(None, True, "2", "", b"2", object(), {}, [], (), [1, "a"], ["x"], (4, "4"), (4, None), (4, True), {3: 4}),
    *(-1, 0, 1, 2, 3, 5, 7, HUGE, -HUGE, 2.5, 4.0, math.nan, math.inf, -math.inf, 1e300, 1j, np.float32(2.5)),
    *((5,), (5, 5), (3, 4), (4, 3), (0, 4), (-4, 4), (4, 4.5), (4, math.nan), (4, HUGE), (1, 1), (2, 2, 2, 2)),
    *(np.zeros(3), torch.zeros(3), torch.tensor(math.nan), torch.zeros(4, 4), torch.ones(4, 4, dtype=torch.bool)),
    *(fl.Ising(SHAPE, 2.0), fl.MADE((2, 2)), fl.Normal((3,)), fl.Rescaling((2, 2)), int, len),
]  # fmt: skip


def parameters(make: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(make).parameters if name != "self"]


def is_number(make: Callable[..., Any], name: str) -> bool:
    """Whether an argument is a number or several, and nothing else."""
    said = str(inspect.signature(make).parameters[name].annotation)
    return ("int" in said or "float" in said) and not any(word in said for word in ("str", "bool", "Literal", "LogZ"))


def is_no_number(value: Any) -> bool:
    """Text, True, NaN or infinity, or a list that has one of them."""
    if isinstance(value, list | tuple):
        return any(map(is_no_number, value))
    return isinstance(value, bool | str | bytes) or (isinstance(value, float) and not math.isfinite(value))


def faults(make: Callable[..., Any], right: dict[str, Any]) -> list[str]:
    """What goes wrong in another way than by TypeError or ValueError with the argument's name."""
    make(**right)
    found = []
    for name in parameters(make):
        for value in WRONG:
            shown = f"{name}={value!r:.60}"
            try:
                make(**right | {name: value})
            except (TypeError, ValueError) as error:
                if not re.search(rf"\b{name}\b", str(error)):
                    found.append(f"{shown}: {type(error).__name__}: {error}")
            except Exception as error:
                found.append(f"{shown}: {type(error).__name__}: {str(error)[:200]}")
            else:
                if is_number(make, name) and is_no_number(value):
                    found.append(f"{shown}: taken as a number")
    return found


def test_every_public_constructor_is_here():
    made = {getattr(make, "__self__", make) for make, _ in CONSTRUCTORS.values()}
    for package in (fl.systems, fl.flows, fl.densities):
        for name in package.__all__:
            thing = getattr(package, name)
            if inspect.isclass(thing) and issubclass(thing, System | Flow | Density) and not inspect.isabstract(thing):
                assert thing in made, name


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_a_wrong_argument_is_named(name):
    assert not faults(*CONSTRUCTORS[name])
