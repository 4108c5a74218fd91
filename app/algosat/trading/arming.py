"""Arming and disarming of live accounts."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from algosat.domain.arming import Arming
from algosat.errors import Conflict
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.row_writes import replace_rows
from algosat.store.tables import account_arming
from algosat.trading.desk import Desk

_ROW = Prepared(select(account_arming).where(account_arming.c.account == bindparam("account")))


def arming(connection: Connection, desk: Desk) -> Arming:
    """Return which orders the account takes. Only a live account costs a statement."""
    if not desk.is_live:
        return Arming.ARMED
    row = _ROW.first(connection, account=desk.account)
    if row is None:
        return Arming.READ_ONLY
    return Arming.ARMED if row.is_armed else Arming.EXITS_ONLY


def arm(desk: Desk, reason: str, cause: Cause) -> None:
    """Let a live account take orders, within the small limits that it starts with. Raises Conflict."""
    _change(desk, reason, cause, is_armed=True)


def disarm(desk: Desk, reason: str, cause: Cause) -> None:
    """Let a live account take exits only. Working orders stay: a halt cancels them. Raises Conflict."""
    _change(desk, reason, cause, is_armed=False)


def _change(desk: Desk, reason: str, cause: Cause, *, is_armed: bool) -> None:
    if not desk.is_live:
        raise Conflict(f"account {desk.account} is a paper account: it needs no arming")
    row = {
        "account": desk.account,
        "is_armed": is_armed,
        "reason": reason,
        "changed_at": desk.clock(),
        "changed_by": cause.actor,
    }

    def unit(connection: Connection) -> None:
        if not is_armed and arming(connection, desk) is Arming.READ_ONLY:
            raise Conflict(f"account {desk.account} was never armed")
        replace_rows(account_arming).run(connection, row)
        kind = "account.armed" if is_armed else "account.disarmed"
        audit.append(connection, desk.clock(), kind, desk.account, cause, {"reason": reason})

    desk.writer.run(unit)
