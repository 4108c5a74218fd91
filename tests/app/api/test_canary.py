"""A canary in every field of a request that takes a secret: it is found in no answer, log line or row."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from algosat.api.all_routes import ROUTES
from algosat.api.context import Services
from algosat.api.input_texts import secret_fields
from algosat.api.routes import Route
from algosat.api.schemas import Schemas
from algosat.store.tables import metadata
from tests.app.client import Client

CANARY = "Canary-4711-Sings"
SCHEMAS = Schemas(list(ROUTES))
TAKING = [route for route in ROUTES if route.body is not None and secret_fields(route.body)]


def with_canary(value: Any, secrets: frozenset[str], *, wrong_type: bool) -> Any:
    """Return a body with the canary in each of its secret fields."""
    if isinstance(value, list):
        return [with_canary(each, secrets, wrong_type=wrong_type) for each in value]
    if not isinstance(value, dict):
        return value
    canary: Any = [CANARY] if wrong_type else CANARY
    return {
        name: canary if name in secrets else with_canary(each, secrets, wrong_type=wrong_type)
        for name, each in value.items()
    }


@pytest.mark.parametrize("wrong_type", [False, True], ids=["valid", "of another type"])
@pytest.mark.parametrize("route", TAKING, ids=lambda route: route.endpoint)
def test_secret_in_a_request_is_found_nowhere_afterwards(
    admin: Client,
    services: Services,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    route: Route,
    wrong_type: bool,
) -> None:
    assert route.body is not None
    secrets = secret_fields(route.body)
    example = SCHEMAS.example(SCHEMAS.of(route.body), body=True)
    body = with_canary(
        {**dict.fromkeys(secrets & route.body.model_fields.keys()), **example}, secrets, wrong_type=wrong_type
    )
    if route.endpoint == "POST /users":
        body["username"] = "ann"
    assert CANARY in json.dumps(body)
    path = route.path.format(account="paper", name="trader")
    with capture_logs() as logs, caplog.at_level(logging.DEBUG):
        answer = getattr(admin, route.method.lower())(path, json=body)
    assert answer.status_code < 500
    with services.database.read() as connection:
        rows = [str(row) for table in metadata.sorted_tables for row in connection.execute(select(table))]
    for place in (answer.text, str(answer.headers), str(logs), caplog.text, *capfd.readouterr(), *rows):
        assert CANARY not in place


def test_routes_that_take_secrets_are_found() -> None:
    endpoints = {route.endpoint for route in TAKING}
    assert {"POST /auth/login", "POST /users", "PUT /brokers/{account}/credentials"} <= endpoints
