"""Fees that trades state: in the account's currency, in what was bought, or in a third currency."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from algosat.domain.closing import LineState
from algosat.domain.instruments import Instrument
from algosat.domain.orders import EventKind, OrderEvent, Side, Trade
from algosat.domain.positions import Position
from algosat.exchange import listings
from algosat.store import ledger, queries
from algosat.store.tables import other_fees, positions, trades
from algosat.store.verify.verify import verify
from algosat.trading import close, close_follow, close_records, place
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, advance, instruments, replace_instruments, set_prices, terms_of

PAIR = "ALPHA-EQ"  # priced by `set_prices`


def pair() -> Instrument:
    return replace(
        listings.packaged_coins()["ETH-USDT"].instrument,
        symbol=PAIR,
        currency="INR",
        base_currency="ETH",
        tick=Decimal("0.05"),
        lot=Decimal("0.01"),
        minimum_quantity=Decimal("0.01"),
        minimum_notional=Decimal(5),
    )


@pytest.fixture
def market(desk: Desk) -> Desk:
    replace_instruments(desk, [pair(), *instruments()[1:]])
    set_prices(desk)
    return desk


def trade(
    desk: Desk, side: Side, quantity: str, fee: str, currency: str | None, *, price: str = "100"
) -> None:
    terms = terms_of(quantity, side=side, limit=price, account=desk.account)
    order = place.place_order(desk, terms, CAUSE).order
    assert order.code is None, order.reason
    fill(desk, order.id, quantity, fee, currency, price)


def fill(desk: Desk, order_id: str, quantity: str, fee: str, currency: str | None, price: str) -> None:
    def unit(connection: Any) -> None:
        order = ledger.get(connection, order_id)
        for kind in (EventKind.SUBMITTING, EventKind.ACCEPTED):
            event = OrderEvent(
                kind, desk.clock(), broker_order_id="B" if kind is EventKind.ACCEPTED else None
            )
            order = ledger.record(connection, order, event, CAUSE, desk.books)
        made = Trade(f"T-{order_id}", Decimal(quantity), Decimal(price), desk.clock(), Decimal(fee), currency)
        event = OrderEvent(EventKind.FILLED, desk.clock(), trade=made)
        ledger.record(connection, order, event, CAUSE, desk.books)

    desk.writer.run(unit)


def held(desk: Desk) -> Position:
    (position,) = all_held(desk)
    return position


def all_held(desk: Desk) -> list[Position]:
    with desk.database.read() as connection:
        found = verify(connection)
        assert found.clean, found.findings
        return list(queries.all_positions(connection, desk.account))


def in_other_currencies(desk: Desk) -> dict[str, Decimal]:
    with desk.database.read() as connection:
        return {row.currency: row.amount for row in connection.execute(select(other_fees))}


def cash(desk: Desk) -> Decimal:
    with desk.database.read() as connection:
        balance = queries.balance(connection, desk.account)
    assert balance is not None
    return balance.realised + balance.realised_low - balance.fees - balance.fees_low  # type: ignore[no-any-return]


@pytest.mark.parametrize("currency", [None, "INR"])
def test_fee_in_the_accounts_currency_is_booked_instead_of_the_contract_note(
    market: Desk, currency: str | None
) -> None:
    trade(market, Side.BUY, "2", "0.123456789", currency)
    position = held(market)
    assert (position.quantity, position.cost) == (Decimal(2), Decimal(200))
    assert position.fees == Decimal("0.123456789")
    with market.database.read() as connection:
        row = connection.execute(select(trades)).one()
    assert (row.note, row.position_quantity, row.other_fee) == (None, None, None)
    assert in_other_currencies(market) == {}


def test_fee_in_what_was_bought_lowers_the_position_so_that_all_of_it_can_be_sold(market: Desk) -> None:
    trade(market, Side.BUY, "2", "0.02", "ETH")
    position = held(market)
    assert (position.quantity, position.cost, position.fees) == tuple(map(Decimal, ("1.98", "198", "2")))
    assert position.average_price == 100
    trade(market, Side.SELL, "1.98", "0", None)
    assert held(market).quantity == 0
    assert cash(market) == -2  # paid 200, got 198


def test_sale_whose_fee_is_taken_from_the_holdings_keeps_its_proceeds(market: Desk) -> None:
    trade(market, Side.BUY, "2", "0", None)
    trade(market, Side.SELL, "1", "0.01", "ETH", price="110")
    position = held(market)
    assert position.quantity == Decimal("0.99")
    assert cash(market) - position.cost == 110 - 200  # 200 were paid, and 110 came in


def test_fee_in_a_third_currency_is_kept_apart_and_never_added(market: Desk) -> None:
    trade(market, Side.BUY, "1", "0.0001", "BNB")
    trade(market, Side.BUY, "2", "0.0002", "BNB")
    position = held(market)
    assert (position.quantity, position.fees, cash(market)) == tuple(map(Decimal, (3, 0, 0)))
    assert in_other_currencies(market) == {"BNB": Decimal("0.0003")}


@pytest.mark.parametrize(
    ("table", "values"),
    [(other_fees, {"amount": Decimal(1)}), (trades, {"position_quantity": None})],
    ids=["third currency", "what was bought"],
)
def test_verify_finds_fees_that_do_not_fit_their_trades(market: Desk, table: Any, values: Any) -> None:
    trade(market, Side.BUY, "1", "0.0001", "BNB")
    trade(market, Side.BUY, "2", "0.02", "ETH")
    assert held(market).quantity == Decimal("2.98")
    market.writer.run(lambda connection: connection.execute(update(table).values(**values)))
    with market.database.read() as connection:
        assert not verify(connection).clean


def test_rest_of_a_lot_after_a_fee_stays_as_dust_and_everything_else_is_sold(market: Desk) -> None:
    trade(market, Side.BUY, "2", "0.002", "ETH")
    closing = close.close_all(market, CAUSE)
    assert closing.order.terms.quantity == Decimal("1.99")
    advance(market, closing.order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="1.99")
    market.writer.run(lambda connection: close_follow.follow(connection, market))
    with market.database.read() as connection:
        (line,) = close_records.get(connection, closing.close.id).lines
        left = connection.execute(select(positions.c.quantity)).scalar_one()
        assert close.uncovered(connection, market, close.PositionFilter()) == {}
    assert (line.state, left) == (LineState.DUST, Decimal("0.008"))
    assert "0.008 is less than one lot" in line.detail
