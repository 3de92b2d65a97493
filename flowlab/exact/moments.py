"""Exact energies of a system, where they are known."""

from __future__ import annotations

from functools import singledispatch

from flowlab.core import Representation, System
from flowlab.exact.finite_ising import kaufman
from flowlab.systems import Ising


@singledispatch
def moments_per_site(system: System) -> dict[str, float]:
    """Exact ``energy_per_site`` and ``specific_heat`` of the finite lattice by name; empty where they are not known.

    They are Kaufman's, of the Ising lattice without field. ``moments_per_site.register`` adds another class of systems.

    >>> {name: round(value, 4) for name, value in moments_per_site(Ising((8, 8), T=2.5)).items()}
    {'energy_per_site': -1.2223, 'specific_heat': 1.1005}
    """
    return {}


@moments_per_site.register
def _(system: Ising) -> dict[str, float]:
    if not (system.square and system.flip_symmetric):
        return {}
    T, J = (float(system.couplings[name].detach()) for name in ("T", "J"))
    try:
        known = kaufman((system.shape[0], system.shape[1]), 1 / T, J)
    except ArithmeticError:  # frustrated across both sides and cold
        return {}
    return {"energy_per_site": known.energy_per_site, "specific_heat": known.specific_heat_per_site}


@moments_per_site.register
def _(system: Representation) -> dict[str, float]:
    return moments_per_site(system.physical)
