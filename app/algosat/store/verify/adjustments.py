"""Comparison of adjustments, as the audit trail records them, with their trades and the deposits."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from algosat.domain.book_comparison import ADJUSTED
from algosat.domain.decimals import ZERO
from algosat.domain.orders import Side
from algosat.domain.reason_codes import EngineCode
from algosat.store.tables import balances, events, orders, trades


def compare_adjustments(connection: Connection) -> Iterator[str]:
    """Compare each adjustment with its trade, and the deposits with the sum of the adjustments of cash."""
    deposits: dict[str, Decimal] = {}
    booked: set[str] = set()
    statement = select(events.c.subject, events.c.data).where(events.c.kind == ADJUSTED)
    for row in connection.execute(statement.order_by(events.c.seq)):
        data = row.data
        deposited, account = Decimal(data["deposited"]), data["account"]
        before = deposits.get(account)
        if before is not None and before + Decimal(data["cash"]) != deposited:
            yield f"adjustment {row.subject}: deposits of {deposited} do not follow from {before}"
        deposits[account] = deposited
        if data.get("order_id") is not None:
            booked.add(data["order_id"])
            yield from _compare_trade(connection, row.subject, data)
    for account, deposited in deposits.items():
        stored = connection.execute(
            select(balances.c.deposited).where(balances.c.account == account)
        ).scalar()
        if stored != deposited:
            yield f"balances of {account}: deposited {stored}, its adjustments give {deposited}"
    adjusted = select(orders.c.id).where(orders.c.external, orders.c.code == EngineCode.BOOK_ADJUSTED.value)
    for order_id in connection.execute(adjusted).scalars():
        if order_id not in booked:
            yield f"order {order_id} is an adjustment without an event"


def _compare_trade(connection: Connection, adjustment_id: str, data: dict[str, Any]) -> Iterator[str]:
    wanted = (
        data["symbol"],
        data["product"],
        data["strategy"],
        Decimal(data["quantity"]),
        Decimal(data["price"]),
    )
    found = [
        (row.symbol, row.product, row.strategy, Side(row.side).sign * row.quantity, row.price)
        for row in connection.execute(select(trades).where(trades.c.order_id == data["order_id"]))
        if row.fees == ZERO
    ]
    if found != [wanted]:
        yield f"adjustment {adjustment_id}: its trades are {found}, not {wanted}"
