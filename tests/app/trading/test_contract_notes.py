"""Fees of fills, booked as differences to the day's contract note."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, select, update

from algosat.config.settings import ChargesSettings
from algosat.domain.orders import Product, Side
from algosat.store import queries
from algosat.store.ledger import Bookkeeping
from algosat.store.tables import contract_notes, days, instruments, trades
from algosat.store.verify.verify import verify
from algosat.trading.desk import Charging, Desk
from tests.app.desks import FUTURE, SECOND, SHARE, accepted, advance, buy, hold, set_prices
from tests.app.fakes import FakeClock

DELIVERED_BUY = "1.19"  # of 1,000: STT 1, exchange 0.03, stamp 0.15, GST 0.01


def fees_of_trades(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        rows = connection.execute(select(trades.c.fees).order_by(trades.c.seq))
        return [str(row.fees.normalize()) for row in rows]


def booked(desk: Desk) -> Decimal:
    """Return the fees of the account, and verify that trades, positions, days and notes agree with it."""
    with desk.database.read() as connection:
        found = verify(connection)
        balance = queries.balance(connection, desk.account)
    assert found.clean, found.findings
    assert balance is not None
    fees: Decimal = balance.fees
    return fees


def lines(desk: Desk) -> dict[tuple[date, str, str], tuple[Decimal, Decimal]]:
    with desk.database.read() as connection:
        return {(row.day, row.note, row.symbol): (row.bought, row.sold) for row in _notes(connection)}


def _notes(connection: Any) -> Any:
    return connection.execute(select(contract_notes))


def charged_by(desk: Desk, *, brokerage: str = "zerodha", exchange: str = "nse") -> Desk:
    """Return the desk with other settings of its charges."""
    settings = ChargesSettings.model_validate({"brokerage": brokerage, "exchange": exchange})
    books = Bookkeeping(
        desk.books.trading_day, Charging(desk.database, desk.venue, settings, desk.currency).note
    )
    return replace(desk, books=books)


def test_sale_of_the_same_day_takes_back_the_tax_on_delivery(desk: Desk) -> None:
    hold(desk)
    hold(desk, side=Side.SELL)
    assert fees_of_trades(desk) == [DELIVERED_BUY, "-0.38"]
    assert booked(desk) == Decimal("0.81")  # brokerage 0.60, exchange 0.06, stamp 0.03, GST 0.12, no STT


def test_strategies_share_the_note_of_their_account(desk: Desk) -> None:
    hold(desk, strategy="one")
    hold(desk, strategy="two", product=Product.INTRADAY)
    hold(desk, strategy="two", product=Product.INTRADAY, side=Side.SELL)
    with desk.database.read() as connection:
        rows = connection.execute(select(days.c.strategy, days.c.fees))
        by_strategy = {row.strategy: row.fees for row in rows}
    # STT of 1.25 is due on the whole note, and the first fill has paid 1 of it.
    assert by_strategy == {"one": Decimal(DELIVERED_BUY), "two": Decimal("0.80")}
    assert booked(desk) == Decimal("1.99")


def test_fill_that_arrives_the_next_day_is_on_the_note_of_its_own_day(desk: Desk, clock: FakeClock) -> None:
    order = accepted(desk, buy(desk, "20"))
    today = clock().date()
    late = clock()
    hold(desk)
    clock.forward(days=3)
    set_prices(desk)
    hold(desk)
    clock.at = late
    advance(desk, order, fill="10")
    assert lines(desk) == {
        (today, "nse/equity", SHARE): (Decimal(2000), Decimal(0)),
        (today + timedelta(days=3), "nse/equity", SHARE): (Decimal(1000), Decimal(0)),
    }
    booked(desk)


def test_kinds_and_symbols_have_lines_of_their_own(desk: Desk) -> None:
    hold(desk)
    hold(desk, symbol=SECOND)
    hold(desk, "50", symbol=FUTURE, product=Product.CARRY)
    assert {key[1:] for key in lines(desk)} == {
        ("nse/equity", SHARE),
        ("nse/equity", SECOND),
        ("nse/future", FUTURE),
    }
    assert sum(map(Decimal, fees_of_trades(desk))) == booked(desk)


def test_plan_and_exchange_of_the_settings_apply(desk: Desk) -> None:
    desk = charged_by(desk, brokerage="fyers", exchange="bse")
    hold(desk)
    # Brokerage 3.00, STT 1, exchange 0.04, stamp 0.15, GST 0.55.
    assert fees_of_trades(desk) == ["4.74"]
    assert [note for _, note, _ in lines(desk)] == ["bse/equity"]


def test_exchanges_have_notes_of_their_own(desk: Desk) -> None:
    hold(desk, "4")
    desk = charged_by(desk, exchange="bse")
    hold(desk, "4")
    # STT is 0.40 on each note, and rounded on each.
    assert {note for _, note, _ in lines(desk)} == {"nse/equity", "bse/equity"}
    assert booked(desk) == Decimal("0.07") + Decimal("0.08")


def test_change_of_the_plan_does_not_charge_earlier_fills_again(desk: Desk) -> None:
    hold(desk)
    desk = charged_by(desk, brokerage="fyers")
    hold(desk)
    assert fees_of_trades(desk) == [DELIVERED_BUY, "4.72"]  # 1.18 more on the note, and 3.00 with GST
    booked(desk)


def test_fills_of_a_release_without_notes_keep_their_fees(desk: Desk) -> None:
    hold(desk)
    with desk.database.write() as connection:
        connection.execute(delete(contract_notes))
        connection.execute(update(trades).values(note=None))
    hold(desk)
    assert fees_of_trades(desk) == [DELIVERED_BUY, DELIVERED_BUY]
    assert [bought for bought, _ in lines(desk).values()] == [1000]
    booked(desk)


def test_order_filled_before_and_after_an_upgrade_pays_its_brokerage_once(desk: Desk) -> None:
    desk = charged_by(desk, brokerage="fyers")
    order = accepted(desk, buy(desk, "1000"))
    advance(desk, order, fill="700")  # its brokerage has reached the maximum of 20
    with desk.database.write() as connection:
        connection.execute(delete(contract_notes))
        connection.execute(update(trades).values(note=None))
    advance(desk, order, fill="300")
    # Of 30,000: STT 30, exchange 0.92, SEBI 0.03, stamp 4.50, GST 0.17, no brokerage.
    assert fees_of_trades(desk) == ["106.72", "35.62"]


def test_fill_of_an_unknown_instrument_is_booked_without_fees(desk: Desk) -> None:
    order = accepted(desk, buy(desk))
    with desk.database.write() as connection:
        connection.execute(delete(instruments))
    advance(desk, order, fill="10")
    assert fees_of_trades(desk) == ["0"]
    assert lines(desk) == {}
    booked(desk)
