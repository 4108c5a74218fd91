"""The Idempotency-Key header, with which a repeated request is not executed twice."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import orjson
from flask import Response, request

from algosat.api.context import caller
from algosat.api.headers import REQUIRED_KEY
from algosat.api.order_views import order_view
from algosat.api.pages import page
from algosat.api.request_models import Input
from algosat.api.responses import as_text, json_answer
from algosat.errors import KeyMalformed, KeyMissing
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed

_HEADER: Final = REQUIRED_KEY.name
_FORM: Final = re.compile(r"[!-~]{1,255}")


def required_key(operation: str, body: Input, *, waits: bool = False) -> IdempotencyKey:
    """Return the request's key. Raises KeyMissing or KeyMalformed."""
    key = optional_key(operation, body, waits=waits)
    if key is None:
        raise KeyMissing(
            f"Send the header {_HEADER} with a key of your own (a UUID, for example). If no response comes, "
            "repeat the request with the same key: the order is not placed twice"
        )
    return key


def optional_key(operation: str, body: Input, *, waits: bool = False) -> IdempotencyKey | None:
    """Return the request's key, or None without one. Raises KeyMalformed."""
    offered = request.headers.get(_HEADER)
    if offered is None:
        return None
    if not _FORM.fullmatch(offered):
        raise KeyMalformed(f"{_HEADER} has 1 to 255 visible ASCII characters")
    return IdempotencyKey(caller().actor, offered, _hash(operation, body), waits)


def replay_header(placed: Placed) -> dict[str, str]:
    """Return the header that marks a repeated response."""
    return {"Idempotency-Replayed": "true"} if placed.replayed else {}


def all_placed(placed: Placed) -> Response:
    """Return the response for several orders. It does not wait for the broker."""
    views = (order_view(order) for order in placed.orders)
    return json_answer(page(views, None), 201, replay_header(placed))


def _hash(operation: str, body: Input) -> str:
    """Return a hash of the operation and the parsed body; formatting of the body does not matter."""
    meant = orjson.dumps([operation, body.model_dump()], default=as_text, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(meant).hexdigest()
