"""Planes of spins or states by a tensor network, which has nothing to learn: what learned samplers compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from flowlab.analysis.reference import Reference
from flowlab.core import System
from flowlab.densities import TensorNetwork
from flowlab.runs import study
from flowlab.runs.keys import Count, Finite, Meaning, Several
from flowlab.studies.keys import BETA_OR_T, UNTRAINED, Batch, Device, Field, Instance, Side, Temperature, Threads
from flowlab.systems import Potts, SpinGlass
from flowlab.training import ReverseKL, Training

RANDOM = "where couplings are uniform"


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    if keys["couplings"] == "uniform":
        found = dict.fromkeys(("seed_J", "kind", "compare"), RANDOM)
        return found | ({"h": "on Potts states"} if keys["q"] > 2 else {})
    return dict.fromkeys(("q", "J", "h"), "where couplings are random")


@study("tensor-network", aliases=BETA_OR_T, idle=_idle, without=UNTRAINED)
def tensor_network(
    *,
    couplings: Literal["uniform", "ea"] = "uniform",
    L: Side = 32,
    length: Annotated[Several, Meaning("rows of the lattice, L where none", "sites")] | None = None,
    boundary: Literal["open", "cylinder"] = "open",
    T: Temperature = 1 / 0.44,
    q: Several = 2,
    J: Finite = 1.0,
    h: Field = 0.0,
    kind: Literal["gaussian", "pm1"] = "pm1",
    seed_J: Instance = 0,
    d: Literal[2] = 2,
    chi: Count = 16,
    compare: bool = False,
    steps: Count = 4,
    batch: Batch = 500,
    threads: Threads = 1,
    device: Device = "auto",
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """Ising, Potts and Edwards-Anderson planes with open edges, drawn row by row from boundary matrix-product states.

    Nothing is trained: what the rows below say to each row is found once, and each step measures ESS and bound anew.

    Keys:
        couplings: "uniform" for the Ising or Potts model, "ea" for random bonds between neighbours.
        boundary: "open", or "cylinder", which is periodic along its rows and costs more with their length.
        q [states]: on a site; 2 are Ising spins.
        J: coupling of neighbours.
        kind: of random couplings, "pm1" for ±1 or "gaussian" for a normal distribution of variance 1.
        d: number of dimensions, which is 2.
        chi: largest bond dimension; the lower T and the larger L, the more it takes.
        compare: whether evaluations compare overlaps with those of parallel tempering that exchanges clusters.
        steps [measurements]: of the run.
    """
    shape = (L if length is None else length, L)
    system: System
    if couplings == "ea":
        system = SpinGlass.edwards_anderson(shape, T, seed_J, kind, boundary=boundary)
    elif q == 2:
        system = SpinGlass.uniform(shape, T, J, h, boundary=boundary)
    else:
        system = Potts(shape, T, q, J, boundary=boundary)
    comparison = Reference(system, [T], seed=seed_J, clusters=True) if compare else None
    return Training(
        system, TensorNetwork(system, chi), ReverseKL(), steps=steps, batch=batch, learning_rate=1.0,
        annealing=None, comparison=comparison, seed=seed, threads=threads, device=device,
    )  # fmt: skip
