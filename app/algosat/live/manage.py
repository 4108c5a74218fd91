"""Use cases of the API and the CLI: define, start and stop strategies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from algosat.domain.scope import RESERVED_NAMES
from algosat.errors import InvalidBody, NotFound
from algosat.live import definitions
from algosat.live.definitions import Definition, Wanted
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.strategies import catalog
from algosat.strategies.parameters import Parameters
from algosat.trading.desk import Desk, Desks

CHANNEL: Final = "strategies"  # the supervisor's wake-up channel

# The name is also the scope of halts and limits, and part of file names.
NAME: Final = r"[a-z][a-z0-9_-]{0,47}"
_NAME: Final = re.compile(NAME)


def desk_of(desks: Desks, name: str) -> Desk:
    """Return the desk of the account on which a strategy trades. Raises NotFound."""
    with desks.first.database.read() as connection:
        return desks.of(definitions.find(connection, name).account)


def desk_for(desks: Desks, name: str, account: str | None) -> Desk:
    """Return the desk of an account; None: of the strategy's, or of the first one for a new strategy.

    Raises NotFound for an account that is not configured.
    """
    with desks.first.database.read() as connection:
        return desks.of(account or definitions.account_of(connection, name))


def define(desk: Desk, name: str, class_name: str, parameters: Mapping[str, Any], cause: Cause) -> Definition:
    """Define a strategy on the desk's account, or add a version to it. Raises InvalidBody."""
    if not _NAME.fullmatch(name) or name in RESERVED_NAMES:
        raise InvalidBody(
            f"a strategy cannot be called {name!r}: use 1 to 48 lowercase letters, digits, - and _, "
            "beginning with a letter, and none of all, account, external and total"
        )
    checked = catalog.parameters_of(catalog.class_named(class_name), parameters)

    def unit(connection: Connection) -> Definition:
        _require_same_account(connection, desk, name)
        _require_listed(connection, desk.venue, checked)
        values = checked.model_dump(mode="json")
        return definitions.put(connection, name, class_name, values, desk.account, desk.clock(), cause)

    return _notified(desk, desk.writer.run(unit))


def start(desk: Desk, name: str, cause: Cause) -> Definition:
    """Start a strategy; it is started again after a restart of the server. Raises NotFound."""
    return _set_wanted(desk, name, Wanted.RUNNING, cause)


def stop(desk: Desk, name: str, cause: Cause) -> Definition:
    """Stop a strategy. Its orders and positions stay; a halt is for those. Raises NotFound."""
    return _set_wanted(desk, name, Wanted.STOPPED, cause)


def _set_wanted(desk: Desk, name: str, wanted: Wanted, cause: Cause) -> Definition:
    def unit(connection: Connection) -> Definition:
        return definitions.set_wanted(connection, name, wanted, desk.clock(), cause)

    return _notified(desk, desk.writer.run(unit))


def _notified(desk: Desk, definition: Definition) -> Definition:
    desk.notifier.notify(CHANNEL)
    return definition


def _require_same_account(connection: Connection, desk: Desk, name: str) -> None:
    """Check that an existing strategy trades on the desk's account: its orders and positions are there."""
    try:
        account = definitions.find(connection, name).account
    except NotFound:
        return
    if account == desk.account:
        return
    detail = f"strategy {name} trades on account {account}: define another one"
    raise InvalidBody(detail, errors=[{"field": "account", "detail": detail}])


def _require_listed(connection: Connection, venue: str, parameters: Parameters) -> None:
    unknown = [
        symbol for symbol in parameters.symbols if queries.listed(connection, venue, symbol)[0] is None
    ]
    if unknown:
        detail = f"no instrument {', '.join(unknown)} is known; GET /instruments lists them"
        raise InvalidBody(detail, errors=[{"field": "parameters.symbols", "detail": detail}])
