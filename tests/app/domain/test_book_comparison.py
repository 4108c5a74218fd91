from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from algosat.domain.book_comparison import (
    CERTAIN_AFTER,
    BookComparison,
    BookFigures,
    BookItem,
    BrokerFigure,
    DifferenceKind,
    OwnFigure,
    cash_of_broker,
    figures_of_broker,
    item_of,
)
from algosat.domain.broker_account import BrokerFunds, BrokerHolding, BrokerPosition
from algosat.domain.orders import Product

START = datetime(2026, 12, 1, 5, tzinfo=UTC)
SHARES = item_of("ALPHA-EQ", Product.DELIVERY)
FUTURE = item_of("NOVA-FUT", Product.CARRY)
CASH = BookItem(DifferenceKind.CASH, "INR")


def figures(
    seconds: float, ours: str, theirs: str, *, booked: float = -60, item: BookItem = SHARES
) -> BookFigures:
    """Return both sides of one item; our figure was last booked `booked` seconds after the start."""
    return BookFigures(
        START + timedelta(seconds=seconds),
        {item: OwnFigure(Decimal(ours), START + timedelta(seconds=booked))},
        {item: BrokerFigure(Decimal(theirs))},
    )


def after(*readings: BookFigures, orders_read: float | None = None) -> BookComparison:
    """Compare one after the other, each after a reading of the order book a second earlier."""
    comparison = BookComparison()
    for reading in readings:
        read_at = reading.at - timedelta(seconds=1)
        if orders_read is not None:
            read_at = START + timedelta(seconds=orders_read)
        comparison = comparison.next(reading, read_at)
    return comparison


def test_one_comparison_proves_no_difference() -> None:
    comparison = after(figures(0, "10", "15"))
    assert (comparison.certain, comparison.is_settled) == ((), False)


def test_equal_figures_after_the_order_book_was_read_prove_a_difference() -> None:
    (found,) = after(figures(0, "10", "15"), figures(10, "10", "15")).certain
    assert (found.item, str(found.ours), str(found.theirs), found.since) == (SHARES, "10", "15", START)
    assert found.missing == 5
    assert str(found) == "ours 10, the broker's 15"


def test_second_comparison_too_soon_proves_nothing() -> None:
    soon = CERTAIN_AFTER.total_seconds() - 0.001
    assert after(figures(0, "10", "15"), figures(soon, "10", "15")).certain == ()


def test_order_book_read_before_the_first_comparison_proves_nothing() -> None:
    comparison = after(figures(0, "10", "15"), figures(60, "10", "15"), orders_read=0)
    assert (comparison.certain, comparison.is_settled) == ((), False)
    assert comparison.next(figures(70, "10", "15"), None).certain == ()


def test_fill_that_was_not_known_yet_is_no_difference() -> None:
    comparison = after(figures(0, "10", "15"), figures(10, "15", "15", booked=5))
    assert (comparison.certain, comparison.is_settled) == ((), True)
    assert comparison.agreed == {SHARES}


def test_equal_figures_with_fills_in_between_prove_nothing() -> None:
    """A second fill is under way while the first one has been booked and closed again."""
    comparison = after(figures(0, "0", "10"), figures(10, "0", "10", booked=6))
    assert comparison.certain == ()
    assert comparison.next(figures(20, "0", "10", booked=6), START + timedelta(seconds=19)).certain


def test_difference_that_changes_is_seen_from_the_start_again() -> None:
    comparison = after(figures(0, "10", "15"), figures(10, "10", "20"))
    assert comparison.certain == ()
    (found,) = comparison.next(figures(20, "10", "20"), START + timedelta(seconds=19)).certain
    assert found.since == START + timedelta(seconds=10)


def test_item_that_one_side_does_not_list_is_zero_there() -> None:
    ours = BookFigures(START, {SHARES: OwnFigure(Decimal(5))}, {FUTURE: BrokerFigure(Decimal(-50))})
    found = ours.differences()
    assert {item: each.missing for item, each in found.items()} == {SHARES: Decimal(-5), FUTURE: Decimal(-50)}
    flat = BookFigures(START, {SHARES: OwnFigure(Decimal(0))}, {})
    assert flat.differences() == {}


def test_charges_that_the_broker_has_not_booked_yet_are_no_difference() -> None:
    ours = {CASH: OwnFigure(Decimal("999.5"), START, unposted=Decimal("0.5"))}
    for cash, differs in (
        ("1000", False),
        ("999.5", False),
        ("999.7", True),
        ("999.509", False),
        ("999.99", True),
    ):
        stated = cash_of_broker([BrokerFunds("INR", Decimal(cash))])
        assert bool(BookFigures(START, ours, stated).differences()) is differs


def test_fills_that_are_reported_and_not_booked_explain_a_position() -> None:
    ours, stated = {SHARES: OwnFigure(Decimal(5))}, {SHARES: BrokerFigure(Decimal(10))}
    assert BookFigures(START, ours, stated, {SHARES: Decimal(5)}).differences() == {}
    assert BookFigures(START, ours, stated, {SHARES: Decimal(4)}).differences()


def test_delivery_position_and_holding_are_one_figure() -> None:
    """Ten are held, four of them were sold today, and a future is short."""
    positions = [
        BrokerPosition("ALPHA-EQ", Product.DELIVERY, Decimal(-4), Decimal(120)),
        BrokerPosition("NOVA-FUT", Product.CARRY, Decimal(-50), Decimal(99)),
    ]
    holdings = [BrokerHolding("ALPHA-EQ", Decimal(10), Decimal(100))]
    assert figures_of_broker(positions, holdings) == {
        SHARES: BrokerFigure(Decimal(6), Decimal(100), held=Decimal(10)),
        FUTURE: BrokerFigure(Decimal(-50), Decimal(99)),
    }


def test_subject_names_order_symbol_and_product() -> None:
    assert (SHARES.subject, CASH.subject) == ("ALPHA-EQ/delivery", "INR")
    assert BookItem(DifferenceKind.ORDER, "ALPHA-EQ", "delivery", "a1").subject == "a1/ALPHA-EQ/delivery"


@given(st.lists(st.tuples(st.sampled_from(["fill", "book", "compare"]), st.integers(-3, 3)), max_size=40))
def test_fills_in_flight_never_look_like_a_difference(steps: list[tuple[str, int]]) -> None:
    """The broker's figure changes with each fill; ours follows when the order book is read."""
    theirs = ours = 0
    at, booked_at, read_at = START, START - timedelta(minutes=1), START
    comparison = BookComparison()
    for step, quantity in steps:
        at += timedelta(seconds=4)
        if step == "fill":
            theirs += quantity
        elif step == "book":
            read_at = at
            booked_at = at if ours != theirs else booked_at
            ours = theirs
        else:
            reading = BookFigures(
                at,
                {SHARES: OwnFigure(Decimal(ours), booked_at)},
                {SHARES: BrokerFigure(Decimal(theirs))},
            )
            comparison = comparison.next(reading, read_at)
            assert comparison.certain == ()
