"""Exact numbers: zero, and decimals as text."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

ZERO: Final = Decimal(0)

_SMALLEST: Final = Decimal("0.00000001")


def to_store_places(value: Decimal) -> Decimal:
    """Return the value rounded to eight decimal places, the most that a column without a low part holds."""
    return value.quantize(_SMALLEST, ROUND_HALF_EVEN)


def to_text(value: Decimal) -> str:
    """Return the number without exponent and trailing zeros, so that equal numbers have equal texts."""
    return format(value.normalize(), "f")
