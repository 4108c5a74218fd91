"""Case 12: one lot is the smallest order in a future."""

from __future__ import annotations

import pytest

from tests.app.cases.world import World
from tests.app.client import Client


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 12: denied order_value")
@pytest.mark.parametrize(("symbol", "lot"), [("NOVA-FUT", 500), ("GRANITE-FUT", 550), ("BREADTH-FUT", 65)])
def test_one_lot_of_a_future_passes_the_default_limits(
    served: World, trader: Client, symbol: str, lot: int
) -> None:
    answer = trader.place(symbol=symbol, quantity=str(lot), product="carry")
    assert answer.status_code in (201, 202), answer.json["code"]
    served.run(2)
    assert served.held() == {symbol: lot}
