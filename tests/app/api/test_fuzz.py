"""Generated requests to every route: responses conform to the document, refused ones change nothing."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import select

from algosat.api.all_routes import ROUTES
from algosat.api.context import NAME, Services
from algosat.domain.risk import DenialCode
from algosat.store.tables import metadata, sessions
from tests.app.client import Client

EXAMPLES = [3, pytest.param(15, marks=pytest.mark.slow)]  # for each route and mode
# Routes that would end the session of the other requests, or that need a running engine.
LEFT_OUT = {
    "POST /auth/logout",
    "PUT /auth/password",
    "DELETE /auth/sessions/{session_id}",
    "GET /health",
    "GET /brokers/{account}/session",
    "POST /brokers/{account}/probe",
    "GET /candles/{symbol}",
}
FUZZED = sorted(
    route.endpoint
    for route in ROUTES
    if route.endpoint not in LEFT_OUT and (route.query or route.body or route.parameters)
)
# Counts of requests and errors are written in the background, whatever a request did.
_COUNTS = {"request_counts", "error_counts", "errors"}
TABLES = [table for table in metadata.sorted_tables if table.name not in _COUNTS]
# Tables that a refused request may change, by its problem code.
LEAVES = {
    **{code.value: {"orders", "events", "replies", "openings"} for code in DenialCode},
    "wrong_credentials": {"events", "login_failures"},
}
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def admin(fuzzed_app: Flask) -> Client:
    return Client(fuzzed_app).log_in("admin")


@pytest.fixture(scope="module")
def schema(fuzzed_app: Flask) -> Any:
    return schemathesis.openapi.from_wsgi("/openapi.json", fuzzed_app)


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("endpoint", FUZZED)
@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value
)
@pytest.mark.filterwarnings("ignore")
def test_responses_conform_to_the_document(
    fuzzed_app: Flask, schema: Any, admin: Client, endpoint: str, mode: GenerationMode, examples: int
) -> None:
    method, path = endpoint.split()
    operation = schema[path][method]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        headers = {"Authorization": f"Bearer {admin.token}", "Prefer": "wait=0"}
        case.headers = {**(case.headers or {}), **headers}
        before = contents(fuzzed_app)
        answer = case.call()
        case.validate_response(answer, checks=CHECKS)
        if 400 <= answer.status_code < 500:
            after = contents(fuzzed_app)
            changed = {name for name in after if after[name] != before[name]}
            assert changed <= LEAVES.get(answer.json()["code"], set())

    try:
        send()
    except Unsatisfiable:
        pytest.skip("nothing of this kind can be sent to it")


def contents(app: Flask) -> dict[str, list[Any]]:
    """Return every row of every table, without the time a session was last seen."""
    services: Services = app.extensions[NAME]
    tables = {table.name: [it for it in table.c if it is not sessions.c.last_seen_at] for table in TABLES}
    with services.database.read() as connection:
        return {
            name: [tuple(row) for row in connection.execute(select(*columns))]
            for name, columns in tables.items()
        }


def test_excluded_routes_exist() -> None:
    assert {route.endpoint for route in ROUTES} >= LEFT_OUT
