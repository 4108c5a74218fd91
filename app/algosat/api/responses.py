"""Answers: JSON by orjson, money as strings, times in UTC."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
from flask import Response
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from algosat.api.media import JSON


@with_config(ConfigDict(use_attribute_docstrings=True))
class Output(TypedDict):
    """Base of response bodies. The string below a field describes it in the OpenAPI document."""


def json_answer(
    data: Any, status: int = 200, headers: dict[str, str] | None = None, content_type: str = JSON
) -> Response:
    body = orjson.dumps(data, default=_plain, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, content_type=content_type)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        # 97.50 as it was made and 97.5 as it was stored are one amount, and are written alike.
        return format(value.normalize(), "f")
    raise TypeError(f"{type(value).__name__} has no form in JSON")
