"""Placing one order at the broker, once it is committed as submitting, and writing what came of it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from algosat.clock import has_come
from algosat.domain.orders import EventKind, Order
from algosat.domain.reason_codes import EngineCode
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.report_processor import ReportProcessor
from algosat.engine.throttle import FEWER_REQUESTS, Throttle
from algosat.errors import (
    BrokerError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerSessionExpired,
    BrokerUncertain,
)
from algosat.trading.desk import Desk

_AGAIN_AFTER: Final = timedelta(milliseconds=250)  # what surely did not leave is sent again
HUNG_AFTER: Final = timedelta(seconds=15)  # a call that takes longer is not believed in any more


class Sender:
    """Knows which orders are on their way, and which wait to be sent again."""

    def __init__(
        self,
        desk: Desk,
        broker: GuardedBroker,
        report_processor: ReportProcessor,
        throttle: Throttle,
        deadline: timedelta,
    ) -> None:
        self._desk, self._broker, self._intake, self._limiter = desk, broker, report_processor, throttle
        self._deadline = deadline
        self._lock = threading.Lock()
        self._calling: dict[str, datetime] = {}
        self._waiting: dict[str, tuple[datetime, Order]] = {}
        self._is_ending = False

    def send(self, order: Order) -> None:
        """Place an order that is committed as submitting. Never raises what a broker did."""
        if self._is_late(order):
            self._refuse(order, EngineCode.SEND_DEADLINE, "it could not be sent in time")
            return
        with self._lock:
            self._calling[order.id] = self._desk.clock()
        try:
            self._place(order)
        finally:
            with self._lock:
                self._calling.pop(order.id, None)

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def due(self) -> list[Order]:
        """Orders that surely did not leave, and whose next try has come; they wait until forgotten."""
        now = self._desk.clock()
        with self._lock:
            return [order for at, order in self._waiting.values() if has_come(at, now, within=_AGAIN_AFTER)]

    def forget(self, orders: Iterable[Order]) -> None:
        """These wait no longer: they are sent now, or never."""
        with self._lock:
            for order in orders:
                self._waiting.pop(order.id, None)

    def refuse_waiting(self) -> None:
        """The engine stops: what surely did not leave, now or soon, is not left to be sought in vain."""
        with self._lock:
            self._is_ending = True
            waiting, self._waiting = self._waiting, {}
        for _, order in waiting.values():
            self._refuse_interrupted(order)

    def give_up_hung(self) -> None:
        """Calls that do not come back: what they did is unknown. Their late answer still counts."""
        now = self._desk.clock()
        with self._lock:
            hung = [order_id for order_id, since in self._calling.items() if abs(now - since) > HUNG_AFTER]
        for order_id in hung:
            self._intake.happened(
                order_id,
                EventKind.UNCERTAIN,
                code=BrokerUncertain.code,
                reason="the broker did not answer",
            )

    def _place(self, order: Order) -> None:
        try:
            report = self._broker.place(order)
        except (BrokerNotReached, BrokerSessionExpired) as error:
            self._send_again(order, error)
        except BrokerUncertain as error:
            self._intake.happened(
                order.id, EventKind.UNCERTAIN, code=error.reported_code, reason=error.detail
            )
        except BrokerError as error:
            self._refuse(order, error.reported_code, error.detail)
        else:
            self._intake.take([report])

    def _send_again(self, order: Order, error: BrokerError) -> None:
        now = self._desk.clock()
        if isinstance(error, BrokerRateLimited):
            self._limiter.pause(now + FEWER_REQUESTS)
        if abs(now + _AGAIN_AFTER - order.created_at) > self._deadline:
            self._refuse(order, error.reported_code, error.detail)
            return
        with self._lock:
            if not self._is_ending:
                self._waiting[order.id] = (now + _AGAIN_AFTER, order)
                return
        self._refuse_interrupted(order)

    def _refuse_interrupted(self, order: Order) -> None:
        self._refuse(order, EngineCode.INTERRUPTED, "the engine stopped before it could be sent again")

    def _is_late(self, order: Order) -> bool:
        return abs(self._desk.clock() - order.created_at) > self._deadline

    def _refuse(self, order: Order, code: str, reason: str) -> None:
        self._intake.happened(order.id, EventKind.REJECTED, code=code, reason=reason)
