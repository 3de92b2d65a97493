"""Densities of states made exactly symmetric under permutations of the states."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from flowlab.core import Density, Draw, Flow, LayerState, System, Wrapper
from flowlab.core.arguments import checked
from flowlab.core.generators import everyone, own
from flowlab.core.one_hot import one_hot, states
from flowlab.core.symmetry import asymmetry
from flowlab.flows.discrete.permutation import MAX_ALL, Group, group_of_permutations


class PermutationSymmetrized(Wrapper):
    """q(x) = (1/|G|) Σ_g p(g·x): a density p of states 0 .. q-1, and one permutation g for all sites, drawn from G.

    ln q is exact: p is evaluated at every g·x, all q! of them for q up to 5, the q cyclic shifts beyond, which make
    the shares of the states equal as well. A Potts model without field has the symmetry; a p trained without it keeps
    one ordered state of q.

    Args:
        density: p, of states; it says q.
        group: "all" q! permutations or the "cyclic" ones; None takes all of them for q up to 5.
        q: number of states, if the density has no ``variables`` that say it.

    Raises:
        ValueError: for a density without q, or a group that is too large.

    >>> from flowlab.densities import IndependentPotts
    >>> q = PermutationSymmetrized(IndependentPotts((2, 2), 3, bias=3.0))
    >>> x = torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
    >>> bool(torch.isclose(q.log_prob(x), q.log_prob((x + 1) % 3))), len(q.permutations)
    (True, 6)
    """

    permutations: Tensor

    @checked
    def __init__(self, density: Density, group: Group | None = None, *, q: int | None = None) -> None:
        super().__init__(density)
        kinds = (density.variables, density.latent_density.variables)
        found = (
            next((kind.count for kind in kinds if kind and kind.discrete and not kind.signed), None) if q is None else q
        )
        if found is None:
            raise ValueError(f"the density, {type(density).__name__}, does not say its number of states: give q")
        self.q = int(found)
        self.group: Group = group or ("all" if self.q <= MAX_ALL else "cyclic")
        self.register_buffer("permutations", group_of_permutations(self.q, self.group), persistent=False)

    @property
    def divisible(self) -> bool:  # type: ignore[override]
        return self.density.divisible

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        p = self.density.draw(n, generator=generator)
        group = len(self.permutations)
        chosen = own(torch.randint(group, (everyone(n),), generator=generator, device=p.x.device))
        x = self._moved(p.x, self.permutations[chosen])
        others = [self.density.log_prob(self._images(p.x, i)) for i in range(1, len(self.permutations))]
        if torch.equal(p.score.detach(), p.log_q.detach()):
            score = self._mean([p.score, *others])
            return Draw(x, score.detach(), score)
        return Draw(x, self._mean([p.log_q, *others]), p.score)

    def log_prob(self, x: Tensor) -> Tensor:
        return self._mean([self.density.log_prob(self._images(x, i)) for i in range(len(self.permutations))])

    def _mean(self, parts: list[Tensor]) -> Tensor:
        return torch.stack(parts).logsumexp(0) - math.log(len(parts))

    def _images(self, x: Tensor, i: int) -> Tensor:
        return self._moved(x, self.permutations[i].expand(len(x), self.q))

    def _moved(self, x: Tensor, permutations: Tensor) -> Tensor:
        """Each configuration with its permutation, (n, q): state s becomes permutation[s]; gradients go along."""
        if x.requires_grad and torch.is_grad_enabled():
            matrices = one_hot(permutations.to(x.dtype), self.q)  # row s: the state that s becomes
            return states(torch.einsum("n...s,nsk->n...k", one_hot(x, self.q), matrices))
        return permutations.gather(1, x.detach().flatten(1).long()).reshape(x.shape).to(x.dtype)

    @property
    def flow_layers(self) -> list[Flow]:
        return self.density.flow_layers

    def stages(
        self,
        n: int | None = None,
        *,
        x: Tensor | None = None,
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[LayerState]:
        """The layers of p's flow, if p has one, each symmetrised; configurations and latents that are given stay."""
        if not self.density.staged:
            yield from super().stages(n, x=x, z=z, generator=generator)
            return
        found = list(self.density.stages(n, x=x, z=z, generator=generator))
        like = found[-1].x
        chosen = torch.zeros(len(like), dtype=torch.long, device=like.device)
        if n is not None:
            chosen = torch.randint(len(self.permutations), (n,), generator=generator, device=like.device)
        with torch.no_grad():
            for i, (name, kind, time, one, log_q) in enumerate(found):
                others = range(1, len(self.permutations))
                parts = [log_q, *(self.density.log_prob_at(i, self._images(one, g)) for g in others)]
                yield LayerState(name, kind, time, self._moved(one, self.permutations[chosen]), self._mean(parts))

    def bind(self, target: System) -> None:
        super().bind(target)
        for image in self._generators():
            differ = asymmetry(target, lambda x, image=image: self._moved(x, image.expand(len(x), self.q)))  # type: ignore[misc]
            if differ > 0:
                raise ValueError(
                    f"a density that permutations of the states leave alone cannot fit {target.title}: the permutation "
                    f"{image.tolist()} of its states changes log_weight by up to {differ:.3g}"
                )

    def _generators(self) -> list[Tensor]:
        """Permutations of which all others are products: a shift, and an exchange of two."""
        first = torch.arange(self.q, device=self.permutations.device)
        exchange = torch.where(first < 2, 1 - first, first)
        return [(first + 1) % self.q, *([exchange] if self.group == "all" else [])]
