"""Comparison of what people have decided with the events that tell of it.

Users, their sessions, halts, limits, settings, calendar entries and armed accounts follow from their events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, select

from algosat.store.audit import Event, digest
from algosat.store.tables import (
    account_arming,
    calendar_entries,
    halts,
    limits,
    overrides,
    sessions,
    users,
)

_Key = tuple[Any, ...]
_Columns = dict[str, Any]  # those that the events tell; an earlier release tells fewer
_NAMES: Final[Mapping[Table, tuple[str, tuple[str, ...]]]] = {
    users: ("user", ("username",)),
    halts: ("halt of", ("scope",)),
    limits: ("limits of", ("scope",)),
    overrides: ("setting", ("section", "key")),
    calendar_entries: ("calendar entry", ("entry",)),
    account_arming: ("arming of account", ("account",)),
}


@dataclass(slots=True)
class _Login:
    user: str
    at: datetime
    address: str
    ended_by: Event | None = None


@dataclass(slots=True)
class Decisions:
    """The decisions of the events followed so far."""

    rows: dict[Table, dict[_Key, _Columns]] = field(default_factory=lambda: defaultdict(dict))
    # By the session's id. Earlier releases did not record the id: by the user and the moment.
    logins: dict[str | tuple[str, datetime], _Login] = field(default_factory=dict)

    def follow(self, event: Event) -> list[str]:
        """Follow an event. Returns what is wrong with it."""
        step = _STEPS.get(event.kind)
        if step is None:
            return []
        try:
            step(self, event)
        except (KeyError, TypeError, AttributeError):
            return [f"event {event.seq}: {event.kind} of {event.subject} cannot be replayed"]
        return []

    def findings(self, connection: Connection) -> Iterator[str]:
        """Compare the stored rows with the events."""
        for table in _NAMES:
            yield from _compare(connection, table, self.rows[table])
        yield from self._compare_sessions(connection)

    def end_sessions(self, event: Event, user: str | None, *, kept: str = "") -> None:
        """Record that an event has ended the sessions of a user, or of all users if `user` is None."""
        for key, login in self.logins.items():
            if user in (None, login.user) and key != kept and login.ended_by is None:
                login.ended_by = event

    def _compare_sessions(self, connection: Connection) -> Iterator[str]:
        statement = select(sessions, users.c.username).outerjoin(users, users.c.id == sessions.c.user_id)
        for row in connection.execute(statement):
            login = self.logins.get(row.id) or self.logins.get((row.username, row.created_at))
            if login is None or login.user != row.username:
                yield f"session {row.id} of user {row.username}: there is no login of it"
                continue
            if (row.created_at, row.address) != (login.at, login.address[:64]):
                yield f"session {row.id}: its login was at {login.at} from {login.address}"
            ended = login.ended_by
            if ended is not None and row.revoked_at is None:
                yield f"session {row.id} of user {row.username} is open, but event {ended.seq} ended it"


def _compare(connection: Connection, table: Table, replayed: dict[_Key, _Columns]) -> Iterator[str]:
    what, key_columns = _NAMES[table]
    missing = dict(replayed)
    for row in connection.execute(select(table)):
        stored = _stored(row)
        key = tuple(stored[name] for name in key_columns)
        wanted = missing.pop(key, None)
        name = f"{what} {'.'.join(key)}"
        if wanted is None:
            yield f"{name}: stored, but no event tells of it"
            continue
        for column, value in wanted.items():
            if stored[column] != value:
                yield f"{name}: {column} is {stored[column]}, its events give {value}"
    for key in missing:
        yield f"{what} {'.'.join(key)}: its events give a row, but there is none"


def _stored(row: Row[Any]) -> _Columns:
    columns = dict(row._mapping)
    if "password_hash" in columns:
        columns["password_digest"] = digest(columns["password_hash"])
    return columns


def _user_added(found: Decisions, event: Event) -> None:
    found.rows[users][event.subject,] = {
        "role": event.data["role"],
        "disabled": False,
        "created_at": event.at,
        "password_changed_at": event.at,
        **_password(event),
    }


def _password(event: Event) -> _Columns:
    return {name: event.data[name] for name in ("password_digest",) if name in event.data}


def _password_changed(found: Decisions, event: Event) -> None:
    user = found.rows[users][event.subject,]
    user.pop("password_digest", None)
    user.update(_password(event), password_changed_at=event.at)
    if "kept" in event.data:
        found.end_sessions(event, event.subject, kept=event.data["kept"])


def _password_rehashed(found: Decisions, event: Event) -> None:
    found.rows[users][event.subject,].update(_password(event))


def _role_changed(found: Decisions, event: Event) -> None:
    found.rows[users][event.subject,]["role"] = event.data["to"]


def _user_enabled(found: Decisions, event: Event) -> None:
    found.rows[users][event.subject,]["disabled"] = False


def _user_disabled(found: Decisions, event: Event) -> None:
    found.rows[users][event.subject,]["disabled"] = True
    found.end_sessions(event, event.subject)


def _logged_in(found: Decisions, event: Event) -> None:
    login = _Login(event.subject, event.at, event.data["address"])
    found.logins[event.data.get("session") or (event.subject, event.at)] = login


def _session_ended(found: Decisions, event: Event) -> None:
    login = found.logins.get(event.data.get("session", ""))
    if login is not None and login.ended_by is None:
        login.ended_by = event


def _sessions_ended(found: Decisions, event: Event) -> None:
    found.end_sessions(event, None if event.data.get("everybody") else event.subject)


def _halted(found: Decisions, event: Event) -> None:
    told = ("reason", "flatten", "cancels_up_to")
    columns = {name: event.data[name] for name in told if name in event.data}
    found.rows[halts][event.subject,] = {"at": event.at, "actor": event.actor, **columns}


def _resumed(found: Decisions, event: Event) -> None:
    found.rows[halts].pop((event.subject,), None)


def _limits_changed(found: Decisions, event: Event) -> None:
    before = found.rows[limits].pop((event.subject,), {"values": {}})["values"]
    changed = {name: _new_value(value) for name, value in event.data.items()}
    values = {name: value for name, value in {**before, **changed}.items() if value is not None}
    if values:
        found.rows[limits][event.subject,] = {"values": values, **_changed(event)}


def _new_value(told: Any) -> Any:
    """Return the new value of a limit. Earlier releases told only that, without the value before."""
    return told["to"] if isinstance(told, dict) else told


def _setting_changed(found: Decisions, event: Event) -> None:
    for key, change in event.data.items():
        _put(found.rows[overrides], (event.subject, key), change["to"], event)


def _calendar_changed(found: Decisions, event: Event) -> None:
    _put(found.rows[calendar_entries], (event.subject,), event.data["to"], event)


def _put(rows: dict[_Key, _Columns], key: _Key, value: Any, event: Event) -> None:
    rows.pop(key, None)
    if value is not None:
        rows[key] = {"value": value, **_changed(event)}


def _changed(event: Event) -> _Columns:
    return {"changed_at": event.at, "changed_by": event.actor}


def _armed(found: Decisions, event: Event) -> None:
    found.rows[account_arming][event.subject,] = {
        "is_armed": event.kind == "account.armed",
        "reason": event.data["reason"],
        "changed_by": event.actor,
    }


_STEPS: Final[Mapping[str, Callable[[Decisions, Event], None]]] = {
    "user.added": _user_added,
    "user.password_changed": _password_changed,
    "user.password_rehashed": _password_rehashed,
    "user.role_changed": _role_changed,
    "user.enabled": _user_enabled,
    "user.disabled": _user_disabled,
    "security.login": _logged_in,
    "security.logout": _session_ended,
    "security.refresh_reused": _session_ended,
    "security.session_expired": _session_ended,
    "security.sessions_ended": _sessions_ended,
    "risk.halted": _halted,
    "risk.resumed": _resumed,
    "risk.limits_changed": _limits_changed,
    "config.changed": _setting_changed,
    "calendar.changed": _calendar_changed,
    "account.armed": _armed,
    "account.disarmed": _armed,
}
