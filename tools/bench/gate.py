"""The time that the API adds to a request before its handler, in one process and without a server."""

from __future__ import annotations

import io
import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

import structlog
from flask import Flask

from algosat.api.all_routes import ROUTES
from algosat.api.context import NAME
from algosat.api.orders import NewOrder
from algosat.api.routes import prepare, register
from algosat.app import create_app
from algosat.config.loader import load
from tools.bench.bare import application
from tools.bench.report import Figure, in_turns
from tools.bench.rig import PASSWORD, USER, Rig

_ENDPOINT: Final = "POST /orders"
_REQUESTS: Final = 200  # timed together, so that reading the clock does not count
_ROUNDS: Final = 25
_BODY: Final = json.dumps(
    {"symbol": "ALPHA-EQ", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "184.00"}
).encode()


def figure(rig: Rig) -> Figure:
    """Measure the API's work before a handler against a bare Flask JSON route."""
    structlog.configure(processors=[structlog.processors.JSONRenderer(), _swallow])
    app = create_app(load(rig.configuration), rig.configuration)
    token = _log_in(app)
    app.view_functions[_ENDPOINT] = _echoing_view()
    try:
        ours, bare = _asking(app, token), _asking(application(), token)
        seconds = [in_turns((ours, bare), 1) for _ in range(_ROUNDS)]
    finally:
        app.extensions[NAME].close()
        structlog.reset_defaults()
    ratio = statistics.median(a / b for a, b in seconds)
    micro = [statistics.median(each) / _REQUESTS * 1e6 for each in zip(*seconds, strict=True)]
    return Figure(
        "authentication, limit, metrics and validation of a request, against a bare Flask JSON route",
        f"{micro[0]:.0f} µs against {micro[1]:.0f} µs: {ratio:.2f}×",
        "≤ 3.5× (stretch 2×)",
        ratio <= 3.5,
    )


def _echoing_view() -> Callable[..., Any]:
    """Return the view of the real route with a handler that does no more than the bare one's."""

    def echo(body: NewOrder) -> dict[str, Any]:
        return {"symbol": body.symbol, "side": body.side, "quantity": body.quantity}

    (route,) = (each for each in ROUTES if each.endpoint == _ENDPOINT)
    scratch = Flask("scratch", static_folder=None)
    prepare(scratch)
    register(scratch, replace(route, handler=echo, status=200))
    return scratch.view_functions[_ENDPOINT]


def _log_in(app: Flask) -> str:
    answer = app.test_client().post("/auth/login", json={"username": USER, "password": PASSWORD})
    if answer.json is None or answer.status_code != 200:
        raise SystemExit(f"the bench's own login was answered {answer.status_code}")
    return str(answer.json["access_token"])


def _asking(app: Flask, token: str) -> Callable[[], None]:
    """Return a call of the application as a server makes it, with a prepared request."""
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/orders", "SCRIPT_NAME": "", "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1", "HTTP_AUTHORIZATION": f"Bearer {token}",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(_BODY)),
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.multithread": True,
    }  # fmt: skip

    def ask() -> None:
        statuses: list[str] = []

        def start(status: str, *_: object) -> Callable[[bytes], object]:
            statuses.append(status)
            return statuses.append  # type: ignore[return-value]  # unused

        for _ in range(_REQUESTS):
            _exhaust(app({**environ, "wsgi.input": io.BytesIO(_BODY)}, start))
        if statuses != ["200 OK"] * _REQUESTS:
            raise SystemExit(f"the bench's own requests were answered {sorted(set(statuses))}")

    return ask


def _exhaust(body: Iterable[bytes]) -> None:
    for _ in body:
        pass
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _swallow(*_: object) -> str:
    raise structlog.DropEvent
