"""Idempotency-Key: a request that is repeated is not done twice."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import Any, Final

import orjson
from flask import Response, request

from algosat.api.context import caller
from algosat.api.order_views import order_view
from algosat.api.pages import page
from algosat.api.request_models import Input
from algosat.api.responses import json_answer
from algosat.errors import InvalidRequest
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed

HEADER: Final = "Idempotency-Key"

_FORM: Final = re.compile(r"[!-~]{1,255}")


def required_key(operation: str, body: Input, *, waits: bool = False) -> IdempotencyKey:
    """The key of this request. Raises InvalidRequest when there is none, or none we can keep."""
    key = optional_key(operation, body, waits=waits)
    if key is None:
        raise InvalidRequest(
            f"Send the header {HEADER} with an id of your own for this intent (a UUID, say); repeat the "
            "request with the same one when no answer came, and it is not done twice",
            code="idempotency_key_missing",
        )
    return key


def optional_key(operation: str, body: Input, *, waits: bool = False) -> IdempotencyKey | None:
    offered = request.headers.get(HEADER)
    if offered is None:
        return None
    if not _FORM.fullmatch(offered):
        raise InvalidRequest(
            f"{HEADER} has 1 to 255 visible ASCII characters", code="idempotency_key_malformed"
        )
    return IdempotencyKey(caller().actor, offered, _hash(operation, body), waits)


def replay_header(placed: Placed) -> dict[str, str]:
    """Says of an answer that it is the one of before."""
    return {"Idempotency-Replayed": "true"} if placed.replayed else {}


def all_placed(placed: Placed) -> Response:
    """Several orders as they were placed: the answer does not wait for the broker."""
    views = (order_view(order) for order in placed.orders)
    return json_answer(page(views, None), 201, replay_header(placed))


def _hash(operation: str, body: Input) -> str:
    """Equal for bodies that mean the same, however they were written."""
    meant = orjson.dumps([operation, body.model_dump()], default=_plain, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(meant).hexdigest()


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    raise TypeError(type(value).__name__)
