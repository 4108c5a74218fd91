from __future__ import annotations

import pytest
from flask import Flask

from algosat.api.access import Access, needed_role, problems
from algosat.api.all_routes import ROUTES
from algosat.api.routes import Route
from algosat.config.settings import AccessControlSettings
from algosat.security.principals import Role
from tests.app.client import Client, problem_of

LEAST = {Access.VIEWER: Role.VIEWER, Access.TRADER: Role.TRADER, Access.ADMIN: Role.ADMIN}


@pytest.fixture(scope="module")
def anonymous(shared_app: Flask) -> Client:
    return Client(shared_app)


@pytest.fixture(scope="module")
def viewer(shared_app: Flask) -> Client:
    return Client(shared_app).log_in("viewer")


def a_request(route: Route) -> str:
    values = {
        "uuid": "00000000-0000-4000-8000-000000000000",
        "order": "a" * 18,
        "close": "c" * 18,
        "conversion": "v" * 18,
        "symbol": "X",
        "name": "x",
        "number": "1",
        "date": "2027-01-26",
    }
    path = route.path
    for name, kind in route.parameters.items():
        path = path.replace("{" + name + "}", values[kind])
    return path


def test_every_route_declares_its_access_level(shared_app: Flask) -> None:
    stated = {route.endpoint for route in ROUTES if isinstance(route.access, Access)}
    assert {rule.endpoint for rule in shared_app.url_map.iter_rules()} == stated


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.access in LEAST], ids=lambda route: route.endpoint
)
def test_closed_route_refuses_requests_without_a_token(anonymous: Client, route: Route) -> None:
    send = getattr(anonymous, route.method.lower())
    assert problem_of(send(a_request(route))) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.access in (Access.TRADER, Access.ADMIN)],
    ids=lambda route: route.endpoint,
)
def test_trader_and_admin_routes_refuse_a_viewer(viewer: Client, route: Route) -> None:
    send = getattr(viewer, route.method.lower())
    assert problem_of(send(a_request(route))) == (403, "forbidden")


def test_inventory_makes_a_route_admin_only() -> None:
    control = AccessControlSettings(admin_only_endpoints=("/positions",), public_endpoints=())
    assert needed_role("/positions", Access.VIEWER, control) is Role.ADMIN
    assert needed_role("/orders", Access.VIEWER, control) is Role.VIEWER


def test_open_route_is_public_only_if_the_inventory_lists_it() -> None:
    control = AccessControlSettings(admin_only_endpoints=(), public_endpoints=("/health",))
    assert needed_role("/health", Access.OPEN, control) is None
    assert needed_role("/metrics", Access.OPEN, control) is Role.VIEWER


def test_invalid_access_rules_are_listed() -> None:
    control = AccessControlSettings(
        admin_only_endpoints=("/postions", "/login"), public_endpoints=("/orders", "/nowhere", "/login")
    )
    levels = [("/orders", Access.TRADER), ("/login", Access.PUBLIC)]
    assert [problem.text for problem in problems(levels, control)] == [
        "/postions is not a route of this server",
        "/login must stay public: users log in here",
        "/orders may not be public",
        "/nowhere is not a route of this server",
    ]
