"""What people do with strategies: define them, start and stop them. The API and the CLI both come here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from algosat.errors import InvalidBody
from algosat.live import definitions
from algosat.live.definitions import Definition, Wanted
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.strategies import catalog
from algosat.strategies.parameters import Parameters
from algosat.trading.desk import Desk

CHANNEL: Final = "strategies"  # the supervisor's, in the runtime directory

# The name is a book's, a halt's and a limit's scope, and part of file names.
NAME: Final = r"[a-z][a-z0-9_-]{0,47}"
_NAME: Final = re.compile(NAME)
_TAKEN: Final = frozenset({"all", "account"})  # scopes of another meaning


def define(desk: Desk, name: str, class_name: str, parameters: Mapping[str, Any], cause: Cause) -> Definition:
    """Define a strategy, or change it: the next version. Raises InvalidBody, and then nothing has changed."""
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise InvalidBody(
            f"a strategy cannot be called {name!r}: small letters, digits, - and _, the first a letter, "
            f"48 at the most, and not {' or '.join(sorted(_TAKEN))}"
        )
    checked = catalog.parameters_of(catalog.class_named(class_name), parameters)

    def unit(connection: Connection) -> Definition:
        _require_listed(connection, checked)
        values = checked.model_dump(mode="json")
        return definitions.put(connection, name, class_name, values, desk.clock(), cause)

    return _told(desk, desk.writer.run(unit))


def start(desk: Desk, name: str, cause: Cause) -> Definition:
    """Have it run from now on, also after a restart of the server. Raises NotFound."""
    return _want(desk, name, Wanted.RUNNING, cause)


def stop(desk: Desk, name: str, cause: Cause) -> Definition:
    """Have it rest. Its orders and positions stay; the kill switch is for those. Raises NotFound."""
    return _want(desk, name, Wanted.STOPPED, cause)


def _want(desk: Desk, name: str, wanted: Wanted, cause: Cause) -> Definition:
    return _told(
        desk,
        desk.writer.run(lambda connection: definitions.want(connection, name, wanted, desk.clock(), cause)),
    )


def _told(desk: Desk, definition: Definition) -> Definition:
    desk.notifier.notify(CHANNEL)
    return definition


def _require_listed(connection: Connection, parameters: Parameters) -> None:
    unknown = [symbol for symbol in parameters.symbols if queries.instrument(connection, symbol) is None]
    if unknown:
        detail = f"no instrument {', '.join(unknown)} is known; GET /instruments lists them"
        raise InvalidBody(detail, errors=[{"field": "parameters.symbols", "detail": detail}])
