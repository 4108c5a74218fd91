"""The account's money: what there is, what positions and orders hold fast, what is left."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection

from algosat.domain import margin
from algosat.store import queries
from algosat.trading import book
from algosat.trading.book import Book


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


def funds(connection: Connection, account: str, of: Book | None = None) -> Funds:
    """The funds of an account; of a book that was read already, if there is one."""
    of = of or book.read(connection, account)
    balance = queries.balance(connection, account)
    nothing = Decimal(0)
    return Funds(
        deposited=balance.deposited if balance else nothing,
        realised=balance.realised if balance else nothing,
        fees=balance.fees if balance else nothing,
        unrealised=sum((line.unrealised for line in of.lines), nothing),
        margin_used=sum(
            (margin.required(line.kind, line.product, line.exposure) for line in of.lines), nothing
        ),
    )
