"""The OpenAPI document and a page to try the API. The page loads nothing from other servers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import orjson
from flask import Response

from algosat.api.access import Access
from algosat.api.openapi import document
from algosat.api.responses import JSON
from algosat.api.routes import Routes

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def documentation_of(areas: Sequence[Routes]) -> Routes:
    """Return the routes that document the areas, and themselves."""
    routes = Routes("documentation", "The OpenAPI document, and a page to try the API.")

    @cache
    def made() -> bytes:
        return orjson.dumps(document([*areas, routes]))

    @routes.get("/openapi.json", access=Access.OPEN, answer=None, content={JSON: {"openapi": "3.1.0"}})
    def openapi() -> Response:
        """Read the OpenAPI document"""
        return Response(made(), content_type=JSON)

    @routes.get("/docs", access=Access.OPEN, answer=None, content={"text/html": "<!doctype html>"})
    def docs() -> Response:
        """Open a page to read the document and try every route"""
        return _file("docs.html", "text/html")

    @routes.get(
        "/docs/docs.js", access=Access.PUBLIC, answer=None, content={"text/javascript": '"use strict";'}
    )
    def docs_script() -> Response:
        """Read the script of the page"""
        return _file("docs.js", "text/javascript")

    @routes.get(
        "/docs/docs.css", access=Access.PUBLIC, answer=None, content={"text/css": "body { margin: 0 }"}
    )
    def docs_style() -> Response:
        """Read the style sheet of the page"""
        return _file("docs.css", "text/css")

    return routes


def _file(name: str, content_type: str) -> Response:
    text = files("algosat.api").joinpath("static", name).read_text(encoding="utf-8")
    return Response(
        text, content_type=f"{content_type}; charset=utf-8", headers={"Content-Security-Policy": _POLICY}
    )
