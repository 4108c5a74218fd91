"""Machines of a store: its owner, machines that wait to be adopted, and former owners.

A row for each machine, so that several owners are possible later (decision 0021).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, bindparam, delete, select, update

from algosat.domain.machine import Machine
from algosat.errors import Conflict
from algosat.store.prepared import Prepared
from algosat.store.row_writes import replace_rows
from algosat.store.tables import machines

ENGINE: Final = "engine"


class MachineStatus(StrEnum):
    OWNER = "owner"
    WAITING = "waiting"
    FORMER = "former"


_WITH_STATUS = Prepared(select(machines).where(machines.c.status == bindparam("status")))


def owner(connection: Connection) -> Machine | None:
    """Return the machine that the store belongs to; None if no engine has led on the store."""
    row = _WITH_STATUS.first(connection, status=MachineStatus.OWNER.value)
    return None if row is None else Machine(row.machine, row.name)


def is_waiting(connection: Connection, machine: Machine | None = None) -> bool:
    """Return whether this machine (None: any) waits for the store to be adopted."""
    waiting = {row.machine for row in _WITH_STATUS.all(connection, status=MachineStatus.WAITING.value)}
    return bool(waiting) if machine is None else machine.id in waiting


def write_owner(connection: Connection, machine: Machine, at: datetime, actor: str) -> None:
    """Make the machine the owner of the store, in place of the one before."""
    connection.execute(
        update(machines)
        .where(machines.c.status == MachineStatus.OWNER.value)
        .values(status=MachineStatus.FORMER.value, changed_at=at, changed_by=actor)
    )
    _write(connection, machine, MachineStatus.OWNER, at, actor)
    remove_waiting(connection)


def write_waiting(connection: Connection, machine: Machine, at: datetime) -> None:
    """Record that the machine waits for the store to be adopted."""
    _write(connection, machine, MachineStatus.WAITING, at, ENGINE)


def remove_waiting(connection: Connection) -> None:
    """Remove the machines that wait, because the store is in its owner's hands."""
    connection.execute(delete(machines).where(machines.c.status == MachineStatus.WAITING.value))


def require_adopted(connection: Connection) -> None:
    """Raise Conflict while a machine waits for the store to be adopted."""
    if is_waiting(connection):
        raise Conflict(
            "the store belongs to another machine: run `sudo algosat engine adopt` on this one, which can "
            "resume trading too"
        )


def _write(connection: Connection, machine: Machine, status: MachineStatus, at: datetime, actor: str) -> None:
    row = {
        "machine": machine.id,
        "name": machine.name,
        "status": status.value,
        "changed_at": at,
        "changed_by": actor,
    }
    replace_rows(machines).run(connection, row)
