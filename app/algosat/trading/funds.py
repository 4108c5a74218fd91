"""Read the funds of an account."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from algosat.domain.funds import Funds, margin_of
from algosat.store import queries
from algosat.trading import account_book
from algosat.trading.account_book import AccountBook


def funds(connection: Connection, account: str) -> Funds:
    """Return the funds of an account."""
    return funds_of(account_book.read_book(connection, account), queries.balance(connection, account))


def funds_of(book: AccountBook, balance: Any) -> Funds:
    """Return the funds for a book that has been read; `balance` is its row of deposits, results and fees."""
    nothing = Decimal(0)
    return Funds(
        deposited=balance.deposited or nothing if balance else nothing,
        realised=balance.realised or nothing if balance else nothing,
        fees=balance.fees or nothing if balance else nothing,
        unrealised=book.unrealised(),
        margin_used=margin_of(book.lines),
    )
