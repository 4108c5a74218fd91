from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator

from algosat.api.all_routes import ROUTES
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.reason_codes import Code, EngineCode
from algosat.domain.risk import DenialCode
from tests.app.client import Client


@pytest.fixture(scope="module")
def spec(shared_app: Flask) -> dict[str, Any]:
    found: dict[str, Any] = Client(shared_app).get("/openapi.json").json
    return found


@pytest.fixture(scope="module")
def operations(spec: dict[str, Any]) -> dict[str, Any]:
    return {each["operationId"]: each for path in spec["paths"].values() for each in path.values()}


def test_document_lists_every_route_once(spec: dict[str, Any]) -> None:
    documented = {
        f"{method.upper()} {path}" for path, operations in spec["paths"].items() for method in operations
    }
    assert documented == {route.endpoint for route in ROUTES}


def test_operations_have_unique_ids_and_a_summary(spec: dict[str, Any], operations: dict[str, Any]) -> None:
    assert len(operations) == sum(len(path) for path in spec["paths"].values())
    assert all(operation["summary"] for operation in operations.values())


def test_tags_are_unique_described_and_used(spec: dict[str, Any], operations: dict[str, Any]) -> None:
    names = [tag["name"] for tag in spec["tags"]]
    assert len(set(names)) == len(names)
    assert all(tag["description"] for tag in spec["tags"])
    assert {tag for operation in operations.values() for tag in operation["tags"]} == set(names)


def test_every_schema_is_a_schema_and_every_reference_leads_somewhere(spec: dict[str, Any]) -> None:
    for schema in spec["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    known = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "headers") for name in spec["components"][kind]
    }
    assert references_in(spec) <= known


def test_every_schema_is_titled_by_its_name(spec: dict[str, Any]) -> None:
    for name, schema in spec["components"]["schemas"].items():
        assert schema["title"] == name
        assert name.isalnum()


def test_every_property_parameter_and_header_is_described(
    spec: dict[str, Any], operations: dict[str, Any]
) -> None:
    described: dict[str, dict[str, Any]] = {
        f"{name}.{field}": value
        for name, schema in spec["components"]["schemas"].items()
        for field, value in schema.get("properties", {}).items()
    }
    for name, operation in operations.items():
        described |= {f"{name}({each['name']})": each for each in operation["parameters"]}
    described |= spec["components"]["headers"]
    assert [name for name, each in described.items() if not each.get("description")] == []


def test_every_body_and_response_has_an_example_that_fits(spec: dict[str, Any]) -> None:
    wrong = []
    for where, content in contents(spec):
        if not where.endswith("json"):
            continue
        schema = {**content["schema"], "components": spec["components"]}
        wrong += [
            f"{where}: {error.message}"
            for error in Draft202012Validator(schema).iter_errors(content["example"])
        ]
    assert wrong == []


def test_examples_are_not_placeholders(spec: dict[str, Any]) -> None:
    assert [
        where for where, content in contents(spec) if '"string"' in json.dumps(content.get("example"))
    ] == []


def test_amounts_are_decimal_strings(spec: dict[str, Any]) -> None:
    order = spec["components"]["schemas"]["Order"]["properties"]
    assert (order["quantity"]["type"], order["quantity"]["format"]) == ("string", "decimal")
    new = spec["components"]["schemas"]["NewOrder"]["properties"]["quantity"]
    assert {"type": "string", "format": "decimal"}.items() <= new["anyOf"][0].items()


def test_every_operation_lists_its_problem_codes(spec: dict[str, Any], operations: dict[str, Any]) -> None:
    assert set(codes_of(spec, operations["log_in"])) == {
        "body_too_large",
        "internal_error",
        "invalid_body",
        "invalid_json",
        "invalid_query",
        "invalid_request",
        "locked_out",
        "overloaded",
        "rate_limited",
        "store_busy",
        "store_full",
        "store_read_only",
        "unsupported_media_type",
        "wrong_credentials",
    }
    assert set(DenialCode) < set(codes_of(spec, operations["place_order"]))
    for operation in operations.values():
        for code in codes_of(spec, operation):
            assert any(
                f"- `{code}`: " in response["description"] for response in operation["responses"].values()
            )


def test_response_headers_are_documented(operations: dict[str, Any]) -> None:
    place, cancel, close = (
        operations[name]["responses"] for name in ("place_order", "cancel_order", "close_position")
    )
    assert set(place["201"]["headers"]) == {"X-Request-ID", "Location", "Idempotency-Replayed"}
    assert set(place["422"]["headers"]) == {"X-Request-ID", "Location", "Idempotency-Replayed"}
    assert set(close["202"]["headers"]) == {"X-Request-ID", "Location", "Idempotency-Replayed"}
    assert set(cancel["200"]["headers"]) == {"X-Request-ID"}
    assert set(cancel["429"]["headers"]) == {"X-Request-ID", "Retry-After"}


@pytest.mark.parametrize("codes", [DenialCode, EngineCode])
def test_every_reason_code_is_explained(spec: dict[str, Any], codes: type[Code]) -> None:
    explained = spec["components"]["schemas"][codes.__name__]["x-enum-descriptions"]
    assert explained == {code.value: code.help_text for code in codes}
    for code in codes:
        assert f"`{code.value}`: {code.help_text}" in spec["info"]["description"]


def test_every_kind_of_alert_is_explained(spec: dict[str, Any]) -> None:
    for kind in AlertKind:
        assert f"`{kind.value}`: {kind.help_text}" in spec["info"]["description"]


def test_closed_routes_require_a_token(spec: dict[str, Any]) -> None:
    assert spec["paths"]["/orders"]["post"]["security"] == [{"bearer": []}]
    assert spec["paths"]["/health"]["get"]["security"] == [{"bearer": []}, {}]
    assert "security" not in spec["paths"]["/auth/login"]["post"]


def test_page_loads_nothing_from_other_servers(shared_app: Flask) -> None:
    client = Client(shared_app)
    page = client.get("/docs")
    assert page.content_type == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    for text in (page.text, client.get("/docs/docs.js").text, client.get("/docs/docs.css").text):
        assert "https://" not in text
        assert "http://" not in text
    assert "<script>" not in page.text
    assert " style=" not in page.text


def references_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*(references_in(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(references_in(each) for each in value))
    return set()


def contents(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every request body and response of the document, by operation and content type."""
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            bodies = {"body": operation.get("requestBody", {}), **operation["responses"]}
            for name, body in bodies.items():
                for kind, content in body.get("content", {}).items():
                    yield f"{method} {path} {name} {kind}", content


def codes_of(spec: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    """Return the problem codes that an operation lists."""
    content = operation["responses"]["500"]["content"]["application/problem+json"]
    problem = spec["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
    found: list[str] = problem["properties"]["code"]["enum"]
    return found
