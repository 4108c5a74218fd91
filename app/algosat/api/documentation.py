"""The OpenAPI document and a page to try it. The page brings all it needs: no other server is asked."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from flask import Response

from algosat.api.access import Access
from algosat.api.openapi import document
from algosat.api.responses import json_answer
from algosat.api.routes import Routes
from algosat.domain.risk import DenialCode

routes = Routes("documentation")

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES: Final = {"docs.html": "text/html", "docs.js": "text/javascript", "docs.css": "text/css"}


@routes.get("/openapi.json", access=Access.OPEN, answer=None)
def openapi() -> Response:
    """This document"""
    return json_answer(_document())


@routes.get("/docs", access=Access.OPEN, answer=None)
def docs() -> Response:
    """A page to read the document, and to try every route"""
    return _file("docs.html")


@routes.get("/docs/docs.js", access=Access.PUBLIC, answer=None)
def docs_script() -> Response:
    """The page's script"""
    return _file("docs.js")


@routes.get("/docs/docs.css", access=Access.PUBLIC, answer=None)
def docs_style() -> Response:
    """The page's style"""
    return _file("docs.css")


def _file(name: str) -> Response:
    text = files("algosat.api").joinpath("static", name).read_text(encoding="utf-8")
    return Response(
        text, content_type=f"{_TYPES[name]}; charset=utf-8", headers={"Content-Security-Policy": _POLICY}
    )


@cache
def _document() -> dict[str, object]:
    from algosat.api.all_routes import AREAS  # it names these routes too

    return document(AREAS, {code.value: code.help_text for code in DenialCode})
