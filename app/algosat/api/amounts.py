"""Amounts in requests: exact decimals, no larger than the store can hold."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

_EXACT_DIGITS: Final = 15  # that a JSON number carries through every client unchanged
_BOUND: Final = 10_000_000_000
_FORM: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,8})?", re.ASCII)
_SIGNED_FORM: Final = re.compile(f"-?{_FORM.pattern}", re.ASCII)
_NEGATIVE_FORM: Final = re.compile(f"-{_FORM.pattern}", re.ASCII)


def _exact(value: Any) -> Decimal:
    """Return a string or number as a decimal. Raises ValueError if digits may have been lost."""
    return _decimal(value, _FORM)


def _exact_signed(value: Any) -> Decimal:
    return _decimal(value, _SIGNED_FORM)


def _decimal(value: Any, form: re.Pattern[str]) -> Decimal:
    if isinstance(value, str):
        if form is _FORM and _NEGATIVE_FORM.fullmatch(value):
            raise ValueError("must be greater than 0")
        if not form.fullmatch(value):
            raise ValueError("is not a plain decimal number of at most 10 digits and 8 decimals")
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is neither a string nor a number")
    number = Decimal(repr(value))
    if len(number.normalize().as_tuple().digits) > _EXACT_DIGITS:
        raise ValueError(f"has more than {_EXACT_DIGITS} digits: write it as a string")
    return number


Amount = Annotated[
    Decimal,
    BeforeValidator(_exact),
    Field(gt=0, lt=_BOUND, max_digits=18, decimal_places=8),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "decimal", "pattern": f"^{_FORM.pattern}$"},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": _BOUND},
            ],
        },
        mode="validation",
    ),
]

SignedAmount = Annotated[
    Decimal,
    BeforeValidator(_exact_signed),
    Field(gt=-_BOUND, lt=_BOUND, max_digits=18, decimal_places=8),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "decimal", "pattern": f"^{_SIGNED_FORM.pattern}$"},
                {"type": "number", "exclusiveMinimum": -_BOUND, "exclusiveMaximum": _BOUND},
            ],
        },
        mode="validation",
    ),
]
