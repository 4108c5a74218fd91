"""Every statement of the order path searches an index, so that its cost does not grow with the table."""

from __future__ import annotations

import pytest

from algosat.engine import pending_requests, reconciler, router
from algosat.store import audit, gtt_orders, history, ledger, linked_exits, queries
from algosat.store.prepared import Prepared
from algosat.store.tables import metadata
from algosat.trading import (
    account_book,
    advance_exits,
    apply_report,
    close_follow,
    close_records,
    conversion_records,
    daily_pnl,
    halt_cancels,
    halts,
    idempotency,
    limits,
    order_alerts,
    risk_queries,
)
from algosat.trading.desk import Desk

pytestmark = pytest.mark.sqlite

_MODULES = (
    audit, account_book, close_follow, close_records, halts, history, ledger, limits, daily_pnl, queries,
    halt_cancels, apply_report, reconciler, idempotency, pending_requests, router, risk_queries, order_alerts,
    linked_exits, advance_exits, gtt_orders, conversion_records,
)  # fmt: skip
_STATEMENTS = {
    f"{module.__name__}.{name}": statement
    for module in _MODULES
    for name, statement in vars(module).items()
    if isinstance(statement, Prepared)
}

# The first tables stay small; the others are read from their end with a limit.
_MAY_SCAN = {
    "algosat.trading.halts._ALL_HALTS",
    "algosat.trading.limits._SCOPES",
    "algosat.store.audit._LAST_HASH",
    "algosat.store.queries._HOLDING",  # for the halt of a P&L exit that is to be lifted
    "algosat.store.queries._MARKETS",  # for GET /market/status only
    "algosat.trading.daily_pnl._NEWEST_TRADE",
    "algosat.trading.daily_pnl._TRADES_BEFORE",
}


@pytest.mark.parametrize("name", sorted(_STATEMENTS.keys() - _MAY_SCAN))
def test_statement_scans_no_table(desk: Desk, name: str) -> None:
    scanned = {step.split()[1] for step in _plan(desk, _STATEMENTS[name]) if step.startswith("SCAN")}
    assert not scanned & metadata.tables.keys()


@pytest.mark.parametrize("name", sorted(_STATEMENTS))
def test_statement_reads_not_all_orders_of_the_account(desk: Desk, name: str) -> None:
    whole = {f"{index} (account=?)" for index in ("ix_orders_broker_order_id", "ix_orders_lately")}
    assert not [step for step in _plan(desk, _STATEMENTS[name]) if any(each in step for each in whole)]


def test_recent_orders_are_counted_in_the_index_by_time(desk: Desk) -> None:
    steps = _plan(desk, _STATEMENTS["algosat.trading.risk_queries._RECENT"])
    assert [step for step in steps if step.startswith("SEARCH")] == [
        f"SEARCH orders USING {index} (account=? AND created_at>? AND created_at<?)"
        for index in ("COVERING INDEX ix_orders_lately", "INDEX ix_orders_slices")
    ]


def test_equal_order_is_found_in_the_index_by_time(desk: Desk) -> None:
    (search,) = _plan(desk, _STATEMENTS["algosat.trading.risk_queries._EQUAL"])
    assert (
        search == "SEARCH orders USING INDEX ix_orders_lately (account=? AND created_at>? AND created_at<?)"
    )


@pytest.mark.parametrize(
    "name", ["algosat.trading.account_book._WORKING", "algosat.store.queries._WORKING_OF"]
)
def test_working_orders_are_found_without_reading_ended_ones(desk: Desk, name: str) -> None:
    assert any("ix_orders_working" in step for step in _plan(desk, _STATEMENTS[name]))


def test_working_orders_are_summed_in_the_index_without_sorting(desk: Desk) -> None:
    plan = _plan(desk, _STATEMENTS["algosat.trading.account_book._WORKING"])
    assert any("COVERING INDEX ix_orders_working" in step for step in plan)
    assert not any("TEMP B-TREE" in step for step in plan)


@pytest.mark.parametrize("name", ["router._UNKNOWN", "reconciler._UNKNOWN", "reconciler._ACKNOWLEDGED"])
def test_unknown_and_acknowledged_orders_are_found_by_status_in_the_index(desk: Desk, name: str) -> None:
    assert "ix_orders_status_seq" in _plan(desk, _STATEMENTS[f"algosat.engine.{name}"])[0]


@pytest.mark.parametrize(
    ("name", "searches"),
    [
        ("_CREATED", ["(account=? AND send_at=?)"]),  # `send_at=?` searches for null
        ("_DUE", ["(account=? AND send_at<?)"]),
        ("_ANY_CREATED", ["(account=? AND send_at=?)", "(account=? AND send_at>?)"]),
    ],
)
def test_router_finds_created_orders_without_reading_those_that_wait(
    desk: Desk, name: str, searches: list[str]
) -> None:
    steps = [step for step in _plan(desk, getattr(router, name)) if step.startswith("SEARCH")]
    assert [step.partition("ix_orders_created ")[2] for step in steps] == searches


def test_pending_requests_are_found_in_their_index(desk: Desk) -> None:
    assert "ix_orders_overlay" in _plan(desk, _STATEMENTS["algosat.engine.pending_requests._PENDING"])[0]


def _plan(desk: Desk, statement: Prepared) -> list[str]:
    with desk.database.read() as connection:
        sql = statement.sql(connection)
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (None,) * sql.count("?"))
        return [row.detail for row in rows]
