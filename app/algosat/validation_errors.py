"""Errors of pydantic models, in the one form that responses, messages and logs give them."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

_MOST: Final = 50
_MOST_IN_A_SENTENCE: Final = 5
_LONGEST_NAME: Final = 64


def findings(error: ValidationError, *parents: str) -> list[dict[str, Any]]:
    """Return every invalid field, as `field`, `detail` and `code`; `parents` go before each field's path.

    The values are left out: one of them may be a password.
    """
    listed = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {
            "field": ".".join((*parents, *(shown(str(part)) for part in found["loc"]))),
            "detail": found["msg"].removeprefix("Value error, "),
            "code": found["type"],
        }
        for found in listed[:_MOST]
    ]


def sentence(found: list[dict[str, Any]]) -> str:
    """Return the first findings in one line."""
    return "; ".join(f"{each['field'] or 'body'}: {each['detail']}" for each in found[:_MOST_IN_A_SENTENCE])


def shown(name: str) -> str:
    """Return a name from a request in a form that is safe to repeat: short, and ASCII only."""
    return name[:_LONGEST_NAME].encode("ascii", "backslashreplace").decode()
