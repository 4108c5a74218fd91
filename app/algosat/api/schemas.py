"""Component schemas of the OpenAPI document, made from the models that routes declare."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue

from algosat.api.problems import Problem
from algosat.api.request_models import Input
from algosat.api.routes import Route
from algosat.domain.reason_codes import Code

REFERENCE: Final = "#/components/schemas/"

_LIST: Final = re.compile(r"(?P<kind>Page|Everything)_(?P<item>\w+)_")
_SUFFIXES: Final = {"Page": "Page", "Everything": "List"}
# Names that need a qualifier outside their module.
_NAMES: Final = {"Status": "OrderStatus", "Phase": "MarketPhase"}
_STRINGS: Final = {
    "date-time": "2026-11-30T05:00:00.250000Z",
    "date": "2026-11-30",
    "uuid": "0f8c6a52-6f0b-4f0e-8a55-3f1f0d6f2c11",
    "decimal": "1015",
}


class Schemas:
    """The named schemas of all routes. A schema refers to another by its name."""

    def __init__(self, routes: Sequence[Route]) -> None:
        found, definitions = TypeAdapter.json_schemas(
            _inputs(routes), ref_template=REFERENCE + "{model}", schema_generator=_Generator
        )
        self._by_type: dict[str, dict[str, Any]] = {
            key: _renamed(schema) for (key, _), schema in found.items()
        }
        self._require_unique_names(definitions["$defs"])
        self.components: dict[str, dict[str, Any]] = {
            component_name(name): {**_renamed(schema), "title": component_name(name)}
            for name, schema in definitions["$defs"].items()
        }
        # The fields of a query are parameters, not a component.
        self._queries = {
            model: self.components.pop(self.of(model)["$ref"].removeprefix(REFERENCE))
            for model in {route.query for route in routes if route.query is not None}
        }

    @staticmethod
    def _require_unique_names(definitions: Mapping[str, Any]) -> None:
        """Raise ValueError if two models have the same public name."""
        names = Counter(map(component_name, definitions))
        name, number = max(names.items(), key=lambda item: item[1])
        if number > 1:
            raise ValueError(f"{number} models of routes have the public name {name}: rename all but one")

    def of(self, model: Any) -> dict[str, Any]:
        """Return the schema of a model: a reference to its component."""
        return self._by_type[repr(model)]

    def of_query(self, model: type[Input]) -> dict[str, Any]:
        """Return the schema of a query, whose properties are its parameters."""
        return self._queries[model]

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema itself where `schema` is a reference."""
        reference = schema.get("$ref")
        return schema if reference is None else self.components[reference.removeprefix(REFERENCE)]

    def example(self, schema: dict[str, Any], *, body: bool = False) -> Any:
        """Return an example of the schema, built from the examples of its parts.

        The example of a request body omits optional fields that have no example.
        """
        for key in ("examples", "enum"):
            if key in schema:
                return schema[key][0]
        if "const" in schema:
            return schema["const"]
        if "$ref" in schema:
            return self.example(self.resolved(schema), body=body)
        if "anyOf" in schema:
            nullable = any(option.get("type") == "null" for option in schema["anyOf"])
            return None if nullable else self.example(schema["anyOf"][0], body=body)
        return self._example_of_type(schema, body=body)

    def _example_of_type(self, schema: dict[str, Any], *, body: bool) -> Any:
        match schema.get("type"):
            case "object":
                required = schema.get("required", [])
                return {
                    name: self.example(field, body=body)
                    for name, field in schema.get("properties", {}).items()
                    if not body or name in required or "examples" in field
                }
            case "array":
                return [self.example(schema["items"], body=body)]
            case "string":
                return _STRINGS.get(schema.get("format", ""), "string")
            case "boolean":
                return False
            case _:
                return None


class _Generator(GenerateJsonSchema):
    """pydantic's generator, with decimals as strings and without titles that repeat a field's name."""

    def decimal_schema(self, schema: Any) -> JsonSchemaValue:
        if self.mode == "serialization":
            return {"type": "string", "format": "decimal", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
        return super().decimal_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def enum_schema(self, schema: Any) -> JsonSchemaValue:
        made = super().enum_schema(schema)
        if issubclass(schema["cls"], Code):
            made["x-enum-descriptions"] = {code.value: code.help_text for code in schema["cls"]}
        return made


def component_name(key: str) -> str:
    """Return the public name of a definition: `OrderPage` for `Page_OrderView_`."""
    name = key.rsplit("__", 1)[-1]
    listed = _LIST.fullmatch(name)
    if listed is not None:
        return component_name(listed["item"]) + _SUFFIXES[listed["kind"]]
    return _NAMES.get(name, name.removesuffix("View"))


def _inputs(routes: Sequence[Route]) -> list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]]:
    requests = dict.fromkeys(model for route in routes for model in (route.query, route.body) if model)
    responses: dict[str, Any] = {repr(route.answer): route.answer for route in routes if route.answer}
    return [
        *((repr(model), "validation", TypeAdapter(model)) for model in requests),
        *((key, "serialization", TypeAdapter(model)) for key, model in responses.items()),
        (repr(Problem), "serialization", TypeAdapter(Problem)),
    ]


def _renamed(value: Any) -> Any:
    """Return a schema with its references to definitions renamed to those of components."""
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: REFERENCE + component_name(each.removeprefix(REFERENCE)) if key == "$ref" else _renamed(each)
        for key, each in value.items()
    }
