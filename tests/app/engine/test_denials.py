from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Order, Product, Side, Status
from algosat.domain.risk import ExposureLine
from algosat.engine.auto_close import DeniedExits
from tests.app.builders import NOW
from tests.app.desks import SHARE, intent_of

LINE = ExposureLine(
    "trend", SHARE, Product.DELIVERY, InstrumentKind.EQUITY, Decimal(100), Decimal(100), Decimal(10)
)


def exit_that_was(status: Status) -> Order:
    return Order("a", intent_of(side=Side.SELL, strategy="trend", reduce_only=True), NOW, NOW, status)


def waits(denials: DeniedExits) -> int:
    """After how many seconds the line is tried again."""
    return next(seconds for seconds in range(100) if denials.may_try(LINE, NOW + timedelta(seconds=seconds)))


def test_each_denial_makes_it_wait_longer_but_never_for_more_than_a_minute() -> None:
    denials, waited = DeniedExits(), []
    for _ in range(6):
        denials.record([exit_that_was(Status.DENIED)], NOW)
        waited.append(waits(denials))
    assert waited == [5, 10, 20, 40, 60, 60]


def test_an_exit_that_passed_ends_the_waiting() -> None:
    denials = DeniedExits()
    denials.record([exit_that_was(Status.DENIED)], NOW)
    denials.record([exit_that_was(Status.CREATED)], NOW)
    assert waits(denials) == 0


def test_other_lines_and_a_clock_that_is_put_back_do_not_wait() -> None:
    denials = DeniedExits()
    denials.record([exit_that_was(Status.DENIED)], NOW)
    other = ExposureLine(
        "", SHARE, Product.DELIVERY, InstrumentKind.EQUITY, Decimal(100), Decimal(100), Decimal(10)
    )
    assert denials.may_try(other, NOW)
    assert denials.may_try(LINE, NOW - timedelta(hours=1))
