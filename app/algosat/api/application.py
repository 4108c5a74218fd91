"""The Flask application: no features that this API does not use, and headers on every response."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Request

from algosat.api.route_policy import RoutePolicy
from algosat.monitoring import correlation
from algosat.security.principals import Principal
from algosat.trading.desk import Desk

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_POLICY: Final = "Content-Security-Policy"
_HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
_CLOSED: Final = (_POLICY, "default-src 'none'; frame-ancestors 'none'")


class ApiRequest(Request):
    """A request with its caller and policy: attributes, because `flask.g` costs ten times as much."""

    started: float
    policy: RoutePolicy
    caller: Principal | None = None
    desk: Desk | None = None  # of the account that the request is about


class Application(Flask):
    request_class = ApiRequest

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func  # no handler is async, and the check would cost time in every hook of a request

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Add headers after Werkzeug has written its own: there a header costs a tenth."""
        request_id = correlation.begin(environ.get("HTTP_X_REQUEST_ID"))

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if not any(name == _POLICY for name, _ in headers):
                headers.append(_CLOSED)
            headers.extend(_HEADERS)
            headers.append(("X-Request-ID", request_id))
            return start_response(status, headers, *rest)

        return super().wsgi_app(environ, start)
