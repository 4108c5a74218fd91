"""Declarations of routes: path, access, request and response models in one place.

The checks at run time and the OpenAPI document are both made from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Required, TypeVar, Unpack

from flask import Flask, Response, request
from typing_extensions import TypedDict
from werkzeug.routing import BaseConverter

from algosat.api.access import Access
from algosat.api.headers import RequestHeader
from algosat.api.request_models import Input, body_of, query_of
from algosat.api.responses import json_answer
from algosat.errors import AlgosatError

Handler = TypeVar("Handler", bound=Callable[..., Any])

_PARAMETER: Final = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route, as its module declares it."""

    method: str
    rule: str  # in Werkzeug's form: /orders/<order:order_id>
    handler: Callable[..., Any]
    access: Access
    answer: Any  # model of the response body; None without one
    status: int = 200
    also: tuple[int, ...] = ()  # other statuses with the same body
    query: type[Input] | None = None
    body: type[Input] | None = None
    body_optional: bool = False
    limited: bool = True  # whether requests count towards the client's rate limit; exits do not
    headers: tuple[RequestHeader, ...] = ()  # request headers that the handler reads
    sets: tuple[str, ...] = ()  # response headers that the handler sets
    content: Mapping[str, Any] = field(default_factory=dict)  # other content types, each with an example
    errors: tuple[type[AlgosatError], ...] = ()  # besides those that any route can answer with

    @property
    def path(self) -> str:
        """The path template, as in OpenAPI, metrics and the inventory."""
        return _PARAMETER.sub(lambda found: "{" + found["name"] + "}", self.rule)

    @property
    def parameters(self) -> dict[str, str]:
        """Name and converter of each path parameter."""
        return {found["name"]: found["kind"] or "default" for found in _PARAMETER.finditer(self.rule)}

    @property
    def endpoint(self) -> str:
        return f"{self.method} {self.path}"


class Statement(TypedDict, total=False):
    """Declaration of a route besides method and path. Access and answer have no default."""

    access: Required[Access]
    answer: Required[Any]
    status: int
    also: tuple[int, ...]
    query: type[Input]
    body: type[Input]
    body_optional: bool
    limited: bool
    headers: tuple[RequestHeader, ...]
    sets: tuple[str, ...]
    content: Mapping[str, Any]
    errors: tuple[type[AlgosatError], ...]


class Routes:
    """The routes of one module. Modules of one area share its tag in the OpenAPI document."""

    def __init__(self, area: str, description: str = "") -> None:
        self.area = area
        self.description = description
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def get(self, rule: str, **stated: Unpack[Statement]) -> Callable[[Handler], Handler]:
        return self._add("GET", rule, stated)

    def post(self, rule: str, **stated: Unpack[Statement]) -> Callable[[Handler], Handler]:
        return self._add("POST", rule, stated)

    def put(self, rule: str, **stated: Unpack[Statement]) -> Callable[[Handler], Handler]:
        return self._add("PUT", rule, stated)

    def patch(self, rule: str, **stated: Unpack[Statement]) -> Callable[[Handler], Handler]:
        return self._add("PATCH", rule, stated)

    def delete(self, rule: str, **stated: Unpack[Statement]) -> Callable[[Handler], Handler]:
        return self._add("DELETE", rule, stated)

    def _add(self, method: str, rule: str, stated: Statement) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self._routes.append(Route(method=method, rule=rule, handler=handler, **stated))
            return handler

        return register


class _Symbol(BaseConverter):
    regex = r"[A-Za-z0-9][A-Za-z0-9&._:-]{0,63}"


class _Order(BaseConverter):
    regex = r"a[a-z0-9]{17}"


class _Number(BaseConverter):
    regex = r"[1-9][0-9]{0,17}"


class _Date(BaseConverter):
    regex = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


class _Close(BaseConverter):
    regex = r"c[a-z0-9]{17}"


class _Conversion(BaseConverter):
    regex = r"v[a-z0-9]{17}"


class _Name(BaseConverter):
    regex = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"


CONVERTERS: Final[dict[str, type[BaseConverter]]] = {
    "symbol": _Symbol,
    "order": _Order,
    "number": _Number,
    "date": _Date,
    "close": _Close,
    "conversion": _Conversion,
    "name": _Name,
}


def prepare(app: Flask) -> None:
    """Configure the URL map: one path for each route, no redirects, no automatic OPTIONS."""
    app.url_map.converters.update(CONVERTERS)
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False


def register(app: Flask, route: Route) -> None:
    """Add a route to the application."""
    app.add_url_rule(route.rule, endpoint=route.endpoint, view_func=_view(route), methods=[route.method])


def _view(route: Route) -> Callable[..., Response]:
    handler, status, query, body, optional = (
        route.handler, route.status, route.query, route.body, route.body_optional,
    )  # fmt: skip

    def view(**values: Any) -> Response:
        incoming = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - the proxy takes longer
        parameters = query_of(incoming, query)
        if parameters is not None:
            values["query"] = parameters
        if body is not None:
            values["body"] = body_of(incoming, body, optional=optional)
        result = handler(**values)
        return result if isinstance(result, Response) else json_answer(result, status)

    return view
