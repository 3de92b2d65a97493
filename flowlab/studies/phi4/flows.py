"""Coupling flows on lattice phi^4 and on the free field.

After Del Debbio, Marsh Rossney and Wilson 2021 (arXiv:2105.12481), whose recipe is ``phi4-hybrid`` with its presets
"paper" and "table3-6" to "table3-14", and Albergo, Kanwar and Shanahan 2019 (arXiv:1904.12072). ``phi4-flow`` is what
samples best here: the odd sites integrated out exactly, a learned power spectrum, layers that keep the sign symmetry,
and the path gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor

from flowlab.core import Density, Flow, System, named_generator
from flowlab.densities import Normal, Pushforward, Z2Symmetrized
from flowlab.flows import (
    AdditiveCoupling,
    AffineCoupling,
    Composed,
    ContractingCoupling,
    Rescaling,
    SpectralScaling,
    SplineCoupling,
)
from flowlab.flows.real.affine import checkerboard_masks
from flowlab.flows.real.coupling import coupling_windows, lattice_coordinates, staggered_masks
from flowlab.runs import study
from flowlab.runs.keys import Count, Natural, NotNegative, Positive, Several, Window
from flowlab.studies.growth import Range
from flowlab.studies.keys import (
    WARM,
    AnnealKappa,
    Batch,
    Beta,
    Device,
    Dimension,
    Falling,
    Kappa,
    Lam,
    Rate,
    Side,
    Steps,
    Threads,
    Trained,
    even_side,
    over_idle,
)
from flowlab.studies.papers.trivializing_maps import CHANGED, HYBRID, ONLY_AFFINE, STATED_AFFINE, STATED_HYBRID, TUNED
from flowlab.systems import FreeField, Phi4
from flowlab.training import PathGradient, ReverseKL, Training

BETA = {6: 0.537, 8: 0.576, 10: 0.601, 12: 0.616, 14: 0.626, 16: 0.634, 18: 0.641, 20: 0.645, 32: 0.662}
"""Side -> beta at which the correlation length is L / 4, for lam = 0.5 (arXiv:2105.12481, table I; not in it: 32)."""

PUBLISHED: dict[str, dict[str, object]] = {"published": {"z2": False}}
"""Splines that are not odd, alone: at beta >= 0.7 they lose one sign of the field in most runs."""
BEFORE = {"z2": False}
"""Of runs that were kept before there was a choice."""


@dataclass(frozen=True)
class Hopping:
    """The couplings of lattice phi^4, the hopping by one of its two names."""

    beta: Beta | None = None
    kappa: Kappa | None = None
    lam: Lam = 0.5

    def system(self, shape: tuple[int, ...]) -> Phi4:
        """The system on a lattice."""
        return phi4_system(shape, self.beta, self.kappa, self.lam)


COUPLINGS: dict[str, Callable[..., Flow]] = {"add": AdditiveCoupling, "aff": AffineCoupling, "rqs": SplineCoupling}

PAPER = {
    "decimated": False, "spectral": False, "rescale": True, "odd": "affine", "net": "fc", "gradient": "pathwise",
    "anneal": 0.0, "clip": 1e9, "bound": 5.0,
}  # fmt: skip


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    found = over_idle(keys)
    if keys["net"] != "conv":
        found["window"] = "on fully connected networks (net=fc) and stacked convolutions (net=stack)"
    if "rqs" not in keys["blocks"]:
        found |= dict.fromkeys(("bins", "bound"), "where no block is a spline (rqs)")
    return found | ({"anneal": WARM} if keys["warm"] else {})


@study(
    "phi4-affine",
    one_of=(("beta", "kappa"),),
    earlier=BEFORE,
    idle=_idle,
    defaults=PAPER | {"blocks": "aff,aff,aff,aff", "batch": 500, "steps": 2000, "lr": 1e-3},
    presets=ONLY_AFFINE,
    stated=STATED_AFFINE,
    about="Affine coupling layers on lattice phi^4, the sites of a checkerboard in turns.",
)
@study(
    "phi4-spline",
    one_of=(("beta", "kappa"),),
    earlier=BEFORE,
    idle=_idle,
    defaults=PAPER | {"blocks": "rqs,rqs", "batch": 500, "steps": 2000, "lr": 1e-3, "odd": "none"},
    presets=PUBLISHED,
    about="Rational quadratic spline layers on lattice phi^4, made even; preset=published without that.",
)
@study(
    "phi4-hybrid",
    one_of=(("beta", "kappa"),),
    earlier=BEFORE,
    idle=_idle,
    defaults=PAPER | {"blocks": "aff,aff,rqs", "batch": 500, "steps": 750, "lr": 0.01},
    presets={**PUBLISHED, **HYBRID, **TUNED},
    stated=STATED_HYBRID,
    changed=CHANGED,
    about="Affine layers and one spline layer on lattice phi^4, made even; as published with preset=paper or table3-6.",
)
@study(
    "phi4-flow",
    one_of=(("beta", "kappa"),),
    earlier=BEFORE,
    idle=_idle,
    about="The flow that samples lattice phi^4 best: decimated, a learned spectrum, odd splines, path gradient.",
)
def phi4(
    *,
    L: Side = 8,
    d: Dimension = 2,
    couplings: Hopping = Hopping(),
    blocks: str = "rqs,rqs",
    decimated: bool = True,
    spectral: bool = True,
    rescale: bool = False,
    odd: Literal["all", "affine", "none"] = "all",
    form: Literal["bounded", "published"] = "bounded",
    z2: bool | None = None,
    net: Literal["fc", "conv", "stack"] = "conv",
    hidden: Count | None = None,
    depth: Count = 1,
    window: Window = 7,
    bins: Several = 8,
    bound: Positive = 2.5,
    gradient: Literal["path", "pathwise"] = "path",
    accumulate: Count = 1,
    restarts: Natural = 0,
    weight_decay: NotNegative = 0.0,
    anneal: AnnealKappa = 0.0,
    falling: Falling = Falling(),
    ranges: Range = Range(),
    training: Trained = Trained(steps=1000, batch=256, lr=6e-3, clip=5.0),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """Coupling layers over unit normal latents, on lattice phi^4 with L sites a side.

    Without beta and kappa, beta is that at which the correlation length is L / 4 for lam = 0.5 (even L from 6 to 20,
    and 32); ``grow`` keeps that of the smaller lattice. A density that is not even loses one sign of the field in most
    runs at beta >= 0.7, and half of Z with it.

    Keys:
        L [sites]: side, even.
        blocks: "add", "aff" and "rqs" in any order, latent side first; each has a layer for every part of the lattice.
        decimated: whether the odd sites are integrated out exactly.
        spectral: whether a learned power spectrum comes before every block and after the last.
        rescale: whether a learned factor comes after all layers.
        odd: which layers keep the symmetry φ -> -φ exactly: "all", all but splines ("affine"), or "none".
        form: "bounded" scales and slopes of affine layers and splines, or as "published", see
            :class:`flowlab.flows.ContractingCoupling` and ``limited`` of :class:`flowlab.flows.SplineCoupling`.
        z2: whether to make the density even, (q(φ) + q(-φ)) / 2, at twice the cost; none is where a layer is not odd.
        net: "fc" reads all sites, "conv" a window around the site by the same function everywhere, "stack" by 3 x 3
            convolutions one upon another.
        hidden: width of the networks, or channels; none is the number of sites, or 32 with a window and 8 with a stack.
        depth: hidden layers of the networks.
        window [sites]: side of the window of "conv".
        bins: of the splines.
        bound: the splines act on [-bound, bound].
        gradient: along the path, see :class:`flowlab.training.PathGradient`, or "pathwise", that of the loss itself.
        accumulate: parts in which the configurations of a step are worked through.
        restarts: how often the learning rate starts again.
        weight_decay: of Adam.
    """
    even_side(L, "a checkerboard")
    if net == "stack" and (decimated or d != 2):
        raise ValueError(f"net=stack takes decimated=False and d=2, all sites of a square, got {decimated} and {d}")
    if net == "conv" and form == "published":
        raise ValueError("form=published takes net=fc or net=stack, got conv")
    system = couplings.system((L,) * d)
    target: System = system.decimate() if decimated else system
    flow = coupling_flow(
        target.shape, blocks.split(","), staggered=decimated, spectral=spectral, rescale=rescale, odd=odd, net=net,
        hidden=hidden, depth=depth, window=window, bins=bins, bound=bound, form=form, seed=seed,
    )  # fmt: skip
    density = ranges.density(made_even(Pushforward(flow, Normal(target.shape)), z2))
    ramp = None if warm else kappa_ramp(float(system.couplings["kappa"]), anneal)
    return Training(
        target, density, ranges.objective(PathGradient() if gradient == "path" else ReverseKL()),
        accumulate=accumulate, restarts=restarts, weight_decay=weight_decay, annealing=ranges.annealing(ramp),
        seed=seed, **falling.given(warm=warm), **training.given,
    )  # fmt: skip


@study("phi4-free", idle=over_idle)
def phi4_free(
    *,
    L: Side = 14,
    mass: Positive | None = None,
    blocks: str = "add,add,add",
    spectral: bool = False,
    hidden: Count = 8,
    gradient: Literal["path", "pathwise"] = "path",
    ranges: Range = Range(),
    steps: Steps = 600,
    batch: Batch = 250,
    lr: Rate = 1e-2,
    threads: Threads = 1,
    device: Device = "auto",
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """Coupling layers on the free field, where the best map is known: a Fourier transform.

    Keys:
        L [sites]: side of the square lattice, even.
        mass [1 / lattice spacing]: of the field, 4 / L where none.
        blocks: as in phi4-flow.
        spectral: whether learned power spectra, which can be exact, come around the blocks.
        hidden: width of the fully connected networks, beside the linear map of each, which is all that it takes.
        gradient: as in phi4-flow; that along the path loses its noise as the density becomes exact.
    """
    even_side(L, "a checkerboard")
    target = FreeField((L, L), 4 / L if mass is None else mass)
    flow = coupling_flow(
        (L, L), blocks.split(","), staggered=False, spectral=spectral, rescale=True, odd="all", net="fc", hidden=hidden,
        seed=seed,
    )  # fmt: skip
    return Training(
        target, ranges.density(Pushforward(flow, Normal((L, L)))),
        ranges.objective(PathGradient() if gradient == "path" else ReverseKL()), steps=steps, batch=batch,
        learning_rate={"base": lr, "flow": lr}, clip=10.0, warmup=0.05 if warm else 0.0, seed=seed, threads=threads,
        device=device,
    )  # fmt: skip


def made_even(density: Density, z2: bool | None) -> Density:
    """The density, symmetrised where that is asked for, or by default (None) where it is not even already.

    Raises:
        ValueError: where it is asked for and has no effect.
    """
    even = density.flip_action() is not None
    if z2 and even:
        raise ValueError("z2=True has no effect where every layer is odd: the density is even already")
    return density if even or z2 is False else Z2Symmetrized(density)


def phi4_system(shape: tuple[int, ...], beta: float | None, kappa: float | None, lam: float) -> Phi4:
    """The system at one of its two spellings of the same coupling."""
    if kappa is not None:
        return Phi4(shape, kappa, lam)
    beta = BETA.get(shape[0]) if beta is None and len(shape) == 2 and lam == 0.5 else beta
    if beta is None:
        known = ", ".join(map(str, sorted(BETA)))
        raise ValueError(
            f"give beta or kappa: none is known for L = {' x '.join(map(str, dict.fromkeys(shape)))} at lam = {lam:g}, "
            f"only for L = {known} at lam = 0.5"
        )
    return Phi4.from_beta(shape, beta, lam)


def kappa_ramp(kappa: float, anneal: float) -> Callable[[float], dict[str, float | Tensor]] | None:
    """Progress -> the coupling to train at: kappa rises from half its value over the first ``anneal`` of the run.

    >>> ramp = kappa_ramp(0.3, 0.5)
    >>> round(ramp(0.0)["kappa"], 9), ramp(0.5)
    (0.15, {})
    """
    if not 0 <= anneal <= 1:
        raise ValueError(f"anneal must lie in [0, 1], a fraction of the run, got {anneal}")
    if anneal == 0:
        return None
    return lambda progress: {"kappa": kappa * (0.5 + 0.5 * progress / anneal)} if progress < anneal else {}


def coupling_flow(
    shape: tuple[int, ...],
    blocks: list[str],
    *,
    staggered: bool,
    spectral: bool,
    rescale: bool,
    odd: str,
    net: Literal["fc", "conv", "stack"],
    hidden: Count | None = None,
    depth: Count = 1,
    window: Window = 7,
    bins: Several = 8,
    bound: Positive = 2.5,
    form: Literal["bounded", "published"] = "bounded",
    seed: int = 0,
) -> Composed:
    """Coupling layers for each part of the lattice in every block, learned spectra around the blocks, a learned factor.

    The first spectrum starts at that of the free field whose correlation length is a quarter of the side, the others
    at the identity.
    """
    masks = staggered_masks(shape) if staggered else checkerboard_masks(shape, 2)
    side = lattice_coordinates(shape, staggered=staggered)[0][0]
    layers: list[Flow] = []
    for i, block in enumerate(block.strip() for block in blocks):
        if block not in COUPLINGS:
            raise ValueError(f"blocks must be {', '.join(COUPLINGS)}, separated by commas, got {block!r}")
        if spectral:
            layers.append(SpectralScaling(shape, None if i else 4 / side, staggered=staggered))
        for j, mask in enumerate(masks):
            parity = odd == "all" or (odd == "affine" and block != "rqs")
            generator = named_generator(seed, "flow", i, j)
            how: dict[str, Any] = {"odd": parity, "generator": generator}
            how |= {"network": {"fc": "mlp"}.get(net, net), "hidden": hidden, "layers": depth}
            if net == "conv":
                how |= {"windows": coupling_windows(mask, window, staggered=staggered), "hidden": hidden or 32}
            if block == "rqs":
                how |= {"bins": bins, "bound": bound, "limited": form == "bounded" or parity}
            kind = partial(COUPLINGS[block], activation="tanh")
            layers.append((ContractingCoupling if form == "published" and block == "aff" else kind)(mask, **how))
    if spectral:
        layers.append(SpectralScaling(shape, None, staggered=staggered))
    return Composed([*layers, *([Rescaling(shape)] if rescale else [])])
