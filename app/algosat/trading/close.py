"""Close positions: market orders for what working orders do not close already, for each book separately."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from algosat.domain.exits import exit_terms, is_left
from algosat.domain.orders import Order, Product
from algosat.domain.risk import BookLine
from algosat.errors import NothingToClose
from algosat.store.audit import Cause
from algosat.trading import account_book, place, slicing
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed


def close_position(
    desk: Desk,
    symbol: str,
    cause: Cause,
    *,
    strategy: str | None = None,
    product: Product | None = None,
    key: IdempotencyKey | None = None,
    allow_empty: bool = False,
) -> Placed:
    """Close one symbol in a strategy's book (None: positions opened by hand), at the market.

    Raises NothingToClose. With `allow_empty` an empty result is valid, and stored under the key.
    """

    def chosen(line: BookLine) -> bool:
        mine = line.symbol == symbol and line.strategy == (strategy or "")
        return mine and product in (None, line.product)

    def work(connection: Connection) -> list[Order]:
        orders = exits(connection, desk, cause, chosen)
        if not orders and not allow_empty:
            raise NothingToClose(
                f"nothing of {symbol} is left to close: it is not held, or orders already working close it"
            )
        return orders

    return place.once(desk, key, work)


def close_all(
    desk: Desk, cause: Cause, *, strategy: str | None = None, key: IdempotencyKey | None = None
) -> Placed:
    """Close all positions, or all of one strategy; an empty result is no error."""

    def chosen(line: BookLine) -> bool:
        return strategy in (None, line.strategy)

    return place.once(desk, key, lambda connection: exits(connection, desk, cause, chosen))


def exits(
    connection: Connection, desk: Desk, cause: Cause, chosen: Callable[[BookLine], bool]
) -> list[Order]:
    """Place market orders for what is left of the chosen lines."""
    lines = [line for line in account_book.read_book(connection, desk.account).valued if chosen(line)]
    legs = [exit_terms(desk.account, line) for line in lines if is_left(line)]
    return [order for terms in legs for order in slicing.admit(connection, desk, terms, cause)]
