from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from algosat.domain.book_comparison import Difference, DifferenceKind, item_of
from algosat.domain.orders import EventKind, Product, Side, Status
from algosat.domain.scope import ACCOUNT, EXTERNAL
from algosat.errors import InvalidBody, KeyReused
from algosat.store import audit, queries
from algosat.store.tables import balances, trades
from algosat.store.verify.verify import verify
from algosat.trading import account_book, book_adjustments, daily_pnl, funds
from algosat.trading.apply_report import apply_report
from algosat.trading.book_adjustments import Adjusted, Adjustment, adjust
from algosat.trading.close import close_all, close_position
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import CAUSE, FUTURE, SECOND, SHARE, advance, buy, hold, sell, set_prices
from tests.app.fake_exchange import external_report
from tests.app.trading.test_apply_report import trade


def adjusted(desk: Desk, **differences: Any) -> Adjusted:
    values = {"symbol": SHARE, "product": Product.DELIVERY, "quantity": Decimal(5), "price": Decimal(90)}
    if "cash" in differences and "quantity" not in differences:
        values = {}
    return adjust(desk, Adjustment(reason="found on the statement", **{**values, **differences}), CAUSE)


def held(desk: Desk, strategy: str = "") -> int:
    with desk.database.read() as connection:
        return int(queries.held(connection, desk.account, strategy, SHARE, Product.DELIVERY))


def findings(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return verify(connection).findings


def cash(desk: Desk) -> Decimal:
    with desk.database.read() as connection:
        return funds.funds(connection, desk).cash


def buy_externally(desk: Desk, number: str = "B77", *, side: Side = Side.BUY, quantity: str = "10") -> None:
    report = external_report(number, trade(desk, int(number[1:]), quantity), status=Status.FILLED)
    terms = replace(report.terms, side=side, quantity=Decimal(quantity))
    desk.writer.run(lambda connection: apply_report(connection, desk, replace(report, terms=terms)))


def test_adjustment_changes_the_position_by_the_stated_quantity_without_fees(desk: Desk) -> None:
    hold(desk, "10")
    before = cash(desk)
    made = adjusted(desk)
    assert held(desk) == 15
    assert cash(desk) == before
    with desk.database.read() as connection:
        (booked,) = connection.execute(select(trades).where(trades.c.order_id == made.event.data["order_id"]))
    assert (booked.quantity, booked.price, booked.fees, booked.note) == (5, 90, 0, None)
    assert findings(desk) == []


def test_adjustment_is_one_event_with_its_reason_and_changes_no_earlier_event(desk: Desk) -> None:
    hold(desk, "10")
    with desk.database.read() as connection:
        before = list(audit.all_events(connection))
    made = adjusted(desk, quantity=Decimal(-4), strategy="", cash=Decimal("2.5"))
    with desk.database.read() as connection:
        after = list(audit.all_events(connection))
    assert after[: len(before)] == before
    assert [event.kind for event in after[len(before) :]] == [
        EventKind.CREATED,
        EventKind.SUBMITTING,
        EventKind.FILLED,
        "book.adjusted",
    ]
    assert made.event == after[-1]
    assert made.event.actor == CAUSE.actor
    assert {name: made.event.data[name] for name in ("reason", "quantity", "price", "cash", "symbol")} == {
        "reason": "found on the statement",
        "quantity": "-4",
        "price": "90",
        "cash": "2.5",
        "symbol": SHARE,
    }


def test_cash_changes_by_the_stated_amount(desk: Desk) -> None:
    before = cash(desk)
    adjusted(desk, cash=Decimal("-12.34"))
    adjusted(desk, cash=Decimal("2.34"))
    assert cash(desk) == before - 10
    assert findings(desk) == []


def test_repeated_key_adjusts_once(desk: Desk) -> None:
    key = IdempotencyKey("user:admin", "key-1", "hash")
    adjustment = Adjustment(reason="transfer", cash=Decimal(5))
    first, second = (adjust(desk, adjustment, CAUSE, key=key) for _ in range(2))
    assert (first.id, first.replayed, second.id, second.replayed) == (first.id, False, first.id, True)
    assert cash(desk) == 1_000_005
    with pytest.raises(KeyReused):
        adjust(desk, adjustment, CAUSE, key=replace(key, body_hash="other"))


def test_adjustment_changes_no_result_of_the_day(desk: Desk) -> None:
    """The price of 10 is far below the market's 100; the baseline rises by the same amount."""
    day = desk.books.trading_day(desk.clock())

    def result() -> Decimal:
        with desk.database.read() as connection:
            book = account_book.read_book(connection, desk.account, desk.venue)
            return daily_pnl.daily_pnl(connection, desk, ACCOUNT, day, book)

    hold(desk, "10")
    before = result()
    adjusted(desk, price=Decimal(10), strategy="alpha")
    adjusted(desk, quantity=Decimal(-4), price=Decimal(150))
    assert result() == before
    set_prices(desk, ALPHA="101")
    assert result() == before + 11


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"quantity": Decimal(0)}, "other than 0"),
        ({"cash": Decimal(0)}, "other than 0"),
        ({"price": None}, "needs `symbol`"),
        ({"symbol": None}, "needs `symbol`"),
        ({"cash": Decimal(1), "symbol": SHARE}, "need a `quantity`"),
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"price": Decimal(-1)}, "0 or more"),
        ({"quantity": Decimal("0.123456789")}, "8 decimal places"),
        ({"cash": Decimal("NaN")}, "8 decimal places"),
        ({"symbol": "NONE-EQ"}, "no instrument"),
        ({"product": Product.CARRY}, "cannot be held as carry"),
        ({"quantity": Decimal(-1)}, "would hold -1"),
    ],
)
def test_impossible_adjustment_changes_nothing(desk: Desk, values: dict[str, Any], words: str) -> None:
    defaults: dict[str, Any] = {"reason": "a reason"}
    if "cash" not in values:
        defaults |= {
            "symbol": SHARE,
            "product": Product.DELIVERY,
            "quantity": Decimal(1),
            "price": Decimal(1),
        }
    with desk.database.read() as connection:
        before = list(audit.all_events(connection))
    with pytest.raises(InvalidBody, match=words):
        adjust(desk, Adjustment(**{**defaults, **values}), CAUSE)
    with desk.database.read() as connection:
        assert list(audit.all_events(connection)) == before
        assert queries.open_positions(connection, desk.account) == []


def test_verify_finds_deposits_and_trades_that_no_adjustment_explains(desk: Desk) -> None:
    adjusted(desk, cash=Decimal(5), quantity=Decimal(5))
    desk.writer.run(lambda connection: connection.execute(update(balances).values(deposited=Decimal(1))))
    (found,) = findings(desk)
    assert "deposited 1" in found
    desk.writer.run(
        lambda connection: connection.execute(update(balances).values(deposited=Decimal(1_000_005)))
    )
    desk.writer.run(lambda connection: connection.execute(update(trades).values(price=Decimal(91))))
    assert any(each.startswith("adjustment b") for each in findings(desk))


CLOCK_START = datetime(2026, 11, 20, 5, tzinfo=UTC)


def holding(
    quantity: str, *, ours: str = "0", symbol: str = SHARE, price: str | None = "80.123456789"
) -> Difference:
    theirs = Decimal(quantity)
    return Difference(
        item_of(symbol, Product.DELIVERY),
        Decimal(ours),
        theirs,
        CLOCK_START,
        None if price is None else Decimal(price),
        held=theirs,
    )


def imported(desk: Desk, *found: Difference) -> tuple[Difference, ...]:
    return desk.writer.run(
        lambda connection: book_adjustments.import_holdings(connection, desk, found, CAUSE)
    )


def test_holding_bought_elsewhere_is_imported_at_the_brokers_price_and_can_be_sold(desk: Desk) -> None:
    with desk.database.read() as connection:
        available = funds.funds(connection, desk).available
    assert sell(desk, "10").code == "no_holdings"
    assert imported(desk, holding("10")) == ()
    assert held(desk, EXTERNAL) == 10
    with desk.database.read() as connection:
        (position,) = queries.open_positions(connection, desk.account)
        now = funds.funds(connection, desk)
        (event,) = [each for each in audit.all_events(connection) if each.kind == "book.adjusted"]
    assert position.average_price == Decimal("80.12345679")
    assert event.data["strategy"] == EXTERNAL
    # Bought with money that never was in the books: as much can be bought as before.
    assert now.available == available
    assert sell(desk, "10", strategy=EXTERNAL).status is Status.CREATED
    assert findings(desk) == []


def test_holding_is_imported_only_if_nothing_of_ours_explains_it(desk: Desk) -> None:
    assert imported(desk, without := holding("10", price=None)) == (without,)
    assert imported(desk, unlisted := holding("10", symbol="NONE-EQ")) == (unlisted,)
    for held_before in (4, 12):  # the rest was bought today, or sold
        part = replace(holding("10"), held=Decimal(held_before))
        assert imported(desk, part) == (part,)
    position = replace(holding("10"), item=replace(item_of(FUTURE, Product.CARRY)))
    assert imported(desk, position) == (position,)
    buy(desk, "1")
    assert imported(desk, holding("10")) == (holding("10"),)
    hold(desk, "1", symbol=SECOND)
    assert imported(desk, traded := holding("10", ours="1", symbol=SECOND)) == (traded,)
    fewer = holding("1", ours="3", symbol=SECOND)
    assert fewer.item.kind is DifferenceKind.HOLDING
    assert imported(desk, fewer) == (fewer,)


# --- external positions --------------------------------------------------------------------------------


def test_external_order_opens_an_external_position(desk: Desk) -> None:
    buy_externally(desk)
    assert (held(desk, EXTERNAL), held(desk)) == (10, 0)


def test_external_order_that_reduces_a_position_held_by_hand_reduces_that_position(desk: Desk) -> None:
    hold(desk, "10")
    buy_externally(desk, "B78", side=Side.SELL)
    assert (held(desk), held(desk, EXTERNAL)) == (0, 0)
    buy_externally(desk, "B79")
    assert (held(desk), held(desk, EXTERNAL)) == (0, 10)


def test_close_all_and_close_leave_external_positions_alone(desk: Desk) -> None:
    buy_externally(desk)
    hold(desk, "3", symbol=SECOND)
    closed = close_all(desk, CAUSE)
    assert [(line.strategy, line.symbol) for line in closed.close.lines] == [("", SECOND)]
    with pytest.raises(Exception, match="held by strategy 'external': name it in `strategy`"):
        close_position(desk, SHARE, CAUSE)


def test_external_position_is_closed_when_it_is_named(desk: Desk) -> None:
    buy_externally(desk)
    exit_order = close_position(desk, SHARE, CAUSE, strategy=EXTERNAL).order
    terms = exit_order.terms
    assert (int(terms.quantity), terms.side, terms.reduce_only) == (10, Side.SELL, True)
    advance(desk, exit_order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10")
    assert held(desk, EXTERNAL) == 0


def test_strategy_external_opens_nothing(desk: Desk) -> None:
    assert buy(desk, strategy=EXTERNAL).code == "external_entry"
    buy_externally(desk)
    assert buy(desk, strategy=EXTERNAL).code == "external_entry"
    assert sell(desk, "11", strategy=EXTERNAL).code in ("external_entry", "no_holdings")
    assert sell(desk, "4", strategy=EXTERNAL).status is Status.CREATED
