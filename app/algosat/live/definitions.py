"""Strategy definitions in the store: versions, and whether each strategy should run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from algosat.domain.scope import ORIGINAL_ACCOUNT
from algosat.errors import NotFound
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.tables import strategies, strategy_versions


class Wanted(StrEnum):
    """The state that the operator wants."""

    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class StrategyVersion:
    """One version of a strategy: its class and its parameters."""

    name: str
    version: int
    class_name: str
    parameters: Mapping[str, Any]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A strategy: its latest version, and the state that the operator wants."""

    latest: StrategyVersion
    wanted: Wanted
    generation: int  # how many times it was started
    failure: str | None  # why it was given up; the next start clears the reason
    changed_at: datetime
    changed_by: str
    account: str  # on which it trades

    @property
    def name(self) -> str:
        return self.latest.name

    @property
    def run(self) -> str:
        """Return the name of the run: a new start or a new version is a new run."""
        return f"{self.generation}.{self.latest.version}"


_VERSIONS = select(strategy_versions)
_ALL = (
    select(
        strategy_versions,
        strategies.c.wanted,
        strategies.c.generation,
        strategies.c.failure,
        strategies.c.changed_at,
        strategies.c.changed_by,
        strategies.c.account,
    )
    .join(
        strategies,
        (strategies.c.name == strategy_versions.c.name)
        & (strategies.c.version == strategy_versions.c.version),
    )
    .order_by(strategies.c.name)
)


def list_all(connection: Connection) -> list[Definition]:
    """Return every definition, by name."""
    return _read(connection, _ALL)


def find(connection: Connection, name: str) -> Definition:
    """Return one definition. Raises NotFound."""
    found = _read(connection, _ALL.where(strategies.c.name == name))
    if not found:
        raise NotFound(f"there is no strategy {name}")
    return found[0]


def versions(connection: Connection, name: str, *, most: int) -> Sequence[StrategyVersion]:
    """Return the versions of a strategy, newest first, at most `most`."""
    statement = _VERSIONS.where(strategy_versions.c.name == name)
    rows = connection.execute(statement.order_by(strategy_versions.c.version.desc()).limit(most))
    return [_version(row) for row in rows]


def version(connection: Connection, name: str, number: int) -> StrategyVersion:
    """Return one version of a strategy."""
    statement = _VERSIONS.where(strategy_versions.c.name == name, strategy_versions.c.version == number)
    return _version(connection.execute(statement).one())


def account_of(connection: Connection, name: str) -> str | None:
    """Return the account on which a strategy trades; None if no such strategy is defined."""
    row = connection.execute(select(strategies.c.account).where(strategies.c.name == name)).first()
    return None if row is None else row.account or ORIGINAL_ACCOUNT


def put(
    connection: Connection,
    name: str,
    class_name: str,
    parameters: dict[str, Any],
    account: str,
    at: datetime,
    cause: Cause,
) -> Definition:
    """Define a strategy, or add a version. A running strategy is restarted with the new version.

    The account of a strategy never changes: its orders and positions are there.
    """
    row = connection.execute(select(strategies.c.version).where(strategies.c.name == name)).first()
    number = row.version + 1 if row else 1
    content = {"version": number, "class_name": class_name, "parameters": parameters}
    connection.execute(
        insert(strategy_versions), {"name": name, **content, "created_at": at, "created_by": cause.actor}
    )
    changed = {"version": number, "changed_at": at, "changed_by": cause.actor}
    if row:
        connection.execute(update(strategies).where(strategies.c.name == name), changed)
    else:
        fresh = {"name": name, "wanted": Wanted.STOPPED, "generation": 0, "failure": None, "account": account}
        connection.execute(insert(strategies), {**fresh, **changed})
    audit.append(connection, at, "strategy.defined", name, cause, content)
    return find(connection, name)


def set_wanted(connection: Connection, name: str, wanted: Wanted, at: datetime, cause: Cause) -> Definition:
    """Set whether a strategy should run. Setting the present value changes nothing. Raises NotFound."""
    known = find(connection, name)
    if known.wanted is wanted:
        return known
    changed: dict[str, Any] = {"wanted": wanted, "changed_at": at, "changed_by": cause.actor}
    kind = "strategy.stopped"
    if wanted is Wanted.RUNNING:
        kind = "strategy.started"
        changed |= {"generation": known.generation + 1, "failure": None}
    connection.execute(update(strategies).where(strategies.c.name == name), changed)
    audit.append(connection, at, kind, name, cause, {"version": known.latest.version})
    return find(connection, name)


def give_up(connection: Connection, failed: Definition, reason: str, at: datetime, cause: Cause) -> None:
    """Stop a strategy that keeps crashing, with the reason, unless it was started again meanwhile."""
    same = (strategies.c.name == failed.name) & (strategies.c.generation == failed.generation)
    changed = {"wanted": Wanted.STOPPED, "failure": reason, "changed_at": at, "changed_by": cause.actor}
    if connection.execute(update(strategies).where(same), changed).rowcount:
        audit.append(connection, at, "strategy.given_up", failed.name, cause, {"reason": reason})


def _read(connection: Connection, statement: Select[Any]) -> list[Definition]:
    return [
        Definition(
            latest=_version(row),
            wanted=Wanted(row.wanted),
            generation=row.generation,
            failure=row.failure,
            changed_at=row.changed_at,
            changed_by=row.changed_by,
            account=row.account or ORIGINAL_ACCOUNT,
        )
        for row in connection.execute(statement)
    ]


def _version(row: Row[Any]) -> StrategyVersion:
    return StrategyVersion(
        row.name, row.version, row.class_name, row.parameters, row.created_at, row.created_by
    )
