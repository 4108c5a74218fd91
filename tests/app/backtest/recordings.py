"""Recordings for tests, and back-tests of the scripted strategy on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from algosat.backtest.run import BacktestRequest, BacktestResult, run
from tests.app.strategies.fakes import MORNING, Scripted

SYMBOL = "TEST"
Prices = tuple[str, str, str, str] | str


def bars(*prices: Prices, volume: int = 1_000_000, minutes: int = 1) -> list[str]:
    """Return bars from 09:15: each open, high, low and close, or one price for all four."""
    lines = ["at,symbol,open,high,low,close,volume\n"]
    for number, price in enumerate(prices):
        begins = MORNING + timedelta(minutes=number * minutes)
        four = (price,) * 4 if isinstance(price, str) else price
        lines.append(f"{begins.isoformat()},{SYMBOL},{','.join(four)},{volume}\n")
    return lines


def ticks(*prices: str, seconds: int = 1) -> list[str]:
    """Return ticks from 09:15."""
    lines = ["at,symbol,last\n"]
    for number, price in enumerate(prices):
        lines.append(f"{(MORNING + timedelta(seconds=number * seconds)).isoformat()},{SYMBOL},{price}\n")
    return lines


def backtest(
    lines: Iterable[str], *, parameters: dict[str, Any] | None = None, **terms: Any
) -> BacktestResult:
    """Run the scripted strategy on a recording."""
    values = {"symbols": [SYMBOL], **(parameters or {})}
    return run(BacktestRequest("scripted", values, **terms), lines, {"file": "test"})


def at(number: int, act: Callable[[Scripted], Any]) -> Callable[..., None]:
    """Return a script that acts on its call `number`, counted from 0."""

    def script(own: Scripted, _argument: object) -> None:
        count = own.state.get("count", 0)
        own.state["count"] = count + 1
        if count == number:
            act(own)

    return script
