"""The order path reads by an index that fits: the millionth order costs what the first one did."""

from __future__ import annotations

import pytest

from algosat.engine import halt_cancels, pending_requests, reconciler, router
from algosat.store import audit, history, ledger, queries
from algosat.store.prepared import Prepared
from algosat.store.tables import metadata
from algosat.trading import account_book, apply_report, daily_pnl, halts, idempotency, limits, risk_queries
from algosat.trading.desk import Desk

pytestmark = pytest.mark.sqlite

_MODULES = (
    audit, account_book, halts, history, ledger, limits, daily_pnl, queries,
    halt_cancels, apply_report, reconciler, idempotency, pending_requests, router, risk_queries,
)  # fmt: skip
_STATEMENTS = {
    f"{module.__name__}.{name}": statement
    for module in _MODULES
    for name, statement in vars(module).items()
    if isinstance(statement, Prepared)
}

# Small for ever, and read from its end with a limit.
_MAY_SCAN = {
    "algosat.trading.halts._ALL_HALTS",
    "algosat.store.audit._LAST_HASH",
}


@pytest.mark.parametrize("name", sorted(_STATEMENTS.keys() - _MAY_SCAN))
def test_statement_scans_no_table(desk: Desk, name: str) -> None:
    scanned = {step.split()[1] for step in _plan(desk, _STATEMENTS[name]) if step.startswith("SCAN")}
    assert not scanned & metadata.tables.keys()


def test_what_was_placed_lately_is_counted_by_time_without_the_rows(desk: Desk) -> None:
    (search,) = _plan(desk, _STATEMENTS["algosat.trading.risk_queries._RECENT"])
    assert (
        search
        == "SEARCH orders USING COVERING INDEX ix_orders_lately (account=? AND created_at>? AND created_at<?)"
    )


def test_an_equal_order_is_found_by_time(desk: Desk) -> None:
    (search,) = _plan(desk, _STATEMENTS["algosat.trading.risk_queries._EQUAL"])
    assert (
        search == "SEARCH orders USING INDEX ix_orders_lately (account=? AND created_at>? AND created_at<?)"
    )


@pytest.mark.parametrize(
    "name", ["algosat.trading.account_book._WORKING", "algosat.store.queries._WORKING_OF"]
)
def test_working_orders_are_found_without_those_that_ended(desk: Desk, name: str) -> None:
    assert any("ix_orders_working" in step for step in _plan(desk, _STATEMENTS[name]))


def test_working_orders_are_added_up_without_the_rows_and_without_sorting(desk: Desk) -> None:
    plan = _plan(desk, _STATEMENTS["algosat.trading.account_book._WORKING"])
    assert any("COVERING INDEX ix_orders_working" in step for step in plan)
    assert not any("TEMP B-TREE" in step for step in plan)


@pytest.mark.parametrize("name", ["_CREATED", "_ANY_CREATED", "_UNKNOWN"])
def test_router_finds_orders_by_their_status(desk: Desk, name: str) -> None:
    assert "ix_orders_status_seq" in _plan(desk, getattr(router, name))[0]


def test_pending_requests_are_found_without_the_other_orders(desk: Desk) -> None:
    assert "ix_orders_overlay" in _plan(desk, _STATEMENTS["algosat.engine.pending_requests._PENDING"])[0]


def _plan(desk: Desk, statement: Prepared) -> list[str]:
    with desk.database.read() as connection:
        sql = statement.sql(connection)
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (None,) * sql.count("?"))
        return [row.detail for row in rows]
