"""Response bodies: JSON by orjson, decimals as strings, times in UTC."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import orjson
from flask import Response
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from algosat.domain.decimals import to_text

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"


@with_config(ConfigDict(use_attribute_docstrings=True))
class Output(TypedDict):
    """Base of response bodies. The string below a field describes it in the OpenAPI document."""


def json_answer(
    data: Any, status: int = 200, headers: dict[str, str] | None = None, content_type: str = JSON
) -> Response:
    """Return a response with `data` as its JSON body."""
    body = orjson.dumps(data, default=as_text, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, content_type=content_type)


def as_text(value: object) -> str:
    """Return a decimal as JSON text. orjson calls it for types it does not know."""
    if isinstance(value, Decimal):
        # 97.50 from a request and 97.5 from the store are the same amount and look the same.
        return to_text(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
