from __future__ import annotations

from decimal import Decimal

from algosat.domain.scope import ACCOUNT
from algosat.trading import daily_pnl
from algosat.trading.desk import Desk


def test_daily_pnl_is_measured_from_the_first_equity_of_the_day(desk: Desk) -> None:
    day = desk.calendar.trading_day(desk.clock())

    def pnl_at(equity: str) -> Decimal:
        return desk.writer.run(
            lambda connection: daily_pnl.open_day(connection, desk.account, ACCOUNT, day, Decimal(equity))
        )

    assert [pnl_at("50"), pnl_at("20"), pnl_at("60")] == [0, -30, 10]
