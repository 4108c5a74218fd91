"""A broker behind a circuit breaker: when it fails again and again, it is left in peace for a while.

What an open breaker refuses has surely not been sent. Cancels always go through: a way out is
tried even at a broker that fails. What an adapter raises beyond the protocol's errors is an
uncertain outcome.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog

from algosat.brokers.base import Broker, BrokerSession
from algosat.clock import Clock, has_come
from algosat.domain.orders import Order, OrderChange
from algosat.domain.orders.report import OrderReport
from algosat.errors import BrokerError, BrokerNotReached, BrokerUncertain

T = TypeVar("T")

_FAILURES: Final = 5  # in a row, before it opens
_REST: Final = timedelta(seconds=5)

_log = structlog.get_logger(__name__)


class GuardedBroker:
    """Counts a broker's failures and answers for it while it rests."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._resting_until: datetime | None = None

    @property
    def fences(self) -> bool:
        return self._broker.fences

    @property
    def is_resting(self) -> bool:
        with self._lock:
            rests = self._resting_until
            return rests is not None and not has_come(rests, self._clock(), within=_REST)

    def session(self) -> BrokerSession:
        """Whether orders may be sent now."""
        if self.is_resting:
            return BrokerSession(
                active=False, detail=f"{self._broker.name} failed {_FAILURES} times in a row; it rests"
            )
        return self._broker.session()

    def place(self, order: Order) -> OrderReport:
        return self._counted(lambda: self._broker.place(order))

    def modify(self, order: Order, change: OrderChange) -> OrderReport:
        return self._counted(lambda: self._broker.modify(order, change))

    def cancel(self, order: Order) -> OrderReport:
        return self._counted(lambda: self._broker.cancel(order), always=True)

    def find(self, tag: str) -> OrderReport | None:
        return self._counted(lambda: self._broker.find(tag))

    def reports(self) -> Sequence[OrderReport]:
        return self._counted(self._broker.reports)

    def _counted(self, call: Callable[[], T], *, always: bool = False) -> T:
        if self.is_resting and not always:
            raise BrokerNotReached(f"{self._broker.name} failed {_FAILURES} times in a row; it rests")
        try:
            result = call()
        except (BrokerNotReached, BrokerUncertain):
            self._failed()
            raise
        except BrokerError:
            self._answered()
            raise
        except Exception as error:  # whatever broke in an adapter, the request may have left
            self._failed()
            _log.exception("broker_adapter_failed", broker=self._broker.name)
            raise BrokerUncertain(f"{type(error).__name__}: {error}") from error
        self._answered()
        return result

    def _answered(self) -> None:
        with self._lock:
            self._failures, self._resting_until = 0, None

    def _failed(self) -> None:
        with self._lock:
            self._failures += 1
            if self._failures < _FAILURES:
                return
            self._resting_until = self._clock() + _REST
        _log.error("broker_rests", broker=self._broker.name, seconds=_REST.total_seconds())
