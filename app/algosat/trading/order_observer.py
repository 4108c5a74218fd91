"""What follows the commit of an order's events: metrics, a log line, and an entry in the error log.

The ledger calls the observer for whatever changes an order, so no part of the application can change one
without a trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection

from algosat.domain.capabilities import Mode
from algosat.domain.orders import EventKind, Order, OrderEvent, Status
from algosat.errors import ExitRefused, OrderOutcomeUnknown, OrderRefused
from algosat.monitoring import metrics
from algosat.resilience.error_log import ErrorLog
from algosat.store.audit import Cause
from algosat.store.writer import after_commit

# What the client was promised, and does not get.
_REFUSALS: Final = frozenset({EventKind.REJECTED, EventKind.MODIFY_FAILED, EventKind.CANCEL_FAILED})
_LOST: Final = frozenset({EventKind.UNCERTAIN, EventKind.NOT_FOUND})
_ROUTINE: Final = frozenset({EventKind.SUBMITTING})  # milliseconds before the acknowledgement: debug level

_log = structlog.get_logger(__name__)


class OrderObserver:
    """The observer of one account's orders."""

    def __init__(self, account: str, mode: Mode, errors: ErrorLog) -> None:
        self._account, self._mode, self._errors = account, mode, errors

    def observe(
        self,
        connection: Connection,
        before: Status | None,
        order: Order,
        events: Sequence[OrderEvent],
        cause: Cause,
    ) -> None:
        """Count, log and note these events once they are committed.

        `before` is the status before them; None: the gate has just accepted the order.
        """
        after_commit(connection, partial(self._tell, before, order, events, cause))

    def _tell(self, before: Status | None, order: Order, events: Sequence[OrderEvent], cause: Cause) -> None:
        if order.status is not before:
            outcome = "accepted" if before is None else order.status.value
            metrics.orders(outcome, self._account, self._mode).inc()
        for event in events:
            self._log_event(order, event, cause)
            if event.kind is EventKind.REJECTED:
                metrics.rejections(event.code, self._account, self._mode).inc()
            elif event.kind is EventKind.DENIED:
                metrics.denials(event.code, self._account, self._mode).inc()
            if event.kind in _REFUSALS or event.kind in _LOST:
                self._errors.record(_error(order, event), f"orders {self._account}", cause=cause)

    def _log_event(self, order: Order, event: OrderEvent, cause: Cause) -> None:
        if event.kind in _ROUTINE:
            log = _log.debug
        else:
            log = _log.warning if event.kind in _REFUSALS or event.kind in _LOST else _log.info
        log(
            event.kind.value,
            order=order.id,
            account=self._account,
            mode=self._mode,
            status=order.status.value,
            code=event.code,
            reason=event.reason,
            correlation_id=cause.correlation_id,
        )


def _error(order: Order, event: OrderEvent) -> OrderRefused:
    detail = f"{order.terms.side} {order.terms.symbol}: {event.reason or event.kind.value}"
    if event.kind in _LOST:
        return OrderOutcomeUnknown(detail, code=event.code)
    refused = ExitRefused if order.terms.reduce_only else OrderRefused
    return refused(detail, code=event.code)
