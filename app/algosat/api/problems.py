"""One way for every error: RFC 9457 problem details, with the id under which the log has more."""

from __future__ import annotations

from typing import Any, Final

import structlog
from flask import Response
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from typing_extensions import TypedDict
from werkzeug.exceptions import HTTPException

from algosat.api.media import PROBLEM
from algosat.api.responses import json_answer
from algosat.errors import AlgosatError, Severity, StoreBusy
from algosat.monitoring import correlation, metrics

_log = structlog.get_logger(__name__)


class Finding(TypedDict, total=False):
    field: str
    detail: str
    code: str


class Problem(TypedDict):
    type: str
    title: str
    status: int
    detail: str
    code: str
    correlation_id: str
    errors: list[Finding]


_STORE_TROUBLE: Final = (OperationalError, InterfaceError, PoolTimeout)

# What Werkzeug raises by itself, in our words: code, title, detail.
_HTTP: Final = {
    400: ("invalid_request", "The request cannot be understood", "The request is not well formed"),
    404: ("not_found", "There is no such thing", "There is no such route; /openapi.json lists them all"),
    405: (
        "method_not_allowed",
        "The route does not know this method",
        "The header Allow names those it knows",
    ),
    413: ("body_too_large", "The body is too large", "The body exceeds what this server takes"),
}


def answer_to(error: Exception) -> Response:
    """The answer to whatever was raised. What is our own fault is logged, with its trace, and not shown."""
    if isinstance(error, _STORE_TROUBLE):
        _log.error("store_trouble", exc_info=error)
        error = StoreBusy("The store does not answer; try again shortly")
    if isinstance(error, AlgosatError):
        return _of_ours(error)
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return _of_http(error, error.code)
    _log.critical("unexpected_error", exc_info=error)
    return _of_ours(AlgosatError("Something broke here; the log has it under this correlation id"))


def _of_ours(error: AlgosatError) -> Response:
    if error.status >= 500:
        _log.error("request_failed", code=error.reported_code, detail=error.detail)
    return _problem(
        error.status,
        error.reported_code,
        error.title,
        error.detail,
        error.severity,
        error.errors,
        error.headers,
    )


def _of_http(error: HTTPException, status: int) -> Response:
    unnamed = (f"http_{status}", error.name, error.description or error.name)
    code, title, detail = _HTTP.get(status, unnamed)
    kept = {
        name: value for name, value in error.get_headers() if name not in ("Content-Type", "Content-Length")
    }
    return _problem(status, code, title, detail, Severity.INFO, [], kept)


def _problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    severity: Severity,
    errors: list[dict[str, Any]],
    headers: dict[str, str],
) -> Response:
    metrics.ERRORS.labels(code, severity.value).inc()
    problem = {
        "type": f"urn:algosat:error:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "correlation_id": correlation.current.get(),
        "errors": errors,
    }
    return json_answer(problem, status, headers, PROBLEM)
