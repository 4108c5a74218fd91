"""Which machine may trade on the store: the first engine's claims it, another one waits to be adopted."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.machine import Machine, StoreState, halt_reason, state_for
from algosat.domain.scope import ACCOUNT
from algosat.errors import Conflict
from algosat.store import audit, heartbeats, machines
from algosat.store.audit import Cause
from algosat.store.leader_lock import NotLeading
from algosat.trading import alerts, halts
from algosat.trading.desk import Desk, Desks
from algosat.trading.halts import Halt

CLAIMED: Final = "engine.store_claimed"  # kinds of events in the audit trail
ADOPTED: Final = "engine.store_adopted"


def take(desk: Desk, machine: Machine, cause: Cause) -> StoreState:
    """Claim a store without an owner; halt trading in that of another machine.

    Called by the engine that has just taken the leader lock. Returns OWNED if the machine may trade, OTHER if
    the store must be adopted first.
    """
    return desk.writer.run(lambda connection: _take(connection, desk, machine, cause))


def state(connection: Connection, machine: Machine) -> StoreState:
    """Return what the store is to the machine."""
    return state_for(machine, machines.owner(connection))


def require_owner(connection: Connection, machine: Machine) -> None:
    """Raise NotLeading if the store belongs to another machine."""
    if state(connection, machine) is not StoreState.OWNED:
        raise NotLeading("the store belongs to another machine")


def require_adoptable(connection: Connection, desk: Desk, machine: Machine) -> Machine:
    """Return the owner that the machine would take the store over from.

    Raises Conflict if the store belongs to this machine or to none, or if the owner's engine leads on it now.
    """
    owner = machines.owner(connection)
    if owner is None:
        raise Conflict("the store belongs to no machine yet: the first engine that leads claims it")
    if owner.id == machine.id:
        raise Conflict(f"the store belongs to this machine, {machine}, already")
    last = heartbeats.read(connection, heartbeats.ENGINE)
    if last is not None and last.leads(desk.clock()):
        raise Conflict(f"the engine of {owner} leads on this store now: stop that engine first")
    return owner


def adopt(
    connection: Connection, desks: Desks, machine: Machine, reason: str, cause: Cause, *, resume: bool
) -> None:
    """Take the store over for this machine, in the caller's unit of work. Raises Conflict.

    The halt of all accounts stays unless `resume` is set.
    """
    desk = desks.first
    owner = require_adoptable(connection, desk, machine)
    now = desk.clock()
    machines.write_owner(connection, machine, now, cause.actor)
    data = {"reason": reason, "from": str(owner), "to": str(machine), "resumed": resume}
    audit.append(connection, now, ADOPTED, machine.id, cause, data)
    alerts.close_alert(connection, desk, AlertKind.ENGINE_OTHER_MACHINE, heartbeats.ENGINE, cause)
    if resume:
        halts.lift(connection, list(desks), ACCOUNT, cause)


def _take(connection: Connection, desk: Desk, machine: Machine, cause: Cause) -> StoreState:
    owner = machines.owner(connection)
    if owner is None:
        machines.write_owner(connection, machine, desk.clock(), cause.actor)
        audit.append(connection, desk.clock(), CLAIMED, machine.id, cause, {"machine": str(machine)})
    elif owner.id != machine.id:
        _halt_and_wait(connection, desk, machine, owner, cause)
        return StoreState.OTHER
    elif machines.is_waiting(connection):
        machines.remove_waiting(connection)
        alerts.close_alert(connection, desk, AlertKind.ENGINE_OTHER_MACHINE, heartbeats.ENGINE, cause)
    return StoreState.OWNED


def _halt_and_wait(
    connection: Connection, desk: Desk, machine: Machine, owner: Machine, cause: Cause
) -> None:
    """Halt trading, once, with an alert. Working orders stay: they may be those of the other machine."""
    earlier = [halt for halt in halts.all_in_force(connection) if halt.scope == ACCOUNT]
    if earlier and machines.is_waiting(connection, machine):
        return
    last = heartbeats.read(connection, heartbeats.ENGINE)
    reason = halt_reason(machine, owner, None if last is None else last.led_until)
    machines.write_waiting(connection, machine, desk.clock())
    alerts.open_alert(connection, desk, AlertKind.ENGINE_OTHER_MACHINE, heartbeats.ENGINE, cause, reason)
    wanted = Halt(ACCOUNT, desk.clock(), cause.actor, reason, flatten=False)
    if earlier:
        wanted = replace(wanted, reason=f"{reason}. Halted before: {earlier[0].reason}")
    halts.begin(connection, desk, wanted, cause, cancel_orders=False)
