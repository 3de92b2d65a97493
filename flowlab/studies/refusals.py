"""What studies refuse, under the names that a person gives: sides that do not fit, and why a key has no effect."""

from __future__ import annotations

WARM = "on a run that starts from another's weights"
NO_LAYERS = "where there are no layers"
NO_GROWTH = "on a run that does not grow"
ONE_LEVEL = "where nothing lies between the coarsest lattice and L"


def even_side(L: int, why: str) -> None:
    """Refuse an odd side.

    >>> even_side(5, "a checkerboard")
    Traceback (most recent call last):
    ValueError: L must be even for a checkerboard, got 5
    """
    if L % 2:
        raise ValueError(f"L must be even for {why}, got {L}")


def doubled_side(L: int, coarsest: int) -> None:
    """Refuse a side that is not 2, 4, 8, ... times the coarsest.

    >>> doubled_side(12, 2)
    Traceback (most recent call last):
    ValueError: L must be coarsest · 2^k with k at least 1, got L = 12 and coarsest = 2
    """
    factor = L // coarsest
    if factor < 2 or L % coarsest or factor & (factor - 1):
        raise ValueError(f"L must be coarsest · 2^k with k at least 1, got L = {L} and coarsest = {coarsest}")
