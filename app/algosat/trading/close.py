"""Closing positions: what is left of them after the orders already working, for each book by itself."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from algosat.domain.orders import Intent, Order, OrderType, Product, Side
from algosat.domain.risk import Line
from algosat.errors import Conflict
from algosat.store.audit import Cause
from algosat.trading import book, place, slicing
from algosat.trading.desk import Desk
from algosat.trading.place import Placed
from algosat.trading.replies import Key


def close(
    desk: Desk,
    symbol: str,
    cause: Cause,
    *,
    strategy: str | None = None,
    product: Product | None = None,
    key: Key | None = None,
    if_any: bool = False,
) -> Placed:
    """Close one symbol in a strategy's book (None: those placed by hand), at the market.

    Raises Conflict when nothing is left to close; `if_any`, that is an outcome, and the key stands for it.
    """

    def chosen(line: Line) -> bool:
        mine = line.symbol == symbol and line.strategy == (strategy or "")
        return mine and product in (None, line.product)

    def work(connection: Connection) -> list[Order]:
        orders = exits(connection, desk, cause, chosen)
        if not orders and not if_any:
            raise Conflict(
                f"nothing of {symbol} is left to close: it is not held, or orders already working close it",
                code="nothing_to_close",
            )
        return orders

    return place.once(desk, key, work)


def close_all(desk: Desk, cause: Cause, *, strategy: str | None = None, key: Key | None = None) -> Placed:
    """Close everything, or everything of one strategy; nothing to close is no error."""

    def chosen(line: Line) -> bool:
        return strategy in (None, line.strategy)

    return place.once(desk, key, lambda connection: exits(connection, desk, cause, chosen))


def exits(connection: Connection, desk: Desk, cause: Cause, chosen: Callable[[Line], bool]) -> list[Order]:
    """Market orders that take off what is left of the chosen lines."""
    lines = [line for line in book.read(connection, desk.account).lines if chosen(line)]
    intents = [exit_of(desk.account, line) for line in lines if left(line)]
    return [order for intent in intents for order in slicing.admit(connection, desk, intent, cause)]


def left(line: Line) -> bool:
    return line.left_to_reduce(_exit_side(line)) > 0


def exit_of(account: str, line: Line) -> Intent:
    side = _exit_side(line)
    return Intent(
        account=account,
        symbol=line.symbol,
        side=side,
        quantity=line.left_to_reduce(side),
        type=OrderType.MARKET,
        product=line.product,
        reduce_only=True,
        strategy=line.strategy or None,
    )


def _exit_side(line: Line) -> Side:
    return Side.SELL if line.quantity > 0 else Side.BUY
