"""The limits in force: those of the settings, and what an admin has changed at run time."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, bindparam, delete, insert, select

from algosat.config.settings import RiskSettings, checked_limits
from algosat.domain.risk.limits import TOTALS, Limits, too_low
from algosat.domain.scope import ACCOUNT, IN_LIMITS, TOTAL, Scope
from algosat.errors import InvalidBody
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.tables import limits as changes
from algosat.trading.desk import Desk
from algosat.validation_errors import findings, sentence

_CHANGED = Prepared(select(changes.c["values"]).where(changes.c.scope == bindparam("scope")))
_SCOPES = Prepared(select(changes.c.scope).order_by(changes.c.scope))


def effective(connection: Connection, desk: Desk, scope: Scope = ACCOUNT) -> Limits | None:
    """Return the limits of a scope as they are now; None for a strategy without limits of its own."""
    return in_force(connection, desk, (scope,)).get(scope)


def scopes(connection: Connection) -> list[Scope]:
    """Return the account, and every strategy that has limits of its own."""
    names = (row.scope for row in _SCOPES.all(connection))
    # No strategy has a colon in its name: account:NAME and total:CURRENCY are the others.
    return [ACCOUNT, *(Scope(name) for name in names if name != IN_LIMITS and ":" not in name)]


def in_force(connection: Connection, desk: Desk, scopes: tuple[Scope, ...]) -> dict[Scope, Limits]:
    """Return the limits of those scopes that have any; the account always has."""
    found = {scope: _changes(connection, desk, scope) for scope in scopes}
    return {
        scope: with_stored(desk.defaults, changed or {})
        for scope, changed in found.items()
        if changed is not None or scope == ACCOUNT
    }


def change(desk: Desk, scope: Scope, values: Mapping[str, Any], cause: Cause) -> Limits:
    """Change some limits of a scope; null restores the value of the settings.

    The next order is judged by them. Raises InvalidBody, which names every invalid value; then nothing has
    changed.
    """
    return desk.writer.run(lambda connection: _change(connection, desk, scope, values, cause))


def _change(
    connection: Connection, desk: Desk, scope: Scope, values: Mapping[str, Any], cause: Cause
) -> Limits:
    stored = _changes(connection, desk, scope) or {}
    wanted = {name: value for name, value in {**stored, **values}.items() if value is not None}
    result = with_changes(desk.defaults, {**_known(stored), **values})
    low = [{"field": name, "detail": text, "code": "too_low"} for name, text in too_low(values)]
    if low:
        raise InvalidBody(sentence(low), errors=low)
    changes_told = _from_to(stored, values)
    _put(connection, desk, scope.name(desk.limits_scope), wanted, changes_told, cause)
    return result


def _put(
    connection: Connection,
    desk: Desk,
    name: str,
    wanted: Mapping[str, Any],
    told: Mapping[str, Any],
    cause: Cause,
) -> None:
    """Store the limits of a scope. `told` is what the audit trail tells of the change."""
    at = desk.clock()
    connection.execute(delete(changes).where(changes.c.scope == name))
    if wanted:
        row = {"scope": name, "values": wanted, "changed_at": at, "changed_by": cause.actor}
        connection.execute(insert(changes), row)
    audit.append(connection, at, "risk.limits_changed", name, cause, dict(told))


def _from_to(stored: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return each changed limit with the value before; null: that of the settings."""
    return {name: {"from": stored.get(name), "to": value} for name, value in values.items()}


def _changes(connection: Connection, desk: Desk, scope: Scope) -> Mapping[str, Any] | None:
    """Return the stored changes of a strategy, or of the desk's account."""
    changed: Mapping[str, Any] | None = _CHANGED.scalar(connection, scope=scope.name(desk.limits_scope))
    return changed


def of_total(connection: Connection, currency: str) -> dict[str, Any]:
    """Return the limits that all accounts of a currency have together; those that are absent are lifted."""
    stored = _CHANGED.scalar(connection, scope=_total(currency)) or {}
    return {
        name: Decimal(value) if isinstance(value, str) else value
        for name, value in stored.items()
        if name in TOTALS
    }


def change_total(
    connection: Connection, desk: Desk, values: Mapping[str, Any], cause: Cause
) -> dict[str, Any]:
    """Change limits of all accounts of the desk's currency; null lifts one. Raises InvalidBody."""
    stored = _CHANGED.scalar(connection, scope=_total(desk.currency)) or {}
    with_changes(desk.defaults, values)
    wanted = {name: value for name, value in {**stored, **values}.items() if value is not None}
    _put(connection, desk, _total(desk.currency), wanted, _from_to(stored, values), cause)
    return of_total(connection, desk.currency)


def _total(currency: str) -> str:
    return f"{TOTAL}:{currency}"


def with_stored(defaults: Limits, values: Mapping[str, Any]) -> Limits:
    """Return the limits with stored changes. A limit that only another release knows is left out."""
    return with_changes(defaults, _known(values)) if values else defaults


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in Limits.__slots__}


def with_changes(defaults: Limits, values: Mapping[str, Any]) -> Limits:
    """Return the limits with these values changed; null leaves the value of the settings.

    Raises InvalidBody, naming every invalid value.
    """
    plain = {name: getattr(defaults, name) for name in Limits.__slots__}
    changed = {name: value for name, value in values.items() if value is not None}
    try:
        return checked_limits({**plain, **changed})
    except ValidationError as error:
        found = findings(error, RiskSettings)
        raise InvalidBody(sentence(found), errors=found) from None
