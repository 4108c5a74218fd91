"""The OpenAPI document and a page to try it. The page brings all it needs: no other server is asked."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import orjson
from flask import Response

from algosat.api.access import Access
from algosat.api.media import JSON
from algosat.api.openapi import document
from algosat.api.routes import Routes

routes = Routes("documentation", "The OpenAPI document, and a page to try the API.")

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES: Final = {"docs.html": "text/html", "docs.js": "text/javascript", "docs.css": "text/css"}


@routes.get("/openapi.json", access=Access.OPEN, answer=None, content={JSON: {"openapi": "3.1.0"}})
def openapi() -> Response:
    """The OpenAPI document"""
    return Response(_document(), content_type=JSON)


@routes.get("/docs", access=Access.OPEN, answer=None, content={"text/html": "<!doctype html>"})
def docs() -> Response:
    """A page to read the document, and to try every route"""
    return _file("docs.html")


@routes.get("/docs/docs.js", access=Access.PUBLIC, answer=None, content={"text/javascript": '"use strict";'})
def docs_script() -> Response:
    """The page's script"""
    return _file("docs.js")


@routes.get("/docs/docs.css", access=Access.PUBLIC, answer=None, content={"text/css": "body { margin: 0 }"})
def docs_style() -> Response:
    """The page's style"""
    return _file("docs.css")


def _file(name: str) -> Response:
    text = files("algosat.api").joinpath("static", name).read_text(encoding="utf-8")
    return Response(
        text, content_type=f"{_TYPES[name]}; charset=utf-8", headers={"Content-Security-Policy": _POLICY}
    )


@cache
def _document() -> bytes:
    from algosat.api.all_routes import AREAS  # it names these routes too

    return orjson.dumps(document(AREAS))
