"""Read the funds of an account."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from algosat.domain.decimals import ZERO
from algosat.domain.funds import Funds, margin_of
from algosat.store import queries
from algosat.trading import account_book
from algosat.trading.account_book import AccountBook
from algosat.trading.desk import Desk


def funds(connection: Connection, desk: Desk) -> Funds:
    """Return the funds of an account."""
    book = account_book.read_book(connection, desk.account, desk.venue)
    return funds_of(book, queries.balance(connection, desk.account))


def realised_of(balance: Any) -> Decimal:
    """Return the profit realised so far, before fees; 0 if the account is not open."""
    return ZERO if balance is None or balance.realised is None else balance.realised + balance.realised_low


def fees_of(balance: Any) -> Decimal:
    """Return the fees paid so far; 0 if the account is not open."""
    return ZERO if balance is None or balance.fees is None else balance.fees + balance.fees_low


def funds_of(book: AccountBook, balance: Any) -> Funds:
    """Return the funds for a book that has been read; `balance` is its row of deposits, results and fees."""
    return Funds(
        deposited=balance.deposited or ZERO if balance else ZERO,
        realised=realised_of(balance),
        fees=fees_of(balance),
        unrealised=book.unrealised(),
        margin_used=margin_of(book.exposures),
    )
