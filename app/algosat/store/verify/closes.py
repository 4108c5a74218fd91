"""Comparison of closes with their lines, and of the lines with the exits that they name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from algosat.domain.closing import FINISHED
from algosat.store.tables import close_lines, closes, orders


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
