"""Every implementation that the laws are tested on, as named constructors of something small.

A new flow, density, system or study costs one line here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import flowlab as fl
from flowlab.core import named_generator
from flowlab.flows import checkerboard_masks, coarse_to_fine, row_masks
from flowlab.flows.discrete import partitions
from flowlab.flows.real.affine import complementary_masks
from flowlab.systems.lattice import checkerboard

SHAPE = (4, 2)
OVER = {"beta": (0.35, 0.55)}


class Scaled(fl.Flow):
    """x = exp(a) z at every site: the smallest flow with a Jacobian."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.a = nn.Parameter(0.3 * torch.randn(shape, generator=named_generator(0, "scaled")))

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return z * self.a.exp(), self.a.sum().expand(len(z))

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * (-self.a).exp(), -self.a.sum().expand(len(x))

    def pull_flip(self, action: Tensor) -> Tensor:
        return action


def xor(reads: str | Tensor = "even", name: int = 0, **options: object) -> fl.XorCoupling:
    options = {"start": "random"} | options
    return fl.XorCoupling(SHAPE, reads, generator=named_generator(1, "law", name), **options)


def alternating(layers: int, **options: object) -> fl.Composed:
    return fl.Composed([xor("even" if i % 2 == 0 else "odd", i, **options) for i in range(layers)])


def partitioned(masks: list[Tensor], **options: object) -> fl.Composed:
    return fl.Composed([xor(mask, i, **options) for i, mask in enumerate(masks)])


def neighbours(n: int) -> tuple[Tensor, Tensor]:
    return fl.SpinGlass.sherrington_kirkpatrick(n, T=1.0).neighbours()


def shaken(module: nn.Module, scale: float = 0.5) -> nn.Module:
    """The module with every parameter moved at random, so that no law holds only at the start of training."""
    generator = named_generator(2, "shaken")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return module


SPIN_FLOWS: dict[str, Callable[[], fl.Flow]] = {
    "xor even": lambda: xor(parity="even"),
    "xor even from identity": lambda: xor(parity="even", start="identity"),
    "xor odd": lambda: xor(parity="odd"),
    "xor odd from local field": lambda: xor("odd", parity="odd", start="local_field"),
    "xor without parity": lambda: xor(parity=None),
    "xor wide window": lambda: xor(parity="odd", kernel=7, hidden=(8, 8)),
    "composed of none": lambda: fl.Composed([]),
    "composed even": lambda: alternating(3, parity="even"),
    "composed odd": lambda: alternating(4, parity="odd"),
    "composed gumbel": lambda: alternating(2, parity="odd", gradient="gumbel"),
    "composed clip": lambda: alternating(2, parity="even", gradient="clip"),
    "xor on pairs": lambda: partitioned(partitions.pairs(SHAPE, 4), parity="even"),
    "xor on blocks": lambda: partitioned(partitions.blocks(SHAPE, 2), parity="even"),
    "xor on random halves": lambda: partitioned(partitions.halves(SHAPE, 3), parity="even", network="mlp"),
    "xor on halves without parity": lambda: partitioned(partitions.halves(SHAPE, 2), parity=None, network="mlp"),
    "xor along the couplings": lambda: xor(
        partitions.halves(SHAPE, 1)[0], parity="odd", network="mlp", start="local_field", couplings=neighbours(8)
    ),
    "domain walls": lambda: fl.flows.DomainWalls(SHAPE),
    "domain walls of the other bonds": lambda: fl.flows.DomainWalls(SHAPE, "down"),
    "multiscale": lambda: fl.flows.MultiscaleXor(SHAPE),
    "multiscale packets": lambda: fl.flows.MultiscaleXor(SHAPE, packets=True),
    "sorting": lambda: fl.flows.SortingCoupling(SHAPE, checkerboard(SHAPE)),
    "sorting from coarse to fine": lambda: fl.Composed(coarse_to_fine(SHAPE)),
    "composed identity": lambda: alternating(2, parity="even", gradient="identity"),
}


def affine(layers: int) -> list[fl.Flow]:
    masks = complementary_masks(SHAPE, layers, generator=named_generator(4, "law"))
    layers = [fl.AffineCoupling(mask, generator=named_generator(4, "law", i)) for i, mask in enumerate(masks)]
    return [shaken(layer, 0.1) for layer in layers]


def linear() -> fl.flows.Linear:
    spread = torch.randn(8, 8, generator=named_generator(5, "law"), dtype=torch.float64)
    return fl.flows.Linear.from_covariance(spread @ spread.T + torch.eye(8), SHAPE)


def coupled(
    kind: Callable[..., fl.Flow],
    layers: int = 1,
    masks: Callable[..., list[Tensor]] = checkerboard_masks,
    **options: object,
) -> list[fl.Flow]:
    made = [kind(m, generator=named_generator(6, "law", i), **options) for i, m in enumerate(masks(SHAPE, layers))]
    return [shaken(layer, 0.1) for layer in made]


REAL_FLOWS: dict[str, Callable[[], fl.Flow]] = {
    "scaled": lambda: Scaled(SHAPE),
    "affine": lambda: affine(1)[0],
    "affine with a learned scale": lambda: fl.AffineCoupling(
        fl.systems.lattice.checkerboard(SHAPE), learned_scale=True
    ),
    "linear": linear,
    "composed affine and linear": lambda: fl.Composed([*affine(4), linear()]),
    "additive": lambda: coupled(fl.flows.AdditiveCoupling)[0],
    "odd additive": lambda: coupled(fl.flows.AdditiveCoupling, odd=True)[0],
    "odd affine": lambda: [shaken(fl.AffineCoupling(checkerboard(SHAPE), odd=True, layers=1), 0.1)][0],
    "contracting": lambda: coupled(fl.flows.ContractingCoupling)[0],
    "contracting without parity": lambda: coupled(fl.flows.ContractingCoupling, odd=False)[0],
    "spline": lambda: coupled(fl.flows.SplineCoupling)[0],
    "spline without limits": lambda: coupled(fl.flows.SplineCoupling, limited=False)[0],
    "odd spline": lambda: coupled(fl.flows.SplineCoupling, odd=True)[0],
    "odd spline by convolution": lambda: coupled(fl.flows.SplineCoupling, odd=True, network="conv")[0],
    "rescaling": lambda: fl.Rescaling(SHAPE, 0.7),
    "spectral": lambda: shaken(fl.SpectralScaling(SHAPE), 0.3),
    "staggered spectral": lambda: shaken(fl.SpectralScaling(SHAPE, 0.4, staggered=True), 0.3),
    "odd splines over a staggered spectrum": lambda: fl.Composed(
        [
            fl.SpectralScaling(SHAPE, staggered=True),
            *coupled(fl.flows.SplineCoupling, 2, row_masks, odd=True),
            fl.Rescaling(SHAPE),
        ]
    ),
    "composed scaled": lambda: fl.Composed([Scaled(SHAPE), Scaled(SHAPE)]),
}


def made(**options: object) -> fl.MADE:
    return fl.MADE(SHAPE, generator=named_generator(3, "law"), **options)


def pixelcnn(**options: object) -> fl.densities.PixelCNN:
    options = {"channels": 4, "layers": 3, "kernel": 3} | options
    return fl.densities.PixelCNN(SHAPE, generator=named_generator(3, "law"), **options)


def glass(h: float | None = None) -> fl.SpinGlass:
    return fl.SpinGlass(couplings(8), T=0.7, h=h, shape=SHAPE)


def over(flow: fl.Flow, base: fl.Density) -> fl.Pushforward:
    action = flow.pull_flip(-torch.ones(SHAPE))
    return fl.Pushforward(flow, fl.Z2Symmetrized(base, "all" if action is None else action))


SPIN_DENSITIES: dict[str, Callable[[], fl.Density]] = {
    "multilevel": lambda: fl.Multilevel(SHAPE, hidden=(8,)),
    "multilevel in one colour": lambda: fl.Multilevel(SHAPE, colours=1, hidden=(8,)),
    "multilevel in two colours": lambda: fl.Multilevel(SHAPE, colours=2, hidden=(8,)),
    "multilevel site by site": lambda: fl.Multilevel(SHAPE, "autoregressive", hidden=(4,)),
    "multilevel transformer": lambda: fl.Multilevel(SHAPE, network="transformer", colours=1, hidden=(8,)),
    "multilevel transformer site by site": lambda: fl.Multilevel(
        SHAPE, "autoregressive", network="transformer", hidden=(4, 4), heads=1
    ),
    "multilevel in a field": lambda: fl.Multilevel(SHAPE, symmetric=False, hidden=(8,)),
    "multilevel heat bath": lambda: fl.Multilevel(SHAPE, "heat_bath"),
    "conditional multilevel": lambda: fl.Conditional(fl.Multilevel(SHAPE, hidden=(8,)), OVER, degree=2),
    "conditional of two couplings": lambda: fl.Conditional(made(), OVER | {"h": (-0.1, 0.3)}, degree=2),
    "conditional pushforward": lambda: fl.Conditional(
        fl.Pushforward(xor(parity=None), fl.IndependentSpins(SHAPE, bias=0.4)), OVER, degree=2
    ),
    "independent": lambda: fl.IndependentSpins(SHAPE, bias=0.4),
    "made": lambda: made(),
    "made two layers": lambda: made(layers=2),
    "made without skip": lambda: made(skip=False),
    "made on a checkerboard": lambda: made(order="checkerboard"),
    "z2 of made": lambda: fl.Z2Symmetrized(made()),
    "z2 of independent on a sublattice": lambda: fl.Z2Symmetrized(fl.IndependentSpins(SHAPE, bias=0.4), "odd"),
    "xor over made": lambda: fl.Pushforward(alternating(2, parity="even"), made()),
    "xor over z2": lambda: over(alternating(3, parity="odd"), made()),
    "gumbel xor over z2": lambda: over(alternating(2, parity="odd", gradient="gumbel"), made()),
    "domain walls over made": lambda: over(fl.flows.DomainWalls(SHAPE), made()),
    "multiscale over made": lambda: over(fl.flows.MultiscaleXor(SHAPE), made()),
    "sorting over made": lambda: over(fl.flows.SortingCoupling(SHAPE, checkerboard(SHAPE)), made()),
    "blocks": lambda: fl.densities.BlockSpins(SHAPE),
    "z2 of blocks": lambda: fl.Z2Symmetrized(fl.densities.BlockSpins(SHAPE, block=(2, 1), width=4)),
    "made on a hilbert curve": lambda: made(order="hilbert"),
    "pixelcnn": lambda: pixelcnn(),
    "pixelcnn without residuals": lambda: pixelcnn(residual=False, kernel=(7, 3, 1)),
    "row rnn": lambda: fl.densities.RowRNN(SHAPE, hidden=4),
    "row rnn in a hierarchical order": lambda: fl.densities.RowRNN(SHAPE, hidden=4, order="hierarchical"),
    "local": lambda: fl.densities.LocalAutoregressive(SHAPE, hidden=4),
    "local previous row": lambda: fl.densities.LocalAutoregressive(
        SHAPE, k="row", neighbourhood="previous", site_bias=True, order="checkerboard"
    ),
    "z2 of local": lambda: fl.Z2Symmetrized(fl.densities.LocalAutoregressive(SHAPE, hidden=4)),
    "xor over pixelcnn": lambda: over(alternating(2, parity="odd"), pixelcnn()),
    "xor on halves over z2": lambda: over(
        partitioned(partitions.halves(SHAPE, 2), parity="even", network="mlp"), made()
    ),
    "coupled": lambda: fl.densities.CoupledMADE(glass()),
    "graph": lambda: shaken(fl.densities.GraphAutoregressive(glass(), hidden=3)),
    "graph in fields": lambda: shaken(fl.densities.GraphAutoregressive(glass(0.3), reach=1, order="raster")),
    "coupled in fields": lambda: fl.densities.CoupledMADE(glass(0.3), layers=2, order="raster"),
    "free xor over z2": lambda: over(alternating(2, parity=None), made()),
    "tensor network": lambda: fl.TensorNetwork(plane_glass("open"), chi=2),
    "tensor network on a cylinder": lambda: fl.TensorNetwork(plane_glass("cylinder"), chi=3),
}


def plane_glass(boundary: str) -> fl.SpinGlass:
    return fl.SpinGlass.edwards_anderson(SHAPE, T=0.7, seed=1, boundary=boundary)


def couplings(n: int) -> Tensor:
    return fl.SpinGlass.sherrington_kirkpatrick(n, T=1.0, seed=2).J


STATE_DENSITIES: dict[str, Callable[[], fl.Density]] = {
    "multilevel states": lambda: fl.densities.MultilevelStates(SHAPE, 3, hidden=(8, 8)),
    "multilevel states in one colour": lambda: fl.densities.MultilevelStates(SHAPE, 2, colours=1, hidden=(8, 8)),
    "multilevel states site by site": lambda: fl.densities.MultilevelStates(SHAPE, 3, "autoregressive", hidden=(4, 4)),
    "conditional multilevel states": lambda: fl.Conditional(
        fl.densities.MultilevelStates(SHAPE, 3, hidden=(8, 8)), OVER, degree=2
    ),
}
ANGLE_DENSITIES: dict[str, Callable[[], fl.Density]] = {
    "multilevel angles": lambda: shaken(fl.densities.MultilevelAngles(SHAPE, hidden=(8, 8)), 0.3),
    "multilevel angles in one colour": lambda: shaken(
        fl.densities.MultilevelAngles(SHAPE, colours=1, components=1, hidden=(8, 8)), 0.3
    ),
    "conditional multilevel angles": lambda: fl.Conditional(
        fl.densities.MultilevelAngles(SHAPE, hidden=(8, 8)), OVER, degree=2
    ),
}
REAL_DENSITIES: dict[str, Callable[[], fl.Density]] = {
    "conditional multilevel fields": lambda: shaken(
        fl.Conditional(fl.densities.MultilevelFields(SHAPE, hidden=(8, 8)), {"kappa": (0.2, 0.3)}, degree=2), 0.1
    ),
    "conditional flow": lambda: shaken(
        fl.Conditional(fl.Pushforward(fl.Composed(affine(2)), fl.Normal(SHAPE)), {"kappa": (0.2, 0.3)}, degree=2), 0.1
    ),
    "multilevel fields": lambda: shaken(fl.densities.MultilevelFields(SHAPE, hidden=(8, 8)), 0.1),
    "multilevel mixtures": lambda: shaken(
        fl.densities.MultilevelFields(SHAPE, conditional="mixture", hidden=(8, 8)), 0.1
    ),
    "multilevel fields site by site": lambda: shaken(
        fl.densities.MultilevelFields(SHAPE, "autoregressive", hidden=(8, 8)), 0.1
    ),
    "field pixelcnn": lambda: shaken(fl.densities.FieldPixelCNN(SHAPE, channels=4, layers=2, kernel=3), 0.1),
    "field pixelcnn of four components without residuals": lambda: shaken(
        fl.densities.FieldPixelCNN(SHAPE, channels=4, layers=2, kernel=(5, 1), residual=False, components=4), 0.1
    ),
    "upscaled": lambda: shaken(fl.Upscaled(fl.Normal((2,)), (4,), fl.ContinuousFlow((4,), steps=60), sigma=0.7), 0.01),
    "normal": lambda: fl.Normal(SHAPE),
    "linear over normal": lambda: fl.Pushforward(linear(), fl.Normal(SHAPE)),
    "affine over normal": lambda: fl.Pushforward(fl.Composed(affine(4)), fl.Normal(SHAPE)),
    "z2 of affine and linear": lambda: fl.Z2Symmetrized(
        fl.Pushforward(fl.Composed([*affine(4), linear()]), fl.Normal(SHAPE))
    ),
}

SYSTEMS: dict[str, Callable[[], fl.System]] = {
    "ising": lambda: fl.Ising(SHAPE, T=2.0),
    "ising in a field": lambda: fl.Ising(SHAPE, T=1.7, h=0.3),
    "ising antiferromagnet": lambda: fl.Ising((4, 4), T=2.5, J=-1.0),
    "ising with odd sides": lambda: fl.Ising((3, 5), T=2.5),
    "spin glass": lambda: fl.SpinGlass.sherrington_kirkpatrick(8, T=0.7, seed=1),
    "spin glass in fields": lambda: fl.SpinGlass(couplings(8), T=1.3, h=torch.linspace(-0.5, 0.9, 8)),
    "potts": lambda: fl.Potts(SHAPE, T=1.1),
    "potts on a cylinder": lambda: fl.Potts(SHAPE, T=1.1, boundary="cylinder"),
    "open glass": lambda: plane_glass("open"),
    "open ising in a field": lambda: fl.SpinGlass.uniform(SHAPE, T=1.7, J=-1.0, h=0.3),
    "decimated potts": lambda: fl.Potts(SHAPE, T=1.1).decimate(),
    "potts antiferromagnet": lambda: fl.Potts((3, 5), T=1.1, q=4, J=-1.0),
    "xy": lambda: fl.XY(SHAPE, T=0.8),
    "xy antiferromagnet": lambda: fl.XY((3, 5), T=1.2, J=-1.0),
    "decimated xy": lambda: fl.XY(SHAPE, T=0.8).decimate(),
    "triangular antiferromagnet": lambda: fl.TriangularIsing((3, 6), T=0.8),
    "triangular ferromagnet": lambda: fl.TriangularIsing((3, 4), T=3.0, J=1.0),
    "decimated ising": lambda: fl.Ising(SHAPE, T=2.0).decimate(),
    "decimated ising in a field": lambda: fl.Ising(SHAPE, T=1.7, h=0.3).decimate(),
    "phi4": lambda: fl.Phi4(SHAPE, 0.2, 0.5),
    "phi4 in the form of beta": lambda: fl.Phi4.from_beta((2, 2, 4), 0.4, 0.5),
    "decimated phi4": lambda: fl.Phi4(SHAPE, 0.2, 0.5).decimate(),
    "free field": lambda: fl.FreeField(SHAPE, 0.7),
    "decimated free field": lambda: fl.FreeField(SHAPE, 0.7).decimate(),
    "continuous spin glass": lambda: fl.ContinuousSpinGlass(SYSTEMS["spin glass"](), epsilon=0.3),
    "continuous spin glass in fields": lambda: fl.ContinuousSpinGlass(SYSTEMS["spin glass in fields"]()),
    "edwards-anderson": lambda: fl.SpinGlass.edwards_anderson((8, 8), T=1.1, seed=1),
    "edwards-anderson in 3d": lambda: fl.SpinGlass.edwards_anderson((2, 3, 2), T=1.1, seed=1, kind="pm1"),
}

SMALL = {"L": 4, "T": 2.5, "steps": 8, "batch": 60, "device": "cpu"}
GLASS = {"N": 8, "T": 0.7, "samples": 400, "steps": 8, "batch": 60, "device": "cpu"}
MULTILEVEL = {"T": 2.5, "steps": 8, "batch": 60, "device": "cpu"}
FIELD = {"beta": 0.4, "steps": 6, "batch": 40, "device": "cpu"}
MATCHING = {"coarse": 2, "kernel": 3, "ode_steps": 3, "steps": 4, "batch": 8, "check_every": 2, "device": "cpu"}
PLANE = {"steps": 6, "batch": 40, "device": "cpu"}
EXPERIMENTS: dict[str, Callable[..., fl.Experiment]] = {
    "ising-xor": lambda **more: fl.experiment("ising-xor", **SMALL | more),
    "ising-xor learned baseline": lambda **more: fl.experiment("ising-xor", **SMALL, baseline="learned", **more),
    "ising-xor running baseline": lambda **more: fl.experiment("ising-xor", **SMALL, baseline="running", **more),
    "ising-xor gumbel": lambda **more: fl.experiment("ising-xor", **SMALL, gradient="gumbel", **more),
    "ising-xor independent": lambda **more: fl.experiment("ising-xor", **SMALL, base="independent", layers=1, **more),
    "ising-xor masks on independent bits": lambda **more: fl.experiment(
        "ising-xor", **SMALL, base="independent", layers=1, construction="xor", **more
    ),
    "ising-xor from identity": lambda **more: fl.experiment("ising-xor", **SMALL, start="identity", **more),
    "ising-xor in a field": lambda **more: fl.experiment("ising-xor", **SMALL, h=0.2, **more),
    "ising-xor base alone": lambda **more: fl.experiment("ising-xor", **SMALL, layers=0, **more),
    "ising-tokens blocks": lambda **more: fl.experiment("ising-tokens", **SMALL, ansatz="blocks", **more),
    "ising-tokens sorted": lambda **more: fl.experiment("ising-tokens", **SMALL, ansatz="sorted", **more),
    "ising-coloured": lambda **more: fl.experiment("ising-coloured", L=8, **MULTILEVEL, **more),
    "ising-rigcs": lambda **more: fl.experiment("ising-rigcs", L=8, base="pixelcnn", **MULTILEVEL, **more),
    "ising-rigcs transformer": lambda **more: fl.experiment(
        "ising-rigcs", L=4, network="transformer", blocks=2, hidden=8, **MULTILEVEL, **more
    ),
    "ising-mlmc-hb": lambda **more: fl.experiment("ising-mlmc-hb", L=4, **MULTILEVEL, **more),
    "ising-han": lambda **more: fl.experiment("ising-han", L=8, width=2, **MULTILEVEL, **more),
    "ising-van": lambda **more: fl.experiment("ising-van", L=4, channels=4, layers=2, kernel=3, **MULTILEVEL, **more),
    "potts-coloured": lambda **more: fl.experiment("potts-coloured", L=8, hidden=8, **MULTILEVEL, **more),
    "xy-coloured": lambda **more: fl.experiment("xy-coloured", L=8, hidden=8, **MULTILEVEL | {"T": 0.9}, **more),
    "phi4-flow": lambda **more: fl.experiment("phi4-flow", L=4, blocks="rqs", **FIELD, **more),
    "phi4-hybrid": lambda **more: fl.experiment("phi4-hybrid", L=4, blocks="aff,rqs", **FIELD, **more),
    "phi4-multilevel": lambda **more: fl.experiment("phi4-multilevel", L=8, **FIELD, **more),
    "phi4-pixelcnn": lambda **more: fl.experiment("phi4-pixelcnn", L=4, channels=4, kernel=3, **FIELD, **more),
    "phi4-ir-matching": lambda **more: fl.experiment("phi4-ir-matching", L=4, kappa=0.2, **MATCHING, **more),
    "phi4-ir-matching in two levels": lambda **more: fl.experiment(
        "phi4-ir-matching", L=8, d=1, kappa=0.2, stage_steps=2, learn="kappa,lam", shared=True, **MATCHING, **more
    ),
    "phi4-uv-matching": lambda **more: fl.experiment(
        "phi4-uv-matching", L=8, kappa=0.3, retrain=2, samples=32, **MATCHING, **more
    ),
    "phi4-cnf": lambda **more: fl.experiment("phi4-cnf", L=4, ode_steps=3, steps=6, batch=40, device="cpu", **more),
    "sk-forward": lambda **more: fl.experiment("sk-forward", **GLASS, **more),
    "sk-forward in the bare variables": lambda **more: fl.experiment(
        "sk-forward", **GLASS, z2=False, whiten="none", **more
    ),
    "sk-autoregressive": lambda **more: fl.experiment("sk-autoregressive", **GLASS, anneal=0.6, **more),
    "sk-reverse": lambda **more: fl.experiment("sk-reverse", **GLASS, anneal=0.5, **more),
    "tensor-network": lambda **more: fl.experiment(
        "tensor-network", L=4, T=0.7, couplings="ea", chi=2, **PLANE, **more
    ),
    "tensor-network of states": lambda **more: fl.experiment(
        "tensor-network", L=3, length=2, T=0.7, q=3, boundary="cylinder", chi=1, **PLANE, **more
    ),
}
