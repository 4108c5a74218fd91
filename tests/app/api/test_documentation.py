from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator

from algosat.api import all_routes
from algosat.domain.risk import DenialCode
from tests.app.client import Client


@pytest.fixture(scope="module")
def spec(calm_app: Flask) -> dict[str, Any]:
    found: dict[str, Any] = Client(calm_app).get("/openapi.json").json
    return found


def test_document_names_every_route_once(spec: dict[str, Any]) -> None:
    documented = {
        f"{method.upper()} {path}" for path, operations in spec["paths"].items() for method in operations
    }
    assert documented == {route.endpoint for route in all_routes.all_routes()}


def test_operations_have_names_of_their_own_and_a_summary(spec: dict[str, Any]) -> None:
    operations = [each for operations in spec["paths"].values() for each in operations.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] for operation in operations)


def test_every_schema_is_a_schema_and_every_reference_leads_somewhere(spec: dict[str, Any]) -> None:
    for schema in spec["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert references_in(spec) <= {f"#/components/schemas/{name}" for name in spec["components"]["schemas"]}


def test_every_denial_code_is_explained(spec: dict[str, Any]) -> None:
    for code in DenialCode:
        assert f"`{code.value}`: {code.help_text}" in spec["info"]["description"]


def test_closed_routes_ask_for_a_token(spec: dict[str, Any]) -> None:
    assert spec["paths"]["/orders"]["post"]["security"] == [{"bearer": []}]
    assert spec["paths"]["/health"]["get"]["security"] == [{"bearer": []}, {}]
    assert "security" not in spec["paths"]["/auth/login"]["post"]


def test_page_asks_no_other_server(calm_app: Flask) -> None:
    client = Client(calm_app)
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
