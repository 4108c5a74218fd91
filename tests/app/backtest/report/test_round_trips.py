from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from algosat.backtest.report.round_trips import RoundTrip, round_trips
from algosat.backtest.simulated_ledger import Fill
from algosat.domain.fees import Charges
from algosat.domain.orders import Side
from algosat.domain.positions import Position, fill
from tests.app.strategies.fakes import MORNING


def trips_of(*trades: tuple[Side, int, int], fees: str = "3") -> list[RoundTrip]:
    position, fills = Position("backtest", "backtest", "TEST", "intraday"), []
    for minute, (side, quantity, price) in enumerate(trades):
        charges = Charges(brokerage=Decimal(fees))
        after = fill(position, side, Decimal(quantity), Decimal(price), charges.total)
        fills.append(
            Fill(
                at=MORNING + timedelta(minutes=minute),
                trade_id=str(minute),
                order_id="a",
                symbol="TEST",
                side=side,
                quantity=Decimal(quantity),
                price=Decimal(price),
                charges=charges,
                before=position,
                after=after,
            )
        )
        position = after
    return round_trips(fills)


def test_entry_and_exit_are_one_round_trip() -> None:
    (trip,) = trips_of((Side.BUY, 10, 100), (Side.SELL, 10, 105))
    assert (trip.side, trip.quantity, trip.realised, trip.fees) == (
        Side.BUY,
        Decimal(10),
        Decimal(50),
        Decimal(6),
    )
    assert trip.result == Decimal(44)


def test_partial_entries_and_exits_belong_to_one_round_trip() -> None:
    (trip,) = trips_of((Side.BUY, 10, 100), (Side.BUY, 10, 110), (Side.SELL, 5, 120), (Side.SELL, 15, 120))
    assert (trip.entry_price, trip.exit_price) == (Decimal(105), Decimal(120))
    assert (trip.quantity, trip.realised, trip.fees) == (Decimal(20), Decimal(300), Decimal(12))


def test_short_round_trip_gains_when_the_price_falls() -> None:
    (trip,) = trips_of((Side.SELL, 10, 100), (Side.BUY, 10, 90))
    assert (trip.side, trip.realised) == (Side.SELL, Decimal(100))


def test_reversal_ends_one_round_trip_and_starts_another_and_splits_its_fees() -> None:
    first, second = trips_of((Side.BUY, 10, 100), (Side.SELL, 30, 100), (Side.BUY, 20, 95))
    assert (first.quantity, second.quantity, second.side) == (Decimal(10), Decimal(20), Side.SELL)
    assert (first.fees, second.fees) == (Decimal(4), Decimal(5))
    assert second.realised == Decimal(100)


def test_open_round_trip_is_not_counted() -> None:
    assert trips_of((Side.BUY, 10, 100), (Side.SELL, 5, 105)) == []
