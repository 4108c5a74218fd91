"""Comparison of closes with their lines and exits, and of conversions with their entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from algosat.domain.closing import FINISHED
from algosat.domain.conversion import SENT, ConversionState
from algosat.domain.reason_codes import EngineCode
from algosat.store.tables import close_lines, closes, conversions, orders


def compare_closes(connection: Connection) -> Iterator[str]:
    """Compare the closes: a close is finished with its last line, and its exits only reduce their line."""
    lines: dict[str, list[Any]] = defaultdict(list)
    for line in connection.execute(select(close_lines)):
        lines[line.close_id].append(line)
        yield from _compare_line(line)
        yield from _compare_exits(connection, line)
    for close in connection.execute(select(closes)):
        under_way = [line for line in lines.pop(close.id, ()) if line.finished_at is None]
        if (close.finished_at is None) is not bool(under_way):
            yield f"close {close.id}: finished at {close.finished_at}, with {len(under_way)} lines under way"
    for close_id in lines:
        yield f"close {close_id} has lines but no row"


def compare_conversions(connection: Connection) -> Iterator[str]:
    """Compare the conversions: each that was made has an entry under each product, no other has one."""
    entries = {
        row.id: (row.symbol, row.product, row.side, row.filled_quantity)
        for row in connection.execute(select(orders).where(orders.c.code == EngineCode.POSITION_CONVERTED))
    }
    for row in connection.execute(select(conversions)):
        is_under_way = row.state == ConversionState.CREATED or row.state in SENT
        if (row.finished_at is None) is not is_under_way:
            yield f"conversion {row.id}: {row.state}, but finished at {row.finished_at}"
        sides = ("sell", "buy") if row.quantity > 0 else ("buy", "sell")
        expected: list[tuple[Any, ...] | None] = [None, None]
        if row.state == ConversionState.CONVERTED:
            products = (row.source, row.target)
            expected = [(row.symbol, *each, abs(row.quantity)) for each in zip(products, sides, strict=True)]
        if [entries.pop(each, None) for each in (row.source_order_id, row.target_order_id)] != expected:
            yield f"conversion {row.id}: {row.state}, but its entries differ"


def _compare_line(line: Any) -> Iterator[str]:
    if (line.finished_at is not None) is not (line.state in FINISHED):
        yield f"{_name(line)}: {line.state}, but finished at {line.finished_at}"
    if not set(line.watched_ids) <= set(line.order_ids):
        yield f"{_name(line)} watches orders that are not its exits"


def _compare_exits(connection: Connection, line: Any) -> Iterator[str]:
    for order_id in line.order_ids:
        order = connection.execute(select(orders).where(orders.c.id == order_id)).first()
        if order is None:
            yield f"{_name(line)}: exit {order_id} has no row"
            continue
        expected = (line.account, line.strategy, line.symbol, line.product, True)
        if (order.account, order.strategy, order.symbol, order.product, order.reduce_only) != expected:
            yield f"{_name(line)}: order {order_id} is no exit of it"


def _name(line: Any) -> str:
    return f"close {line.close_id} of {line.strategy}/{line.symbol}/{line.product}"
