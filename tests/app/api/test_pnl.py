from __future__ import annotations

from decimal import Decimal

from algosat.domain.orders import Side
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import hold


def test_daily_pnl_is_listed_by_strategy_after_fees(desk: Desk, viewer: Client) -> None:
    hold(desk, "10", at="100", strategy="one")
    hold(desk, "10", at="101", side=Side.SELL, strategy="one")
    hold(desk, "5", at="100")
    by_strategy = {row["strategy"]: row for row in viewer.get("/pnl").json["items"]}
    assert set(by_strategy) == {"one", None}
    one = by_strategy["one"]
    assert (one["orders"], one["trades"], one["realised"]) == (2, 2, "10")
    assert Decimal(one["net"]) == Decimal(one["realised"]) - Decimal(one["fees"])


def test_daily_pnl_is_filtered_by_day_and_strategy(desk: Desk, viewer: Client) -> None:
    hold(desk, "10", strategy="one")
    assert len(viewer.get("/pnl?strategy=one&since=2020-01-01").json["items"]) == 1
    assert viewer.get("/pnl?strategy=two").json["items"] == []
    assert viewer.get("/pnl?until=2020-01-01").json["items"] == []


def test_invalid_day_is_refused(desk: Desk, viewer: Client) -> None:
    assert problem_of(viewer.get("/pnl?since=yesterday")) == (400, "invalid_query")
