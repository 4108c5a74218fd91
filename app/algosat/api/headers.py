"""Request headers that routes read and response headers they set, as the OpenAPI document describes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from algosat.errors import AlgosatError, KeyMalformed, KeyMissing, KeyReused


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """A request header, the errors a wrong value leads to, and the response headers it brings."""

    name: str
    description: str
    schema: dict[str, Any]
    example: str
    required: bool = False
    errors: tuple[type[AlgosatError], ...] = ()
    answered_by: tuple[str, ...] = ()


REQUIRED_KEY: Final = RequestHeader(
    "Idempotency-Key",
    "A key of your own, new for each intended order. Repeating the request with the same key returns the "
    "first response again and places nothing.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "6f1c1f0e-4a52-4f6e-9d7b-2f8a1f1b9c55",
    required=True,
    errors=(KeyMissing, KeyMalformed, KeyReused),
    answered_by=("Idempotency-Replayed",),
)
OPTIONAL_KEY: Final = replace(REQUIRED_KEY, required=False, errors=(KeyMalformed, KeyReused))
PREFER: Final = RequestHeader(
    "Prefer",
    "`wait=SECONDS`: how long to wait for the broker's acknowledgement (0 to 30). Without it, the setting "
    "`api.order_wait_seconds` applies.",
    {"type": "string", "maxLength": 64},
    "wait=2",
)
PREFER_CLOSED: Final = replace(
    PREFER,
    description="`wait=SECONDS`: how long to wait until the close is finished, needs a person, or waits for "
    "the next open (0 to 30). Without it, the response does not wait.",
)
PREFER_CONVERTED: Final = replace(
    PREFER,
    description="`wait=SECONDS`: how long to wait until the outcome of the conversion is known (0 to 30). "
    "Without it, the response does not wait.",
)

RESPONSE_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-ID": {
        "description": "Correlation id of the request, as in the log and in `correlation_id` of a problem. "
        "A request may bring its own: 8 to 64 letters, digits, `.`, `_` or `-`.",
        "required": True,
        "schema": {"type": "string", "minLength": 8, "maxLength": 64},
        "example": "4bf92f3577b34da6a3ce929d0e0e4736",
    },
    "Location": {
        "description": "Path of the order, close or conversion.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/orders/a7k2m4q6s3u5w7y2b4",
    },
    "Idempotency-Replayed": {
        "description": "`true` if the response repeats that of an earlier request with the same key.",
        "schema": {"type": "string", "enum": ["true"]},
        "example": "true",
    },
    "Retry-After": {
        "description": "Seconds to wait before the next request.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 12,
    },
    "WWW-Authenticate": {
        "description": '`Bearer`, with `error="invalid_token"` if a token was sent and refused. Absent if a '
        "username or password in the body was wrong.",
        "schema": {"type": "string"},
        "example": "Bearer",
    },
}
