"""The exact ln Z of a system, where one is known."""

from __future__ import annotations

from functools import singledispatch

from flowlab.core import Representation, System
from flowlab.exact.enumeration import MAX_SITES, enumerate_log_z
from flowlab.exact.kaufman import kaufman
from flowlab.exact.potts import MAX_CONFIGURATIONS, enumerate_potts_log_z
from flowlab.exact.transfer_matrix import MAX_ROW_STATES, transfer_log_z
from flowlab.systems import Ising
from flowlab.systems.potts import Potts
from flowlab.systems.triangular import TriangularIsing


@singledispatch
def log_z(system: System) -> float | None:
    """The exact ln Z of ``system``, whole lattice, or None where none is known.

    A representation takes its parent's, an Ising lattice without field Kaufman's, Potts and triangular lattices with a
    short side that of the transfer matrix, any other spin system of at most 24 sites is enumerated (seconds at 24).
    ``log_z.register`` adds an answer for another class of systems.

    >>> from flowlab.systems import Ising
    >>> round(log_z(Ising((8, 8), T=2.5)), 9)
    56.59938876
    >>> log_z(Ising((8, 8), T=2.5, h=0.1)) is None
    True
    """
    if system.domain == "spin" and system.n_sites <= MAX_SITES:
        return enumerate_log_z(system)
    return None


@log_z.register
def _(system: Ising) -> float | None:
    T, J, h = (float(system.couplings[name].detach()) for name in ("T", "J", "h"))
    if h == 0.0:
        try:
            return kaufman((system.shape[0], system.shape[1]), 1 / T, J).log_z
        except ArithmeticError:  # frustrated across both sides and cold
            pass
    return log_z.dispatch(System)(system)


@log_z.register
def _(system: Potts) -> float | None:
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
def _(system: Representation) -> float | None:
    parent = log_z(system.parent)
    return None if parent is None else parent - float(system.log_z_offset)
