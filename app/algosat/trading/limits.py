"""The limits a book is held to: those of the settings, and what an admin changed at run time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, bindparam, delete, insert, select

from algosat.config.settings import checked_limits
from algosat.domain.risk.limits import Limits
from algosat.errors import InvalidBody
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.tables import limits as changes
from algosat.trading.desk import Desk
from algosat.validation_errors import findings, sentence

ACCOUNT: Final = "account"  # the scope of the whole account; every other scope is a strategy's name

_CHANGED = Prepared(select(changes.c["values"]).where(changes.c.scope == bindparam("scope")))


def effective(connection: Connection, defaults: Limits, scope: str = ACCOUNT) -> Limits | None:
    """The limits of a scope as they are now; None for a strategy that has none of its own."""
    return in_force(connection, defaults, (scope,)).get(scope)


def scopes(connection: Connection) -> list[str]:
    """The account, and every strategy that has limits of its own."""
    changed = connection.execute(select(changes.c.scope).order_by(changes.c.scope)).scalars()
    return [ACCOUNT, *(scope for scope in changed if scope != ACCOUNT)]


def in_force(connection: Connection, defaults: Limits, scopes: tuple[str, ...]) -> dict[str, Limits]:
    """The limits of those scopes that have any; the account always has."""
    found = {scope: _CHANGED.scalar(connection, scope=scope) for scope in scopes}
    return {
        scope: with_changes(defaults, changed or {})
        for scope, changed in found.items()
        if changed is not None or scope == ACCOUNT
    }


def change(desk: Desk, scope: str, values: Mapping[str, Any], cause: Cause) -> Limits:
    """Change some limits of a scope; null takes a change back. The next order sees it.

    Raises InvalidBody, naming every value that is no limit; then nothing has changed.
    """
    return desk.writer.run(lambda connection: _change(connection, desk, scope, values, cause))


def _change(
    connection: Connection, desk: Desk, scope: str, values: Mapping[str, Any], cause: Cause
) -> Limits:
    merged = {**(_CHANGED.scalar(connection, scope=scope) or {}), **values}
    wanted = {name: value for name, value in merged.items() if value is not None}
    result = with_changes(desk.defaults, wanted)
    at = desk.clock()
    connection.execute(delete(changes).where(changes.c.scope == scope))
    if wanted:
        row = {"scope": scope, "values": wanted, "changed_at": at, "changed_by": cause.actor}
        connection.execute(insert(changes), row)
    audit.append(connection, at, "risk.limits_changed", scope, cause, dict(values))
    return result


def with_changes(defaults: Limits, values: Mapping[str, Any]) -> Limits:
    """Return the limits with these values changed. Raises InvalidBody, naming every invalid value."""
    if not values:
        return defaults
    plain = {name: getattr(defaults, name) for name in Limits.__slots__}
    try:
        return checked_limits({**plain, **values})
    except ValidationError as error:
        found = findings(error)
        raise InvalidBody(sentence(found), errors=found) from None
