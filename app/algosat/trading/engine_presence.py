"""Whether anybody is there to send an order: the engine, and the broker behind it.

What nobody could send would be rejected when its deadline has passed. The client is told at once instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from algosat.clock import Clock
from algosat.domain.orders import OrderTerms
from algosat.errors import AlgosatError, BrokerNotReached, EngineAway
from algosat.store import heartbeats

_LOOK_EVERY: Final = 0.5  # seconds: orders in between cost no statement
_STORED: Final = "closes (POST /positions/{symbol}/close), cancels and halts are stored and carried out later"

RequireEngine = Callable[[Connection, Sequence[OrderTerms]], None]


def accept_without_engine(_connection: Connection, _wanted: Sequence[OrderTerms]) -> None:
    """Accept orders whether an engine runs or not: a strategy handles the rejection of its order."""


class EnginePresence:
    """Refuses orders that nobody can send now, by the engine's heartbeat.

    A store on which no engine has run yet takes orders: its engine is about to start.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._look_at = 0.0
        self._heartbeat: heartbeats.Heartbeat | None = None

    def require(self, connection: Connection, wanted: Sequence[OrderTerms]) -> None:
        """Raise EngineAway or BrokerNotReached if one of the orders is to be sent now, and could not be.

        After-market orders wait in any case. Exits are tried while the broker takes no entries.
        """
        due = [terms for terms in wanted if not terms.is_after_market]
        if not due:
            return
        now = time.monotonic()
        if now >= self._look_at:
            self._heartbeat, self._look_at = heartbeats.read(connection, heartbeats.ENGINE), now + _LOOK_EVERY
        refusal = None if self._heartbeat is None else _refusal(self._heartbeat, due, self._clock())
        if refusal is not None:
            self._look_at = 0.0  # the next order passes as soon as the engine is back
            raise refusal


def _refusal(
    heartbeat: heartbeats.Heartbeat, due: Sequence[OrderTerms], now: datetime
) -> AlgosatError | None:
    silence = abs(now - heartbeat.led_until)
    if silence > heartbeats.SILENT_AFTER:
        return EngineAway(f"no engine has sent orders for {silence.total_seconds():.0f} s; {_STORED}")
    account = due[0].account
    state: Mapping[str, Any] = heartbeat.accounts().get(account) or {}
    since = state.get("unavailable_since")
    if since is None or all(terms.reduce_only for terms in due):
        return None
    if abs(now - datetime.fromisoformat(since)) <= heartbeats.SILENT_AFTER:
        return None
    why = (state.get("broker") or {}).get("detail") or "its order book has not been read"
    return BrokerNotReached(f"the broker of account {account} takes no orders: {why}; {_STORED}")
