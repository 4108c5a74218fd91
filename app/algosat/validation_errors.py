"""Errors of pydantic models, in the one form that responses, messages and logs give them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

_MOST: Final = 50
_MOST_IN_A_SENTENCE: Final = 5
_LONGEST_NAME: Final = 64


def findings(error: ValidationError, model: type[BaseModel], *parents: str) -> list[dict[str, Any]]:
    """Return every invalid field, as `field`, `detail` and `code`; `parents` go before each field's path.

    The values are left out: one of them may be a password.

    Args:
        model: The model that raised the error. A field that it does not have gets its closest name as a hint.
    """
    listed = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {
            "field": ".".join((*parents, *(shown(str(part)) for part in found["loc"]))),
            "detail": found["msg"].removeprefix("Value error, ") + _hint(found["type"], found["loc"], model),
            "code": found["type"],
        }
        for found in listed[:_MOST]
    ]


def sentence(found: list[dict[str, Any]]) -> str:
    """Return the first findings in one line."""
    return "; ".join(f"{each['field'] or 'body'}: {each['detail']}" for each in found[:_MOST_IN_A_SENTENCE])


def suggestion(name: str, known: Collection[str]) -> str:
    """Return a hint with the known name that is closest to a misspelt one; empty if none is close."""
    # A longer name is no misspelling, and would take long to compare.
    close = get_close_matches(name, known, n=1) if len(name) <= _LONGEST_NAME else []
    return f"; did you mean {close[0]}?" if close else ""


def names_beside(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Return the names that a model has at the place of an error, below its parts."""
    known: type[BaseModel] | None = model
    for part in location[:-1]:
        # A part that is no field is the key or the number of an item: the items' model is known already.
        if known is not None and part in known.model_fields:
            known = _model_in(known.model_fields[str(part)].annotation)
    return [] if known is None else [each.alias or name for name, each in known.model_fields.items()]


def _hint(kind: str, location: Sequence[int | str], model: type[BaseModel]) -> str:
    return suggestion(str(location[-1]), names_beside(model, location)) if kind == "extra_forbidden" else ""


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a type is, or is made of: an optional one, or that of the items."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def shown(name: str) -> str:
    """Return a name from a request in a form that is safe to repeat: short, and ASCII only."""
    return name[:_LONGEST_NAME].encode("ascii", "backslashreplace").decode()
