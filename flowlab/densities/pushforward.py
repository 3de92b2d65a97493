"""A flow over a base density."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from flowlab.core import Density, Draw, Flow, LayerState, System
from flowlab.core.arguments import checked
from flowlab.core.density import one_of
from flowlab.core.symmetry import cannot_fit
from flowlab.core.types import LayerKind
from flowlab.flows.composed import Composed, shape_of


class Pushforward(Density):
    """The density of x = f(z), z ~ p: ln q(x) = ln p(f⁻¹(x)) + ln|det ∂f⁻¹/∂x|, the determinant 1 for discrete flows.

    Args:
        flow: f, latent to physical.
        base: p, the density of the latents.

    Raises:
        ValueError: where the base's flip symmetry is not the one that the flow turns into the global flip.

    >>> from flowlab.densities import IndependentSpins
    >>> from flowlab.flows import XorCoupling
    >>> q = Pushforward(XorCoupling((4, 4)), IndependentSpins((4, 4)))
    >>> [state.name for state in q.stages(5)]
    ['latent', 'xor 1']
    """

    staged = True

    @checked
    def __init__(self, flow: Flow, base: Density) -> None:
        super().__init__()
        self.flow, self.base, self.shape = flow, base, base.shape
        if (sides := shape_of(flow) or tuple(self.shape)) != tuple(self.shape):
            raise ValueError(f"base must have the shape of the flow, {sides}, got {tuple(self.shape)}")
        mine, wanted = base.flip_action(), self._pulled_flip()
        if mine is not None and wanted is not None and not torch.equal(mine, wanted):
            raise ValueError(
                f"this flow needs a base symmetric under a flip of {_sites(wanted)}, got a base symmetric under a flip "
                f"of {_sites(mine)}: use Z2Symmetrized(..., action=flow.pull_flip(-torch.ones{tuple(self.shape)}))"
            )

    @property
    def iid(self) -> bool:  # type: ignore[override]
        return self.base.iid

    @property
    def divisible(self) -> bool:  # type: ignore[override]
        return self.base.divisible

    @property
    def log_norm(self) -> float | None:  # type: ignore[override]
        return self.base.log_norm

    @property
    def site_order(self) -> Tensor | None:
        return self.base.site_order

    @property
    def latent_density(self) -> Density:
        return self.base

    @property
    def flow_layers(self) -> list[Flow]:
        return self.flow.sequence()

    def latents_of(self, x: Tensor) -> Tensor:
        return self.flow.inverse(x)[0]

    def _pulled_flip(self) -> Tensor | None:
        device = next((t.device for t in [*self.flow.buffers(), *self.flow.parameters()]), torch.device("cpu"))
        return self.flow.pull_flip(-torch.ones(self.shape, device=device))

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        z, log_q, score = self.base.draw(n, generator=generator)
        x, log_det = self.flow(self._taken(z), generator=generator)
        return Draw(x, log_q - log_det, score)

    def _taken(self, z: Tensor) -> Tensor:
        """Latents of the base in the precision of the flow: a base that learns nothing has one of its own."""
        return z if self.base.learns else self.as_batch(z)

    def draw_slope(self, n: int, *, generator: torch.Generator | None = None) -> tuple[Draw, Tensor]:
        z, log_q, score = self.base.draw(n, generator=generator)
        x, log_det, slope = self.flow.push(z, slope_of(self.base, z))
        return Draw(x, log_q.detach() - log_det, score), slope

    def log_prob(self, x: Tensor) -> Tensor:
        z, log_det = self.flow.inverse(x)
        return self.base.log_prob(z) + log_det

    def stages(
        self,
        n: int | None = None,
        *,
        x: Tensor | None = None,
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[LayerState]:
        """See :meth:`Density.stages`. A fixed linear map next to the samples is shown right after the latent.

        What coupling layers do in its coordinates is thus seen at the physical sites: x = M f_L(... f_1(z)) is the
        latent, the Gaussian M z, and M f_l(... f_1(z)) for l = 1 .. L. A continuous flow is shown at points of its
        time.
        """
        one_of(n=n, x=x, z=z)
        layers, frame = self._layers()
        with torch.no_grad():
            if n is not None:
                z, log_q = self.base.sample(n, generator=generator)
                z = self._taken(z)
            else:
                if x is not None:
                    z, _ = self.flow.inverse(x)
                assert z is not None
                log_q = self.base.log_prob(z)
            states = [LayerState("latent", "flow", 0.0, z, log_q)]
            for layer in frame:
                x, log_det = layer(z)
                states.append(LayerState(layer.label, "flow", 1 / (len(_shown(layers)) + 1), x, log_q - log_det))
            for name, kind, layer in _shown(layers):
                z, log_det = layer(z)
                log_q = log_q - log_det
                x, log_det = frame(z)
                time = len(states) / (len(_shown(layers)) + len(frame))
                states.append(LayerState(name, kind, time, x, log_q - log_det))
        yield from states

    def _layers(self) -> tuple[list[Flow], Composed]:
        """The layers, latent first, and the fixed map behind them through which they are seen (none or one layer)."""
        layers = self.flow_layers
        split = len(layers) - (len(layers) > 1 and layers[-1].frame)
        return layers[:split], Composed(layers[split:])

    def log_prob_at(self, stage: int, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,) ln of the density of the configurations that ``stages`` shows as number ``stage``."""
        layers, frame = self._layers()
        shown = [layer for _, _, layer in _shown(layers)]
        flow = Composed([*shown[: stage - len(frame)], *frame] if stage else [])
        z, log_det = flow.inverse(x)
        return self.base.log_prob(z) + log_det

    def integration_error(
        self, n: int = 64, *, factor: int = 2, generator: torch.Generator | None = None
    ) -> dict[str, float]:
        """Over all continuous flows, those of the base too, the root of the sum of squares."""
        total = self.base.integration_error(n, factor=factor, generator=generator)
        if not any(layer.integrates for layer in self.flow_layers):
            return total
        with torch.no_grad():
            z, _ = self.base.sample(n, generator=generator)
            for layer in self.flow_layers:
                if layer.integrates:
                    found = layer.integration_error(z, factor=factor)
                    total = {name: math.hypot(total.get(name, 0.0), error) for name, error in found.items()}
                z, _ = layer(z)
        return total

    def flip_action(self) -> Tensor | None:
        mine, wanted = self.base.flip_action(), self._pulled_flip()
        return -torch.ones_like(mine) if mine is not None and wanted is not None and torch.equal(mine, wanted) else None

    def bind(self, target: System) -> None:
        super().bind(target)
        if not target.flip_symmetric and self._pulled_flip() is not None and list(self.flow.parameters()):
            raise ValueError(f"a flow with a flip symmetry (parity) {cannot_fit(target)}")
        self.base.bind(target)

    def fit(self, x: Tensor) -> None:
        self.base.fit(self.flow.fit(x))

    def anneal(self, progress: float) -> None:
        self.flow.anneal(progress)
        self.base.anneal(progress)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        groups = self.base.parameter_groups()
        return groups | {"flow": [*groups.get("flow", []), *(p for p in self.flow.parameters() if p.requires_grad)]}


def _shown(layers: list[Flow]) -> list[tuple[str, LayerKind, Flow]]:
    """Name, kind and flow of each stage: the layers, continuous ones in pieces of time."""
    found: list[tuple[str, LayerKind, Flow]] = []
    for i, layer in enumerate(layers, 1):
        if layer.layer_kind == "time":
            found += [(piece.label, "time", piece) for piece in layer.pieces()]
        else:
            found.append((f"{layer.label} {i}", "flow", layer))
    return found


def slope_of(density: Density, x: Tensor) -> Tensor:
    """∂ln q/∂x (n, *shape) of a density at x (n, *shape), without a gradient of its own."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(density.log_prob(x).sum(), x)
    return slope


def _sites(action: Tensor) -> str:
    flipped = int((action == -1).sum())
    return "all sites" if flipped == action.numel() else f"{flipped} of {action.numel()} sites"
