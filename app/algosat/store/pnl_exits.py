"""Rows of P&L exits."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from algosat.domain.pnl_exits import PnlExit, PnlOutcome
from algosat.store.prepared import Prepared
from algosat.store.tables import pnl_exits

_NAMES: Final = tuple(each.name for each in fields(PnlExit))
_OF_ACCOUNT = Prepared(
    select(pnl_exits).where(pnl_exits.c.account == bindparam("account")).order_by(pnl_exits.c.strategy)
)
_HALTING = Prepared(
    select(pnl_exits.c.strategy, pnl_exits.c.halted_at).where(pnl_exits.c.halted_at.is_not(None))
)
_ONE = Prepared(
    select(pnl_exits).where(
        pnl_exits.c.account == bindparam("account"), pnl_exits.c.strategy == bindparam("strategy")
    )
)


def all_of(connection: Connection, account: str) -> list[PnlExit]:
    """Return the P&L exits of an account, by strategy."""
    return [_from(row) for row in _OF_ACCOUNT.all(connection, account=account)]


def halts_begun(connection: Connection) -> set[tuple[str, datetime]]:
    """Return strategy and time of the halts that P&L exits of all accounts began and the engine will lift."""
    return {(row.strategy, row.halted_at) for row in _HALTING.each(connection)}


def get(connection: Connection, account: str, strategy: str) -> PnlExit | None:
    row = _ONE.first(connection, account=account, strategy=strategy)
    return None if row is None else _from(row)


def put(connection: Connection, new: PnlExit) -> PnlExit:
    """Store a P&L exit in place of the strategy's present one."""
    remove(connection, new.account, new.strategy)
    values = {name: getattr(new, name) for name in _NAMES}
    connection.execute(insert(pnl_exits), {**values, "outcome": new.outcome and new.outcome.value})
    return new


def remove(connection: Connection, account: str, strategy: str) -> None:
    of_strategy = (pnl_exits.c.account == account, pnl_exits.c.strategy == strategy)
    connection.execute(delete(pnl_exits).where(*of_strategy))


def data(of: PnlExit) -> dict[str, Any]:
    """Return the amounts as the data of an audit event."""
    amounts = {"profit_target": of.profit_target, "loss_limit": of.loss_limit}
    return {name: _text(amount) for name, amount in amounts.items()}


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else format(amount, "f")


def _from(row: Any) -> PnlExit:
    values = {name: getattr(row, name) for name in _NAMES}
    return PnlExit(**{**values, "outcome": None if row.outcome is None else PnlOutcome(row.outcome)})
