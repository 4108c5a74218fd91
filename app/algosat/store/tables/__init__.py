"""Every table of the store. A change here needs a migration; a test compares the two."""

from __future__ import annotations

from algosat.store.tables.base import metadata
from algosat.store.tables.books import UNSETTLED_DIFFERENCE, book_comparisons, book_differences
from algosat.store.tables.closes import IS_DUST, IS_UNFINISHED, close_lines, closes
from algosat.store.tables.control import (
    account_arming,
    alerts,
    broker_calls,
    calendar_entries,
    engine_requests,
    errors,
    halts,
    heartbeats,
    limits,
    machines,
    overrides,
    pnl_exits,
    replies,
)
from algosat.store.tables.kept import ACTIVE_EXIT, ACTIVE_GTT, gtt_orders, linked_exits, linked_orders
from algosat.store.tables.ledger import (
    CREATED_STATUS,
    LATER_SLICE,
    NOT_DENIED,
    WORKING_STATUS,
    balances,
    contract_notes,
    days,
    events,
    openings,
    orders,
    other_fees,
    positions,
    trades,
)
from algosat.store.tables.market import closing_prices, former_instruments, instruments, quotes
from algosat.store.tables.strategies import strategies, strategy_states, strategy_versions
from algosat.store.tables.users import login_failures, sessions, users

__all__ = [
    "ACTIVE_EXIT",
    "ACTIVE_GTT",
    "CREATED_STATUS",
    "IS_DUST",
    "IS_UNFINISHED",
    "LATER_SLICE",
    "NOT_DENIED",
    "UNSETTLED_DIFFERENCE",
    "WORKING_STATUS",
    "account_arming",
    "alerts",
    "balances",
    "book_comparisons",
    "book_differences",
    "broker_calls",
    "calendar_entries",
    "close_lines",
    "closes",
    "closing_prices",
    "contract_notes",
    "days",
    "engine_requests",
    "errors",
    "events",
    "former_instruments",
    "gtt_orders",
    "halts",
    "heartbeats",
    "instruments",
    "limits",
    "linked_exits",
    "linked_orders",
    "login_failures",
    "machines",
    "metadata",
    "openings",
    "orders",
    "other_fees",
    "overrides",
    "pnl_exits",
    "positions",
    "quotes",
    "replies",
    "sessions",
    "strategies",
    "strategy_states",
    "strategy_versions",
    "trades",
    "users",
]
