"""Money and quantities as they come in: exact, and no larger than the store can hold."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

_EXACT_DIGITS: Final = 15  # what a JSON number surely carries through every client


def _exact(value: Any) -> Any:
    """The number as it was written; what is neither a number nor one in a string is left to be refused."""
    if isinstance(value, float) and sum(map(str.isdigit, repr(value).strip("0."))) > _EXACT_DIGITS:
        raise ValueError(f"has more than {_EXACT_DIGITS} digits: write it as a string")
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            return Decimal(str(value))
        except InvalidOperation:
            raise ValueError("is not a number") from None
    return value


Amount = Annotated[
    Decimal,
    BeforeValidator(_exact),
    Field(
        gt=0,
        lt=10_000_000_000,
        max_digits=18,
        decimal_places=8,
        description="A string, or a number of at most 15 digits.",
        examples=["100"],
    ),
]
