"""Every route of the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from algosat.api import (
    access,
    accounts,
    alerts,
    arming,
    audit,
    auth,
    baskets,
    book,
    book_comparison,
    brokers,
    calendar,
    candles,
    closes,
    config,
    conversions,
    errors,
    gtt,
    market,
    orders,
    pnl,
    pnl_exits,
    risk,
    strategies,
    system,
    totals,
    users,
)
from algosat.api.documentation import documentation_of
from algosat.api.routes import Route, Routes
from algosat.config.problems import as_error
from algosat.config.settings import AccessControlSettings

_AREAS: Final[tuple[Routes, ...]] = (
    system.routes,
    auth.routes,
    users.routes,
    config.routes,
    orders.routes,
    baskets.routes,
    gtt.routes,
    book.routes,
    book_comparison.routes,
    closes.routes,
    conversions.routes,
    pnl.routes,
    market.routes,
    candles.routes,
    calendar.routes,
    accounts.routes,
    brokers.routes,
    risk.routes,
    arming.routes,
    totals.routes,
    pnl_exits.routes,
    strategies.routes,
    alerts.routes,
    audit.routes,
    errors.routes,
)
AREAS: Final = (*_AREAS, documentation_of(_AREAS))
ROUTES: Final[Sequence[Route]] = tuple(route for area in AREAS for route in area)


def require_valid(control: AccessControlSettings) -> None:
    """Raise ConfigurationError if an access rule names an unknown route or cannot apply to it."""
    found = access.problems(((route.path, route.access) for route in ROUTES), control)
    if found:
        raise as_error(found)
