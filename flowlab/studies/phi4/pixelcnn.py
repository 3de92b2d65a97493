"""A PixelCNN of Gaussian mixtures on lattice phi^4, against which multilevel samplers are measured.

After the baseline of Singha et al. 2025 (arXiv:2503.08918, appendix H.4): the variational autoregressive network of Wu,
Wang and Zhang 2019 (arXiv:1809.10606) for fields.
"""

from __future__ import annotations

from flowlab.core import named_generator
from flowlab.densities import FieldPixelCNN
from flowlab.runs import study
from flowlab.runs.keys import Clip, Count, Finite, Fraction, NotNegative, Positive, Several, Threads, Window
from flowlab.runs.process import resolve_device
from flowlab.studies.phi4.flows import kappa_ramp, phi4_system
from flowlab.studies.refusals import WARM
from flowlab.training import PathGradient, Training


@study(
    "phi4-pixelcnn",
    one_of=(("beta", "kappa"),),
    idle=lambda keys: {"anneal": WARM} if keys["warm"] else {},
    presets={"paper": {"channels": 32, "layers": 6, "kernel": 13, "batch": 100, "lr": 1e-3, "steps": 5000}},
)
def phi4_pixelcnn(
    *,
    L: Several = 8,
    beta: Finite | None = None,
    kappa: Finite | None = None,
    lam: NotNegative = 0.5,
    channels: Count = 16,
    layers: Count = 3,
    kernel: Window = 7,
    components: Count = 3,
    steps: Count = 1000,
    batch: Several = 200,
    lr: Positive = 3e-3,
    clip: Clip = 5.0,
    anneal: Fraction = 0.3,
    threads: Threads = 1,
    device: str = "auto",
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """A PixelCNN on lattice phi^4, site after site with a mixture of Gaussians each, exactly even.

    Keys:
        L: side; beta, kappa, lam: couplings as in phi4-flow.
        channels, layers, kernel, components: see :class:`flowlab.densities.FieldPixelCNN`; the preset "paper" has the
            sizes that are published for spins, with the steps and the three components of the fields.
        steps, batch, lr, clip: horizon, configurations a step, Adam's peak rate under a cosine, the largest gradient
            norm.
        anneal: fraction of the run over which kappa rises from half its value; a warm start does not anneal.
        threads: of torch. device: "auto", "cpu" or "cuda".
    """
    system = phi4_system((L, L), beta, kappa, lam)
    density = FieldPixelCNN(
        (L, L), channels=channels, layers=layers, kernel=kernel, components=components,
        generator=named_generator(seed, "base"),
    )  # fmt: skip
    return Training(
        system,
        density,
        PathGradient(),
        steps=steps,
        batch=batch,
        learning_rate={"base": lr},
        clip=clip,
        betas=(0.9, 0.99),
        warmup=0.05 if warm else 0.02,
        annealing=None if warm else kappa_ramp(float(system.couplings["kappa"]), anneal),
        seed=seed,
        threads=threads,
        device=resolve_device(device),
    )
