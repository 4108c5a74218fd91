"""Recordings as tests write them, and back-tests of the scripted strategy on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from algosat.backtest.run import Finished, Request, run
from tests.app.strategies.fakes import MORNING, Scripted

SYMBOL = "TEST"
Prices = tuple[str, str, str, str] | str


def bars(*prices: Prices, volume: int = 1_000_000, minutes: int = 1) -> list[str]:
    """Bars of a minute from 09:15: open, high, low and close, or one price for all four."""
    lines = ["at,symbol,open,high,low,close,volume\n"]
    for number, price in enumerate(prices):
        begins = MORNING + timedelta(minutes=number * minutes)
        four = (price,) * 4 if isinstance(price, str) else price
        lines.append(f"{begins.isoformat()},{SYMBOL},{','.join(four)},{volume}\n")
    return lines


def ticks(*prices: str, seconds: int = 1) -> list[str]:
    lines = ["at,symbol,last\n"]
    for number, price in enumerate(prices):
        lines.append(f"{(MORNING + timedelta(seconds=number * seconds)).isoformat()},{SYMBOL},{price}\n")
    return lines


def tried(lines: Iterable[str], *, parameters: dict[str, Any] | None = None, **terms: Any) -> Finished:
    """Run the scripted strategy on a recording."""
    values = {"symbols": [SYMBOL], **(parameters or {})}
    return run(Request("scripted", values, **terms), lines, {"file": "test"})


def at(number: int, act: Callable[[Scripted], Any]) -> Callable[..., None]:
    """A script that acts when it is called for that time, from 0 on."""

    def script(own: Scripted, _told: object) -> None:
        count = own.state.get("count", 0)
        own.state["count"] = count + 1
        if count == number:
            act(own)

    return script
