"""Route for the accounts and their totals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Connection

from algosat.api.access import Access
from algosat.api.context import mode_of, services
from algosat.api.fields import AccountMode, AccountName, Currency, Money
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.domain.arming import Arming
from algosat.domain.decimals import ZERO
from algosat.domain.funds import Funds
from algosat.store import queries
from algosat.trading import arming, funds
from algosat.trading.desk import Desk

routes = Routes("accounts", "The accounts on which Algosat trades.")


class AccountView(Output):
    """An account, with its money in its own currency."""

    account: AccountName
    broker: Annotated[str, Field(examples=["paper"])]
    """Broker of the account."""
    mode: AccountMode
    arming: Annotated[Arming, Field(examples=["armed"])]
    """`read_only`: a live account that was never armed takes no orders. `exits_only`: it was disarmed."""
    currency: Currency
    is_default: Annotated[bool, Field(examples=[True])]
    """Whether requests that name no account are about this one."""
    open_positions: Annotated[int, Field(examples=[2])]
    """Number of open positions."""
    cash: Annotated[Money, Field(examples=["999998.73"])]
    """Deposits plus realised profit, less fees."""
    equity: Annotated[Money, Field(examples=["1000013.73"])]
    """`cash` plus the unrealised profit of open positions."""
    margin_used: Annotated[Money, Field(examples=["1030"])]
    """Margin that positions and working orders block."""
    available: Annotated[Money, Field(examples=["998983.73"])]
    """Money free for new orders."""
    realised: Annotated[Money, Field(examples=["0"])]
    """Profit realised so far, before fees."""
    unrealised: Annotated[Money, Field(examples=["15"])]
    """Profit of open positions at the last prices."""
    fees: Annotated[Money, Field(examples=["1.27"])]
    """Fees paid so far."""


class CurrencyTotal(Output):
    """The money of all accounts of one currency together. Currencies are never added to each other."""

    currency: Currency
    mode: AccountMode
    accounts: Annotated[list[str], Field(examples=[["paper"]])]
    """The accounts of this currency and mode: play money is not added to real money."""
    cash: Annotated[Money, Field(examples=["999998.73"])]
    """Deposits plus realised profit, less fees."""
    equity: Annotated[Money, Field(examples=["1000013.73"])]
    """`cash` plus the unrealised profit of open positions."""
    realised: Annotated[Money, Field(examples=["0"])]
    """Profit realised so far, before fees."""
    unrealised: Annotated[Money, Field(examples=["15"])]
    """Profit of open positions at the last prices."""
    fees: Annotated[Money, Field(examples=["1.27"])]
    """Fees paid so far."""


class Accounts(Output):
    """All accounts, and their totals."""

    items: list[AccountView]
    """All accounts; the first one is the default."""
    next_cursor: None
    """Always null: there is no next page."""
    totals: list[CurrencyTotal]
    """Totals of each currency, separately for paper and live accounts."""


@routes.get("/accounts", access=Access.VIEWER, answer=Accounts)
def list_accounts() -> Accounts:
    """List the accounts, with their money and its totals by currency"""
    with services().database.read() as connection:
        items = [_view(connection, desk) for desk in services().desks]
    return {"items": items, "next_cursor": None, "totals": list(_totals(items))}


def _view(connection: Connection, desk: Desk) -> AccountView:
    found: Funds = funds.funds(connection, desk)
    return {
        "account": desk.account,
        "broker": services().broker_of(desk.account),
        "mode": mode_of(desk.account),
        "arming": arming.arming(connection, desk),
        "currency": desk.currency,
        "is_default": desk is services().desks.first,
        "open_positions": len(queries.open_positions(connection, desk.account)),
        "cash": found.cash,
        "equity": found.equity,
        "margin_used": found.margin_used,
        "available": found.available,
        "realised": found.realised,
        "unrealised": found.unrealised,
        "fees": found.fees,
    }


def _totals(items: Sequence[AccountView]) -> Iterable[CurrencyTotal]:
    def key(each: AccountView) -> tuple[str, str]:
        return each["currency"], each["mode"] or ""

    for _, group in groupby(sorted(items, key=key), key):
        together = list(group)
        yield {
            "currency": together[0]["currency"],
            "mode": together[0]["mode"],
            "accounts": [each["account"] for each in together],
            "cash": _sum(together, lambda each: each["cash"]),
            "equity": _sum(together, lambda each: each["equity"]),
            "realised": _sum(together, lambda each: each["realised"]),
            "unrealised": _sum(together, lambda each: each["unrealised"]),
            "fees": _sum(together, lambda each: each["fees"]),
        }


def _sum(items: Iterable[Any], amount: Callable[[AccountView], Decimal]) -> Decimal:
    return sum(map(amount, items), ZERO)
