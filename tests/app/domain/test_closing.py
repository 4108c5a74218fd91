"""The next step of a close never lets a position flip, whatever is filled afterwards."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from algosat.domain.closing import ClosingStep, next_partial_step, next_step, open_quantity
from algosat.domain.orders import Order, OrderChange, OrderTerms, OrderType, PendingRequest, Product, Side
from tests.app.builders import NOW
from tests.app.thorough import examples

QUANTITIES = st.integers(0, 30).map(Decimal)


@st.composite
def orders(draw: st.DrawFn) -> list[Order]:
    """Return working orders of one line, some changing, cancelled, partly filled or placed elsewhere."""
    return [order(draw, number) for number in range(draw(st.integers(0, 5)))]


def order(draw: st.DrawFn, number: int) -> Order:
    quantity, side = draw(st.integers(1, 20)), draw(st.sampled_from(Side))
    kind = draw(st.sampled_from([OrderType.MARKET, OrderType.LIMIT, OrderType.STOP]))
    pending = draw(st.sampled_from([None, *PendingRequest]))
    change = OrderChange(quantity=Decimal(draw(st.integers(1, 30))))
    terms = OrderTerms("paper", "ALPHA-EQ", side, Decimal(quantity), kind, product=Product.INTRADAY)
    return Order(
        id=f"a{number}",
        terms=terms,
        created_at=NOW,
        updated_at=NOW,
        filled_quantity=Decimal(draw(st.integers(0, quantity - 1))),
        pending=pending,
        pending_change=change if pending is PendingRequest.PENDING_MODIFY else None,
        external=draw(st.booleans()),
    )


def owned(working: list[Order], draw: st.DataObject) -> set[str]:
    """Choose the exits of the close; none was placed elsewhere."""
    ours = [order.id for order in working if not order.external]
    return set(draw.draw(st.lists(st.sampled_from(ours)))) if ours else set()


def bound(position: Decimal, working: list[Order]) -> Decimal:
    """Return how much of the position the working orders may still take."""
    return sum((open_quantity(each) for each in working if position * each.terms.side.sign < 0), Decimal(0))


def check(position: Decimal, left: Decimal, working: list[Order], step: ClosingStep) -> None:
    assert step.to_send >= 0
    if step.to_send:
        assert step.to_send + bound(position, working) <= abs(position)
        assert step.to_send <= left
    assert not [each for each in step.in_the_way if each.external]
    assert len({each.id for each in step.in_the_way}) == len(step.in_the_way)


@settings(max_examples=examples(100))
@given(st.integers(-40, 40).map(Decimal), orders(), st.data())
def test_whole_close_never_sends_more_than_is_free(
    position: Decimal, working: list[Order], data: st.DataObject
) -> None:
    own = owned(working, data)
    step = next_step(position, abs(position), working, own, spare=frozenset())
    check(position, abs(position), working, step)
    kept = [each for each in working if each.id not in {gone.id for gone in step.in_the_way}]
    assert {each.id for each in kept if not each.external} <= own
    # Once the orders in the way have ended, nothing but orders placed elsewhere keeps the close back.
    after = next_step(position, abs(position), kept, own, spare=frozenset())
    mine = sum((open_quantity(each) for each in kept if each.id in own), Decimal(0))
    elsewhere = bound(position, [each for each in kept if each.external])
    assert after.in_the_way == ()
    assert after.to_send == max(abs(position) - mine - elsewhere, Decimal(0))


@settings(max_examples=examples(100))
@given(st.integers(-40, 40).map(Decimal), QUANTITIES, orders(), st.data())
def test_close_of_a_part_frees_what_it_needs_and_no_more(
    position: Decimal, quantity: Decimal, working: list[Order], data: st.DataObject
) -> None:
    left, own = min(quantity, abs(position)), owned(working, data)
    step = next_partial_step(position, left, working, own)
    check(position, left, working, step)
    foreign = [each for each in step.in_the_way if each.id not in own]
    surplus = [each for each in step.in_the_way if each.id in own]
    mine = bound(position, [each for each in working if each.id in own and each not in surplus])
    assert not foreign or mine < left
    if foreign:
        enough = abs(position) - bound(position, [each for each in working if each not in surplus])
        enough += sum((open_quantity(each) for each in foreign[:-1]), Decimal(0))
        assert enough + mine < left
    kept = [each for each in working if each not in step.in_the_way]
    after = next_partial_step(position, left, kept, own)
    elsewhere = bound(position, [each for each in kept if each.external])
    if not elsewhere:
        mine = sum((open_quantity(each) for each in kept if each.id in own), Decimal(0))
        assert after.to_send + mine == left


def test_pending_change_counts_with_the_larger_quantity() -> None:
    terms = OrderTerms("paper", "ALPHA-EQ", Side.SELL, Decimal(10), OrderType.LIMIT)
    changing = Order(id="a1", terms=terms, created_at=NOW, updated_at=NOW, filled_quantity=Decimal(4))
    larger = replace(changing, pending_change=OrderChange(quantity=Decimal(25)))
    smaller = replace(changing, pending_change=OrderChange(quantity=Decimal(5)))
    assert [open_quantity(each) for each in (changing, larger, smaller)] == [6, 21, 6]


def test_part_is_freed_from_exits_that_are_larger_than_the_position() -> None:
    terms = OrderTerms("paper", "ALPHA-EQ", Side.SELL, Decimal(5), OrderType.LIMIT)
    exits = [Order(id=f"a{number}", terms=terms, created_at=NOW, updated_at=NOW) for number in range(2)]
    step = next_partial_step(Decimal(3), Decimal(2), exits, frozenset())
    assert step == ClosingStep((exits[1], exits[0]), Decimal(0))
    assert next_partial_step(Decimal(3), Decimal(0), exits, frozenset()) == ClosingStep()


def test_part_that_is_free_cancels_nothing() -> None:
    terms = OrderTerms("paper", "ALPHA-EQ", Side.SELL, Decimal(5), OrderType.LIMIT)
    target = Order(id="a1", terms=terms, created_at=NOW, updated_at=NOW)
    step = next_partial_step(Decimal(20), Decimal(10), [target], frozenset())
    assert step == ClosingStep((), Decimal(10))


def test_stop_is_the_last_exit_that_a_part_cancels() -> None:
    def exit_of(number: int, kind: OrderType) -> Order:
        terms = OrderTerms("paper", "ALPHA-EQ", Side.SELL, Decimal(10), kind)
        return Order(id=f"a{number}", terms=terms, created_at=NOW, updated_at=NOW)

    stop, target, newest = exit_of(1, OrderType.STOP), exit_of(2, OrderType.LIMIT), exit_of(3, OrderType.STOP)
    step = next_partial_step(Decimal(30), Decimal(15), [stop, target, newest], frozenset())
    assert step.in_the_way == (target, newest)
