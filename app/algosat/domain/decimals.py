"""Exact numbers: zero, and decimals as text."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

ZERO: Final = Decimal(0)


def to_text(value: Decimal) -> str:
    """Return the number without exponent and trailing zeros, so that equal numbers have equal texts."""
    return format(value.normalize(), "f")
