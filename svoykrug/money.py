"""Rounding and splitting of roubles and bonuses. Nowhere else in the code is a sum rounded."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

KOPECK = Decimal("0.01")
ZERO = Decimal("0.00")


def round_half_up(amount: Decimal) -> Decimal:
    """Round to kopecks, half up: the one rounding of an accrual (rules.md, Purchase)."""
    return amount.quantize(KOPECK, ROUND_HALF_UP)


def percent_of(amount: Decimal, percent: Decimal) -> Decimal:
    """Return `percent` per cent of `amount`, not rounded."""
    return amount * percent / 100


def allocate(total: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Split `total` over `weights` so that the parts add up to it, by largest remainder.

    total    a sum in whole kopecks, zero or more
    weights  zero or more each; all zero counts as equal shares

    Parts differ from exact proportion by less than a kopeck; ties go to the earlier part.
    """
    if not weights:
        raise ValueError("There is nothing to allocate over.")
    whole = sum(weights)
    if not whole:
        weights, whole = [Decimal(1)] * len(weights), Decimal(len(weights))
    # Whole division of products is exact, so equal remainders compare as equal.
    unit = whole * KOPECK
    parts = [total * weight // unit * KOPECK for weight in weights]
    remainders = [total * weight % unit for weight in weights]
    left = int((total - sum(parts)) / KOPECK)
    for i in sorted(range(len(parts)), key=lambda i: (-remainders[i], i))[:left]:
        parts[i] += KOPECK
    return parts
