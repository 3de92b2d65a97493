"""A PixelCNN of Gaussian mixtures on lattice phi^4, against which multilevel samplers are measured.

After the baseline of Singha et al. 2025 (arXiv:2503.08918, appendix H.4): the variational autoregressive network of Wu,
Wang and Zhang 2019 (arXiv:1809.10606) for fields.
"""

from __future__ import annotations

from flowlab.core import named_generator
from flowlab.densities import FieldPixelCNN
from flowlab.runs import study
from flowlab.runs.keys import Count, Window
from flowlab.studies.growth import Range
from flowlab.studies.keys import (
    WARM,
    AnnealKappa,
    Averages,
    Falling,
    Side,
    Trained,
    over_idle,
)
from flowlab.studies.papers.rigcs import CHANGED, FIELD_VAN, STATED_FIELD_VAN
from flowlab.studies.phi4.flows import Hopping, kappa_ramp
from flowlab.training import PathGradient, Training


@study(
    "phi4-pixelcnn",
    one_of=(("beta", "kappa"),),
    idle=lambda keys: over_idle(keys) | ({"anneal": WARM} if keys["warm"] else {}),
    presets=FIELD_VAN,
    stated=STATED_FIELD_VAN,
    changed=CHANGED,
)
def phi4_pixelcnn(
    *,
    L: Side = 8,
    couplings: Hopping = Hopping(),
    channels: Count = 16,
    layers: Count = 3,
    kernel: Window = 7,
    components: Count = 3,
    anneal: AnnealKappa = 0.3,
    falling: Falling = Falling(),
    averages: Averages = Averages(beta2=0.99),
    ranges: Range = Range(),
    training: Trained = Trained(steps=1000, batch=200, lr=3e-3, clip=5.0),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """A PixelCNN on lattice phi^4, site after site with a mixture of Gaussians each, exactly even.

    Keys:
        channels: of each layer of the network, see :class:`flowlab.densities.FieldPixelCNN`.
        layers: of the network.
        kernel [sites]: side of its convolutions.
        components: Gaussians of a site.
    """
    system = couplings.system((L, L))
    density = FieldPixelCNN(
        (L, L), channels=channels, layers=layers, kernel=kernel, components=components,
        generator=named_generator(seed, "base"),
    )  # fmt: skip
    ramp = None if warm else kappa_ramp(float(system.couplings["kappa"]), anneal)
    return Training(
        system, ranges.density(density), ranges.objective(PathGradient()), annealing=ranges.annealing(ramp), seed=seed,
        **averages.given, **falling.given(warm=warm), **training.given,
    )  # fmt: skip
