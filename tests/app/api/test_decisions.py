"""What people have decided follows from events: each change that has none is found by `store verify`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from flask import Flask
from sqlalchemy import Column, Connection, Table, and_, delete, insert, select, update

from algosat.api.context import Services
from algosat.brokers.paper.capabilities import CAPABILITIES
from algosat.domain.scope import ACCOUNT, Scope
from algosat.security import users as people
from algosat.security.principals import Role
from algosat.store import audit, calendar_entries, overrides
from algosat.store.tables import account_arming, halts, limits, sessions, users
from algosat.store.tables import calendar_entries as calendar_rows
from algosat.store.tables import overrides as settings
from algosat.store.verify.decisions import Decisions
from algosat.store.verify.verify import verify
from algosat.trading import arming
from algosat.trading import halts as halting
from algosat.trading import limits as limiting
from tests.app.client import Client
from tests.app.desks import CAUSE

NOUNS: Final = {
    users: "user",
    sessions: "session",
    halts: "halt",
    limits: "limits",
    settings: "setting",
    calendar_rows: "calendar entry",
    account_arming: "arming",
}
# A column of which no event tells, and why its change needs none.
UNTOLD: Final = {
    "users.id": "a user's sessions then belong to nobody who has logged in",
    "sessions.refresh_hash": "each refresh changes it",
    "sessions.last_seen_at": "each use changes it",
    "sessions.expires_at": "each refresh changes it",
    "sessions.user_agent": "nothing is decided by it",
    "account_arming.changed_at": "earlier releases recorded another moment than the event's",
}


@pytest.fixture
def decided(app: Flask, services: Services, admin: Client, trader: Client) -> Services:
    """Decide something of every kind, take some of it back, and end sessions in every way."""
    assert trader.post("/auth/logout").status_code == 200
    Client(app).log_in("viewer")
    desk, at = services.desk, services.clock()
    halting.halt_trading(desk, CAUSE, "once")
    halting.resume_trading(desk, CAUSE)
    halting.halt_trading(desk, CAUSE, "stop", scope=Scope(account=desk.account))
    limiting.change(desk, ACCOUNT, {"max_order_value": "500", "max_open_orders": 3}, CAUSE)
    limiting.change(desk, ACCOUNT, {"max_order_value": None}, CAUSE)
    live = replace(desk, capabilities=replace(CAPABILITIES, is_live=True))
    arming.arm(live, "first day", CAUSE)

    def work(connection: Connection) -> None:
        people.set_role(connection, "trader", Role.VIEWER, at, CAUSE)
        people.set_disabled(connection, "viewer", True, at, CAUSE)
        people.rehash(connection, "viewer", "another hash", at, CAUSE)
        people.set_password(connection, "trader", "a third hash", at, CAUSE)
        before = {"level": "info", "format": "json"}
        overrides.put(connection, "logging", {"level": "debug", "format": "text"}, before, at, CAUSE)
        overrides.put(connection, "logging", {"format": None}, {"format": "text"}, at, CAUSE)
        calendar_entries.put(connection, "2026-12-25", {"name": "Christmas"}, at, CAUSE)

    services.writer.run(work)
    return services


def findings(connection: Connection) -> list[str]:
    return verify(connection).findings


def after(services: Services, tampering: Any) -> list[str]:
    """Return the findings after a statement, which is taken back."""
    with services.database.engine.connect() as connection:
        connection.execute(tampering)
        return findings(connection)


def other(value: Any, column: Column[Any]) -> Any:
    """Return another value for the column; for the end of a session that it has none."""
    match value:
        case bool():
            return not value
        case None | int():
            return (value or 0) + 1
        case datetime():
            return None if column is sessions.c.revoked_at else value + timedelta(hours=1)
        case str():
            return f"x{value[1:]}"
    return {"other": 1}


def key_of(table: Table, row: Any) -> Any:
    return and_(*(column == row._mapping[column.name] for column in table.primary_key))


def edits(connection: Connection, table: Table) -> Iterator[tuple[str, Any]]:
    """Yield a change of each column of each row, the removal of each row, and a copy of one."""
    rows = connection.execute(select(table)).all()
    assert rows, f"the fixture stores nothing in {table.name}"
    for row in rows:
        for column in table.columns:
            value = row._mapping[column.name]
            if f"{table.name}.{column.name}" in UNTOLD or (value is None and table is sessions):
                continue
            changed = {column.name: other(value, column)}
            yield f"{table.name}.{column.name}", update(table).where(key_of(table, row)).values(changed)
        if table is not sessions:  # a session without a row is one that has ended
            yield f"{table.name}: deleted", delete(table).where(key_of(table, row))
    copy = {
        name: f"x{value}"[:30] if isinstance(value, str) else value for name, value in row._asdict().items()
    }
    if table is users:
        copy |= {"id": row.id + 10, "role": "admin"}
    yield f"{table.name}: inserted", insert(table).values(copy)


def test_decisions_that_events_tell_of_are_clean(decided: Services) -> None:
    with decided.database.read() as connection:
        assert findings(connection) == []


def test_each_change_without_an_event_is_found_and_named(decided: Services) -> None:
    missed: list[str] = []
    for table, noun in NOUNS.items():
        with decided.database.read() as connection:
            found = list(edits(connection, table))
        missed += [
            name
            for name, tampering in found
            if not any(each.startswith(noun) for each in after(decided, tampering))
        ]
    assert missed == []


def test_attacks_of_the_security_review_are_named(decided: Services) -> None:
    for tampering, finding in (
        (update(users).values(role="admin").where(users.c.username == "viewer"), "role is admin"),
        (update(sessions).values(revoked_at=None), "is open, but event"),
        (update(users).values(disabled=False), "disabled is False"),
        (update(users).values(password_hash="$argon2id$mine"), "password_digest is"),
        (update(users).values(id=999).where(users.c.username == "trader"), "there is no login of it"),
        (delete(halts), "halt of account:paper: its events give a row, but there is none"),
    ):
        assert any(finding in each for each in after(decided, tampering)), finding


def test_events_of_earlier_releases_are_replayed(services: Services) -> None:
    """They tell no digest, no session and no value before: what they tell is compared, and no more."""
    at = services.clock()

    def work(connection: Connection) -> None:
        people.set_password(connection, "viewer", "one more hash", at, CAUSE)
        row = {
            "scope": "account",
            "values": {"max_open_orders": 3},
            "changed_at": at,
            "changed_by": CAUSE.actor,
        }
        connection.execute(insert(limits), row)
        audit.append(connection, at, "risk.limits_changed", "account", CAUSE, {"max_open_orders": 3})
        audit.append(connection, at, "user.password_changed", "viewer", CAUSE, {})
        connection.execute(update(users).where(users.c.username == "viewer").values(password_hash="unknown"))
        audit.append(connection, at, "security.login", "viewer", CAUSE, {"address": "192.0.2.1"})
        viewer = people.get(connection, "viewer")
        session = {"id": "1", "user_id": viewer.id, "refresh_hash": "", "created_at": at, "last_seen_at": at}
        end = {"expires_at": at + timedelta(days=1), "address": "192.0.2.1", "user_agent": ""}
        connection.execute(insert(sessions), {**session, **end})
        audit.append(connection, at, "security.logout", "viewer", CAUSE, {})

    services.writer.run(work)
    with services.database.read() as connection:
        assert findings(connection) == []


def test_event_that_cannot_be_replayed_is_a_finding(services: Services) -> None:
    event = audit.Event(7, services.clock(), "user.role_changed", "ghost", "a", "b", {"to": "admin"}, "", "")
    assert Decisions().follow(event) == ["event 7: user.role_changed of ghost cannot be replayed"]
