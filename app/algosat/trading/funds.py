"""The account's money: what there is, what positions and orders hold fast, what is left."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from algosat.domain import margin
from algosat.store import queries
from algosat.trading import account_book
from algosat.trading.account_book import AccountBook


@dataclass(frozen=True, slots=True)
class Funds:
    """All amounts in the account's currency."""

    deposited: Decimal
    realised: Decimal  # profit of what was closed, before fees
    fees: Decimal
    unrealised: Decimal  # profit if everything were closed at the last prices
    margin_used: Decimal  # by positions and working orders, in the worst order of fills

    @property
    def cash(self) -> Decimal:
        return self.deposited + self.realised - self.fees

    @property
    def equity(self) -> Decimal:
        return self.cash + self.unrealised

    @property
    def available(self) -> Decimal:
        return self.equity - self.margin_used


def funds(connection: Connection, account: str) -> Funds:
    """The funds of an account."""
    return of(account_book.read_book(connection, account), queries.balance(connection, account))


def of(seen: AccountBook, balance: Any) -> Funds:
    """The funds of a book that was read already; `balance` has what was deposited, realised and paid."""
    nothing = Decimal(0)
    return Funds(
        deposited=balance.deposited or nothing if balance else nothing,
        realised=balance.realised or nothing if balance else nothing,
        fees=balance.fees or nothing if balance else nothing,
        unrealised=seen.unrealised(),
        margin_used=sum(
            (margin.required(line.kind, line.product, line.exposure) for line in seen.lines), nothing
        ),
    )
