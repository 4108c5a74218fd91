"""Error responses: RFC 9457 problem details with the correlation id of the log."""

from __future__ import annotations

import traceback
from typing import Annotated, Any, Final, NotRequired

import structlog
from flask import Response
from pydantic import Field
from werkzeug.exceptions import HTTPException

from algosat.api.fields import CorrelationId
from algosat.api.responses import PROBLEM, Output, json_answer
from algosat.errors import (
    AlgosatError,
    BodyTooLarge,
    ErrorSeverity,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
)
from algosat.monitoring import correlation, metrics
from algosat.resilience.error_log import classified

_log = structlog.get_logger(__name__)


class FieldError(Output, total=False):
    """One invalid field."""

    field: Annotated[str, Field(examples=["quantity"])]
    """Path of the field, its parts joined by dots."""
    detail: Annotated[str, Field(examples=["Field required"])]
    """Why the value is invalid, or why the leg was denied."""
    code: Annotated[str, Field(examples=["missing"])]
    """Name of the validation rule that failed, or code of the denial."""


class ExceptionDetails(Output):
    """The Python exception behind a server error."""

    type: Annotated[str, Field(examples=["ZeroDivisionError"])]
    """Class of the exception."""
    message: Annotated[str, Field(examples=["division by zero"])]
    """Message of the exception."""
    traceback: Annotated[list[str], Field(examples=[["Traceback (most recent call last):"]])]
    """Lines of the traceback, causes included."""


class Problem(Output):
    """An error as RFC 9457 problem details."""

    type: Annotated[str, Field(examples=["urn:algosat:error:not_found"])]
    """`urn:algosat:error:` and the code."""
    title: Annotated[str, Field(examples=["Not found"])]
    """Summary, the same for every error with this code."""
    status: Annotated[int, Field(examples=[404])]
    """HTTP status."""
    detail: Annotated[str, Field(examples=["there is no order a7k2m4q6s3u5w7y2b4"])]
    """Why this request failed, with the remedy."""
    code: Annotated[str, Field(examples=["not_found"])]
    """Stable name of the error for programs."""
    correlation_id: CorrelationId
    errors: list[FieldError]
    """Every invalid field of the request, or every denied leg of a basket; empty for other errors."""
    exception: NotRequired[ExceptionDetails]
    """Exception of a server error. Only admins get it, and only with the setting `debug` on."""


# The error class and detail for each status that Werkzeug raises by itself.
_HTTP: Final[dict[int, tuple[type[AlgosatError], str]]] = {
    400: (InvalidRequest, "The request is not well formed"),
    404: (NotFound, "There is no such route; /openapi.json lists them all"),
    405: (MethodNotAllowed, "The header Allow lists the methods of this route"),
    413: (BodyTooLarge, "The body is larger than this server accepts"),
}


def answer_to(error: Exception, *, show_exception: bool = False) -> Response:
    """Return the response to an exception.

    A server error is logged with its traceback; `show_exception` adds the traceback to the response. The
    error log counts it, and this function counts all others.
    """
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return _of_http(error, error.code)
    known = classified(error)
    if isinstance(known, InternalError):
        _log.critical("unexpected_error", exc_info=error)
    elif known is not error:
        _log.error("store_trouble", exc_info=error)
    return _of_ours(known, error if show_exception and known.status >= 500 else None)


def _of_ours(error: AlgosatError, shown: Exception | None) -> Response:
    if error.status >= 500:
        # With the exception behind it, which names files and shows SQL: the answer does not.
        _log.error("request_failed", code=error.reported_code, detail=error.detail, exc_info=error.__cause__)
    problem = _problem(error.status, error.reported_code, error.title, error.detail, error.errors)
    if shown is not None:
        problem["exception"] = _exception_view(shown)
    return _answer(problem, error.severity, error.headers)


def _of_http(error: HTTPException, status: int) -> Response:
    code, title, detail = f"http_{status}", error.name, error.description or error.name
    if status in _HTTP:
        known, detail = _HTTP[status]
        code, title = known.code, known.title
    kept = {
        name: value for name, value in error.get_headers() if name not in ("Content-Type", "Content-Length")
    }
    return _answer(_problem(status, code, title, detail, []), ErrorSeverity.LOW, kept)


def _problem(status: int, code: str, title: str, detail: str, errors: list[Any]) -> Problem:
    return {
        "type": f"urn:algosat:error:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "correlation_id": correlation.current.get(),
        "errors": errors,
    }


def _exception_view(error: Exception) -> ExceptionDetails:
    return {
        "type": type(error).__qualname__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)).splitlines(),
    }


def _answer(problem: Problem, severity: ErrorSeverity, headers: dict[str, str]) -> Response:
    if problem["status"] < 500:
        metrics.ERRORS.labels(problem["code"], severity.value).inc()
    return json_answer(problem, problem["status"], headers, PROBLEM)
