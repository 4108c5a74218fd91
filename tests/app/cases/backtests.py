"""Back-tests for the cases: from the text of a recording to a report."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from algosat.backtest.run import BacktestRequest, BacktestResult, run
from algosat.backtest.simulated_ledger import Fill
from algosat.domain.orders import Side
from tests.app.cases.world import SetupFailed

DAY = 86_400
BARS = "at,symbol,open,high,low,close,volume\n"
RATES_OF = date(2026, 11, 30)


def backtest(
    lines: Iterable[str], *, strategy: str = "once", terms: dict[str, Any] | None = None, **parameters: Any
) -> BacktestResult:
    """Run a strategy, by default `Once`; delivery unless the test names another product."""
    request = BacktestRequest(
        strategy, {"product": "delivery", **parameters}, charges_of=RATES_OF, **(terms or {})
    )
    return run(request, lines, {"file": "case.csv"})


def recording(text: str) -> list[str]:
    """Return the lines of a recording of bars that is written without its heading."""
    return [BARS, *(line.strip() + "\n" for line in text.strip().splitlines())]


def minutes(symbol: str, start: datetime, count: int, price: str, volume: int) -> list[str]:
    """Return bars of one minute that all have one price."""
    times = (start + timedelta(minutes=number) for number in range(count))
    return [f"{at.isoformat()},{symbol},{price},{price},{price},{price},{volume}\n" for at in times]


def fills(finished: BacktestResult, side: Side | None = None) -> list[Fill]:
    return [fill for fill in finished.report.outcome.ledger.fills if side in (None, fill.side)]


def require_bought(finished: BacktestResult, *expected: tuple[int, str]) -> None:
    """Raise SetupFailed unless the entries traded these quantities at these prices."""
    found = prices(finished, Side.BUY)
    if found != [(quantity, Decimal(price)) for quantity, price in expected]:
        raise SetupFailed(f"bought {found}")


def require_trades(finished: BacktestResult) -> None:
    """Raise SetupFailed if nothing was traded."""
    if not fills(finished):
        raise SetupFailed(f"no trade: {finished.report.result['orders']}")


def prices(finished: BacktestResult, side: Side) -> list[tuple[Decimal | int, Decimal]]:
    """Return quantity and price of each trade of one side."""
    return [(fill.quantity, fill.price) for fill in fills(finished, side)]
