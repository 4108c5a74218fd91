"""One machine trades on a store: the one whose engine claimed it, until another one adopts it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from algosat.domain.machine import Machine, StoreState
from algosat.domain.orders import Status
from algosat.domain.scope import Scope
from algosat.errors import Conflict
from algosat.store import heartbeats
from algosat.store.audit import Cause
from algosat.store.leader_lock import NotLeading
from algosat.store.tables import events
from algosat.store.tables import halts as halt_rows
from algosat.trading import halts, store_owner
from algosat.trading.desk import Desk, Desks
from tests.app.desks import CAUSE, accepted, buy, open_alerts, order_now
from tests.app.fakes import FakeClock

FIRST, SECOND = Machine("1a" * 16, "first"), Machine("2b" * 16, "second")
ENGINE = Cause("engine", "correlation-2")
ALERT = ("engine.other_machine", "engine")


def take(desk: Desk, machine: Machine) -> StoreState:
    return store_owner.take(desk, machine, ENGINE)


def adopt(desk: Desk, machine: Machine, *, resume: bool = False) -> None:
    desk.writer.run(
        lambda connection: store_owner.adopt(
            connection, Desks(desk), machine, "the first one is gone", CAUSE, resume=resume
        )
    )


def write_heartbeat(desk: Desk, **data: Any) -> None:
    desk.writer.run(lambda connection: heartbeats.write(connection, heartbeats.ENGINE, desk.clock(), data))


def reasons(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return [row.reason for row in connection.execute(select(halt_rows))]


def audited(desk: Desk, kind: str) -> list[Any]:
    with desk.database.read() as connection:
        return list(connection.execute(select(events).where(events.c.kind == kind)))


def test_first_engine_claims_a_store_and_trades(desk: Desk) -> None:
    assert take(desk, FIRST) is StoreState.OWNED
    assert take(desk, FIRST) is StoreState.OWNED
    assert len(audited(desk, store_owner.CLAIMED)) == 1
    assert (reasons(desk), open_alerts(desk)) == ([], set())


def test_engine_on_another_machine_halts_with_an_alert_and_cancels_nothing(desk: Desk) -> None:
    take(desk, FIRST)
    working = accepted(desk, buy(desk))
    write_heartbeat(desk, leading=True)
    assert take(desk, SECOND) is StoreState.OTHER
    assert order_now(desk, working).status is Status.OPEN
    assert order_now(desk, working).pending is None
    [reason] = reasons(desk)
    for part in (str(FIRST), str(SECOND), f"{desk.clock():%Y-%m-%d %H:%M:%S} UTC"):
        assert part in reason
    assert open_alerts(desk) == {ALERT}
    assert buy(desk, "11").status is Status.DENIED


def test_restarts_of_the_waiting_engine_write_nothing_more(desk: Desk) -> None:
    take(desk, FIRST)
    for _ in range(3):
        assert take(desk, SECOND) is StoreState.OTHER
    assert len(audited(desk, "risk.halted")) == 1


def test_earlier_halt_is_not_forgotten(desk: Desk) -> None:
    take(desk, FIRST)
    halts.halt_trading(desk, CAUSE, "wrong prices")
    take(desk, SECOND)
    [reason] = reasons(desk)
    assert reason.startswith("the store belongs to")  # so that no release takes the halt for its own
    assert reason.endswith("Halted before: wrong prices")


def test_trading_is_not_resumed_before_the_store_is_adopted(desk: Desk) -> None:
    take(desk, FIRST)
    take(desk, SECOND)
    with pytest.raises(Conflict, match="engine adopt"):
        halts.resume_trading(desk, CAUSE)
    halts.resume_trading(desk, CAUSE, scope=Scope(account=desk.account))  # frees nothing: all are halted
    adopt(desk, SECOND)
    assert halts.resume_trading(desk, CAUSE)
    assert buy(desk).status is not Status.DENIED


@pytest.mark.parametrize("resume", [False, True])
def test_adopted_store_belongs_to_this_machine(desk: Desk, resume: bool) -> None:
    take(desk, FIRST)
    take(desk, SECOND)
    adopt(desk, SECOND, resume=resume)
    [event] = audited(desk, store_owner.ADOPTED)
    assert event.actor == CAUSE.actor
    assert event.data == {
        "reason": "the first one is gone",
        "from": str(FIRST),
        "to": str(SECOND),
        "resumed": resume,
    }
    assert bool(reasons(desk)) is not resume
    assert open_alerts(desk) == set()
    assert take(desk, SECOND) is StoreState.OWNED
    assert take(desk, FIRST) is StoreState.OTHER  # the former owner has to adopt it back


def test_store_of_this_machine_or_of_none_is_not_adopted(desk: Desk) -> None:
    with pytest.raises(Conflict, match="no machine yet"):
        adopt(desk, FIRST)
    take(desk, FIRST)
    with pytest.raises(Conflict, match="this machine"):
        adopt(desk, FIRST)
    assert audited(desk, store_owner.ADOPTED) == []


def test_store_is_not_adopted_while_its_owners_engine_leads(desk: Desk, clock: FakeClock) -> None:
    take(desk, FIRST)
    write_heartbeat(desk, leading=True)
    with pytest.raises(Conflict, match="stop that engine first"):
        adopt(desk, SECOND)
    clock.forward(seconds=6)
    adopt(desk, SECOND)


def test_owner_that_leads_again_ends_the_waiting_of_another_machine(desk: Desk) -> None:
    """As with a store on PostgreSQL that two machines reach."""
    take(desk, FIRST)
    take(desk, SECOND)
    assert take(desk, FIRST) is StoreState.OWNED
    assert open_alerts(desk) == set()
    assert reasons(desk)  # resuming is a person's decision
    assert halts.resume_trading(desk, CAUSE)


def test_engine_whose_store_was_adopted_elsewhere_leads_no_more(desk: Desk) -> None:
    take(desk, FIRST)
    adopt(desk, SECOND)
    with desk.database.read() as connection:
        store_owner.require_owner(connection, SECOND)
        with pytest.raises(NotLeading):
            store_owner.require_owner(connection, FIRST)
