"""The OpenAPI 3.1 document, made from what the routes state. Nothing is described twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from algosat.api.operations import ANSWER, BODY, PROBLEM, Schemas, operation
from algosat.api.problems import Problem
from algosat.api.routes import Route, Routes

_REFERENCE: Final = "#/components/schemas/{model}"


def document(areas: Sequence[Routes], denial_codes: dict[str, str]) -> dict[str, Any]:
    """The whole document. `denial_codes` are the gate's, each with its meaning."""
    schemas, components = _schemas([route for area in areas for route in area])
    paths: dict[str, dict[str, Any]] = {}
    for area in areas:
        for route in area:
            paths.setdefault(route.path, {})[route.method.lower()] = operation(area.area, route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Algosat",
            "version": version("algosat"),
            "description": _description(denial_codes),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": area.area} for area in areas],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _schemas(routes: Iterable[Route]) -> tuple[Schemas, dict[str, Any]]:
    """The schema of each route's body and answer, and the named ones they refer to."""
    inputs: list[tuple[tuple[str, str], JsonSchemaMode, TypeAdapter[Any]]] = [
        (PROBLEM, "serialization", TypeAdapter(Problem))
    ]
    for route in routes:
        if route.body is not None:
            inputs.append(((route.endpoint, BODY), "validation", TypeAdapter(route.body)))
        if route.answer is not None:
            inputs.append(((route.endpoint, ANSWER), "serialization", TypeAdapter(route.answer)))
    found, definitions = TypeAdapter.json_schemas(
        inputs, ref_template=_REFERENCE, schema_generator=GenerateJsonSchema
    )
    return {key: schema for (key, _), schema in found.items()}, definitions.get("$defs", {})


def _description(denial_codes: dict[str, str]) -> str:
    rows = "\n".join(f"- `{code}`: {meaning}" for code, meaning in denial_codes.items())
    return (
        "Every error is `application/problem+json` with a `code` and a `correlation_id`, under which the log "
        "has more. Money and quantities are strings in answers; times are UTC.\n\n"
        "A denied order is answered with 422 and one of these codes:\n\n" + rows
    )
