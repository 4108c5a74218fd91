"""The OpenAPI 3.1 document, made from the declarations of the routes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from importlib.metadata import version
from itertools import chain
from typing import Any, Final

from algosat.api.access import Access
from algosat.api.headers import RESPONSE_HEADERS
from algosat.api.problem_codes import ProblemCode, problem_codes
from algosat.api.problems import Problem
from algosat.api.responses import JSON, PROBLEM
from algosat.api.routes import CONVERTERS, Route, Routes
from algosat.api.schemas import REFERENCE, Schemas
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.reason_codes import Code, EngineCode
from algosat.domain.risk import DenialCode
from algosat.errors import Denied

_EVERYWHERE: Final = ("X-Request-ID",)
_BY_STATUS: Final = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}

_RAW: Final[dict[type, dict[str, Any]]] = {
    str: {"type": "string"},
    dict: {"type": "object", "additionalProperties": True},
}
_PATH_PARAMETERS: Final[dict[str, tuple[str, str]]] = {
    "symbol": ("Symbol of the instrument.", "ALPHA-EQ"),
    "account": ("Trading account.", "paper"),
    "currency": ("Currency of accounts, in lower or upper case.", "inr"),
    "order_id": ("Id of the order.", "a7k2m4q6s3u5w7y2b4"),
    "close_id": ("Id of the close.", "c3m5p7r2t4v6x2z4b6"),
    "conversion_id": ("Id of the conversion.", "v4k2m4q6s3u5w7y2b4"),
    "session_id": ("Id of the login session.", "0f8c6a52-6f0b-4f0e-8a55-3f1f0d6f2c11"),
    "day": ("The day, in exchange time.", "2027-10-29"),
    "alert_id": ("Id of the alert.", "7"),
    "name": ("Name of the user or strategy.", "opening-range"),
}


def document(areas: Sequence[Routes]) -> dict[str, Any]:
    """Return the whole document."""
    routes = [route for area in areas for route in area]
    schemas = Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for area in areas:
        for route in area:
            described = _operation(area.area, route, schemas)
            paths.setdefault(route.path, {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Algosat",
            "version": version("algosat"),
            "description": _description(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": _tags(areas),
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "headers": RESPONSE_HEADERS,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Access token from `POST /auth/login`.",
                }
            },
        },
    }


def _description() -> str:
    return (
        "Errors are `application/problem+json` (RFC 9457) with a `code` for programs and a `correlation_id`, "
        "under which the log has more. Money, prices and quantities are strings in responses, so that they "
        "stay exact. Times are UTC.\n\n"
        "If the gate denies an order, the response is 422 with one of these codes:\n\n"
        f"{_listed(DenialCode)}\n\n"
        "If the engine rejects an order, or gives up a cancel or modify request, `code` of the order is one "
        f"of these. Other codes in this field are the broker's own:\n\n{_listed(EngineCode)}\n\n"
        f"Kinds of alerts in `/alerts` (the runbook says what to do about each):\n\n{_listed(AlertKind)}"
    )


def _listed(codes: Iterable[Code | AlertKind]) -> str:
    return "\n".join(f"- `{code.value}`: {code.help_text}" for code in codes)


def _tags(areas: Iterable[Routes]) -> list[dict[str, str]]:
    described: dict[str, str] = {}
    for area in areas:
        described[area.area] = described.get(area.area) or area.description
    return [{"name": name, "description": text} for name, text in described.items()]


def _operation(area: str, route: Route, schemas: Schemas) -> dict[str, Any]:
    summary, _, rest = (route.handler.__doc__ or "").strip().partition("\n\n")
    described: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": " ".join(summary.split()),
        "tags": [area],
        "x-access": route.access.value,
        "parameters": [
            *_path_parameters(route),
            *_query_parameters(route, schemas),
            *_header_parameters(route),
        ],
        "responses": _responses(route, schemas),
    }
    if rest:
        described["description"] = " ".join(rest.split())
    if route.body is not None:
        schema = schemas.of(route.body)
        content = {"schema": schema, "example": schemas.example(schema, body=True)}
        described["requestBody"] = {"required": not route.body_optional, "content": {JSON: content}}
    if route.access is not Access.PUBLIC:
        described["security"] = [{"bearer": []}] if route.access is not Access.OPEN else [{"bearer": []}, {}]
    return described


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name][0],
            "schema": _path_schema(kind),
            "example": _PATH_PARAMETERS[name][1],
        }
        for name, kind in route.parameters.items()
    ]


def _path_schema(kind: str) -> dict[str, Any]:
    if kind == "uuid":
        return {"type": "string", "format": "uuid"}
    return {"type": "string", "pattern": f"^{CONVERTERS[kind].regex}$"}


def _query_parameters(route: Route, schemas: Schemas) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": field["description"],
            "schema": _without_null(field),
        }
        for name, field in schemas.of_query(route.query)["properties"].items()
    ]


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without null: a client omits the parameter instead."""
    kept = {key: value for key, value in field.items() if key not in ("anyOf", "default", "description")}
    for option in field.get("anyOf", []):
        if option.get("type") != "null":
            kept.update(option)
    if field.get("default") is not None:
        kept["default"] = field["default"]
    return kept


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": header.name,
            "in": "header",
            "required": header.required,
            "description": header.description,
            "schema": header.schema,
            "example": header.example,
        }
        for header in route.headers
    ]


def _responses(route: Route, schemas: Schemas) -> dict[str, Any]:
    problems = problem_codes(route)
    schema = _problem_schema(route, chain.from_iterable(problems.values()), schemas)
    responses: dict[int, dict[str, Any]] = {
        status: {
            "description": "\n".join(f"- `{each.code}`: {each.meaning}" for each in codes),
            "headers": _headers(route, status),
            "content": {PROBLEM: {"schema": schema, "example": _example(status, codes[0])}},
        }
        for status, codes in problems.items()
    }
    for status in (route.status, *route.also):
        failure = responses.get(status, {"description": "", "content": {}})
        responses[status] = {
            "description": f"{HTTPStatus(status).phrase}\n{failure['description']}".strip(),
            "headers": _headers(route, status),
            "content": {**_content(route, schemas), **failure["content"]},
        }
    return {str(status): responses[status] for status in sorted(responses)}


def _content(route: Route, schemas: Schemas) -> dict[str, Any]:
    if route.answer is not None:
        schema = schemas.of(route.answer)
        return {JSON: {"schema": schema, "example": schemas.example(schema)}}
    return {
        kind: {"schema": _RAW[type(example)], "example": example} for kind, example in route.content.items()
    }


def _problem_schema(route: Route, codes: Iterable[ProblemCode], schemas: Schemas) -> dict[str, Any]:
    """Add the component of the route's problems, which lists their codes, and return a reference to it."""
    name = "".join(word.capitalize() for word in route.handler.__name__.split("_")) + "Problem"
    schemas.components[name] = {
        "title": name,
        "description": f"Why `{route.endpoint}` failed.",
        "type": "object",
        "allOf": [schemas.of(Problem)],
        "properties": {
            "code": {
                "description": "Stable name of the error for programs.",
                "type": "string",
                "enum": sorted(each.code for each in codes),
            }
        },
    }
    return {"$ref": REFERENCE + name}


def _example(status: int, problem: ProblemCode) -> dict[str, Any]:
    return {
        "type": f"urn:algosat:error:{problem.code}",
        "title": problem.title,
        "status": status,
        "detail": problem.meaning,
        "code": problem.code,
        "correlation_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "errors": [],
    }


def _headers(route: Route, status: int) -> dict[str, Any]:
    names = [*_EVERYWHERE, *_BY_STATUS.get(status, ())]
    if status == route.status or (status == Denied.status and Denied in route.errors):
        names += [*route.sets, *(name for header in route.headers for name in header.answered_by)]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
