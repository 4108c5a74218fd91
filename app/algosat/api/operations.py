"""One operation of the OpenAPI document, from what its route states."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from pydantic import TypeAdapter

from algosat.api import media
from algosat.api.access import Access
from algosat.api.routes import CONVERTERS, Route
from algosat.errors import AlgosatError

BODY: Final = "body"
ANSWER: Final = "answer"
PROBLEM: Final = ("problem", ANSWER)

Schemas = Mapping[tuple[str, str], Any]  # by endpoint, and BODY or ANSWER

_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Idempotency-Key": {
        "required": True,
        "description": "Yours, new for each intent. Repeating it repeats the answer, never the order.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
    "Prefer": {
        "required": False,
        "description": "`wait=SECONDS`: how long to wait for the broker's first word (0 to 30).",
        "schema": {"type": "string", "maxLength": 64, "examples": ["wait=2"]},
    },
}

# What any route may answer beside its own: the status, and when.
_ALWAYS: Final = {429: "Too many requests; `Retry-After` says when to come back", 500: "Our own fault"}


def operation(area: str, route: Route, schemas: Schemas) -> dict[str, Any]:
    """One route as the document has it; `schemas` holds those of all bodies and answers."""
    text = (route.handler.__doc__ or "").strip()
    summary, _, rest = text.partition("\n\n")
    described: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": " ".join(summary.split()),
        "tags": [area],
        "x-access": route.access.value,
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": _responses(route, schemas),
    }
    if rest:
        described["description"] = " ".join(rest.split())
    if route.body is not None:
        described["requestBody"] = {
            "required": not route.body_optional,
            "content": {media.JSON: {"schema": schemas[route.endpoint, BODY]}},
        }
    if route.access is not Access.PUBLIC:
        described["security"] = [{"bearer": []}] if route.access is not Access.OPEN else [{"bearer": []}, {}]
    return described


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(kind)}
        for name, kind in route.parameters.items()
    ]


def _path_schema(kind: str) -> dict[str, Any]:
    if kind == "uuid":
        return {"type": "string", "format": "uuid"}
    return {"type": "string", "pattern": f"^{CONVERTERS[kind].regex}$"}


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = TypeAdapter(route.query).json_schema()
    definitions = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "schema": _inlined(_without_null(field), definitions),
        }
        for name, field in schema["properties"].items()
    ]


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out; it cannot be sent as null."""
    kept = {key: value for key, value in field.items() if key not in ("anyOf", "default", "title")}
    for option in field.get("anyOf", []):
        if option.get("type") != "null":
            kept.update(option)
    if field.get("default") is not None:
        kept["default"] = field["default"]
    return kept


def _inlined(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = field.pop("$ref", None)
    return field if reference is None else {**definitions[reference.rsplit("/", 1)[1]], **field}


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    return [{"name": name, "in": "header", **_HEADERS[name]} for name in route.headers]


def _responses(route: Route, schemas: Schemas) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.answer is not None:
        success["content"] = {media.JSON: {"schema": schemas[route.endpoint, ANSWER]}}
    problem = {media.PROBLEM: {"schema": schemas[PROBLEM]}}
    failures = {
        status: {"description": text, "content": problem} for status, text in _failures(route).items()
    }
    successes = dict.fromkeys((route.status, *route.also), success)
    return {str(status): answer for status, answer in sorted({**failures, **successes}.items())}


def _failures(route: Route) -> dict[int, str]:
    failures = dict(_ALWAYS)
    if route.query is not None or route.parameters:
        failures[400] = "The request cannot be understood"
    if route.body is not None:
        failures[400] = "The body is not JSON"
        failures[413] = "The body is too large"
        failures[415] = "The body is not sent as JSON"
        failures[422] = "The body does not fit its schema"
    if route.parameters:
        failures[404] = "There is no such thing"
    if route.access is not Access.PUBLIC:
        failures[401] = "A valid token is needed"
        failures[403] = "The caller's role does not suffice"
    for error in route.errors:
        failures[error.status] = _joined(failures.get(error.status), error)
    failures[503] = "The store does not answer; try again shortly"
    return failures


def _joined(text: str | None, error: type[AlgosatError]) -> str:
    return error.title if text is None or text == error.title else f"{text}; or: {error.title.lower()}"
