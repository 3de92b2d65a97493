"""What is exactly known of a system: ln Z, and the moments of its energy."""

from __future__ import annotations

import contextlib
from functools import singledispatch

from flowlab.core import Representation, Spins, System
from flowlab.exact.enumeration import MAX_SITES, enumerate_log_z
from flowlab.exact.finite_ising import kaufman, ring_log_z
from flowlab.exact.free_field import free_field_log_z
from flowlab.exact.phi4 import phi4_log_z
from flowlab.exact.plane import MOST_NUMBERS, plane_log_z, plane_numbers
from flowlab.exact.potts import MAX_CONFIGURATIONS, enumerate_potts_log_z
from flowlab.exact.transfer_matrix import MAX_ROW_STATES, transfer_log_z
from flowlab.exact.xy import xy_log_z
from flowlab.systems import Ising
from flowlab.systems.free_field import FreeField
from flowlab.systems.phi4 import Phi4
from flowlab.systems.potts import Potts
from flowlab.systems.triangular import TriangularIsing
from flowlab.systems.xy import XY

PHI4_STATES, PHI4_ERROR = 6**8, 1e-3


@singledispatch
def log_z(system: System) -> float | None:
    """The exact ln Z of ``system``, whole lattice, or None where none is known.

    A representation takes its parent's, an Ising plane without field Kaufman's, a ring that of its two eigenvalues.
    Potts and triangular lattices, Ising planes in a field and plane glasses with a short side have a transfer matrix
    (open ones of up to 20 spins, tori of 10), any other spin system of at most 24 sites is enumerated (seconds at 24).
    Planar spins are summed as currents where a side has at most 4 sites. A free field has a closed form, phi^4 the
    transfer matrix where two seconds of it give ln Z to 1e-3, which around the transition is up
    to 8 x 8 (:func:`~flowlab.exact.phi4.phi4_log_z` says the error, and goes further).
    ``log_z.register`` adds an answer for another class of systems.

    >>> from flowlab.systems import Ising
    >>> round(log_z(Ising((8, 8), T=2.5)), 9)
    56.59938876
    >>> round(log_z(Ising((8, 8), T=2.5, h=0.1)), 6)
    57.688655
    >>> log_z(Ising((12, 12), T=2.5, h=0.1)) is None
    True
    """
    if system.variables == Spins() and system.n_sites <= MAX_SITES:
        return enumerate_log_z(system)
    plane = system.plane()
    if plane is not None and plane_numbers(plane) <= MOST_NUMBERS:
        with contextlib.suppress(ArithmeticError):  # cold beyond double precision
            return plane_log_z(plane)
    return None


@log_z.register
def _(system: Ising) -> float | None:
    T, J, h = (float(system.couplings[name].detach()) for name in ("T", "J", "h"))
    if len(system.shape) == 1:
        return ring_log_z(system.n_sites, 1 / T, J, h)
    if h == 0.0 and system.square:
        try:
            return kaufman((system.shape[0], system.shape[1]), 1 / T, J).log_z
        except ArithmeticError:  # frustrated across both sides and cold
            pass
    return log_z.dispatch(System)(system)


@log_z.register
def _(system: Potts) -> float | None:
    if not system.square:
        return log_z.dispatch(System)(system)
    if system.q ** min(system.shape) <= MAX_ROW_STATES:
        try:
            return transfer_log_z(system)
        except ArithmeticError:
            pass
    return enumerate_potts_log_z(system) if system.q**system.n_sites <= MAX_CONFIGURATIONS else None


@log_z.register
def _(system: TriangularIsing) -> float | None:
    if 2 ** min(system.shape) <= MAX_ROW_STATES:
        try:
            return transfer_log_z(system)
        except ArithmeticError:  # frustrated and cold
            pass
    return log_z.dispatch(System)(system)


@log_z.register
def _(system: XY) -> float | None:
    return xy_log_z(system)


@log_z.register
def _(system: FreeField) -> float | None:
    return free_field_log_z(system)


@log_z.register
def _(system: Phi4) -> float | None:
    free = float(system.couplings["lam"].detach()) == 0
    if not free and 6 ** (system.n_sites // max(system.shape)) > PHI4_STATES:
        return None
    value, error = phi4_log_z(system, tolerance=1e-6, max_states=PHI4_STATES)
    return value if error < PHI4_ERROR else None


@log_z.register
def _(system: Representation) -> float | None:
    parent = log_z(system.parent)
    return None if parent is None else parent - float(system.log_z_offset)


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
