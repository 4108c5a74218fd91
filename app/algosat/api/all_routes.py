"""All routes there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from algosat.api import (
    access,
    audit,
    auth,
    baskets,
    book,
    config,
    documentation,
    errors,
    market,
    orders,
    pnl,
    risk,
    strategies,
    system,
    users,
)
from algosat.api.routes import Route, Routes
from algosat.config.problems import as_error
from algosat.config.settings import AccessControlSettings

AREAS: Final[tuple[Routes, ...]] = (
    system.routes,
    auth.routes,
    users.routes,
    config.routes,
    orders.routes,
    baskets.routes,
    book.routes,
    pnl.routes,
    market.routes,
    risk.routes,
    strategies.routes,
    audit.routes,
    errors.routes,
    documentation.routes,
)


def all_routes() -> Sequence[Route]:
    return [route for area in AREAS for route in area]


def require_valid(control: AccessControlSettings) -> None:
    """Raises ConfigurationError when the inventory's access rules name what is not there or cannot be."""
    found = access.problems(((route.path, route.access) for route in all_routes()), control)
    if found:
        raise as_error(found)
