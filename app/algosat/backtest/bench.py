"""How fast back-tests run on this machine: `python -m algosat.backtest.bench [BARS]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from algosat.backtest.run import Finished, Request, run
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.exchange.prices import seeded

_BEGINS: Final = datetime(2026, 6, 1, 9, 15, tzinfo=EXCHANGE_TIME)
_BARS_A_DAY: Final = 375


def measure(bars: int = 20_000) -> Finished:
    """A crossover strategy that trades now and then, on seeded bars of a minute. A bar is four events."""
    parameters = {"symbols": ["BENCH"], "fast": 10, "slow": 30, "quantity": 10}
    return run(Request("moving-average-crossover", parameters), walk("BENCH", bars), {"file": "seeded walk"})


def walk(symbol: str, bars: int, *, seed: int = 1, price: int = 50_000) -> Iterator[str]:
    """The lines of a recording: a seeded random walk in paise, day after day."""
    yield "at,symbol,open,high,low,close,volume\n"
    for number in range(bars):
        day, minute = divmod(number, _BARS_A_DAY)
        at = _BEGINS + timedelta(days=day, minutes=minute)
        opened = price
        price = max(price + 5 * round(6 * seeded.normal(seed, symbol, number)), 500)
        low = min(opened, price) - 5 * int(4 * seeded.uniform(seed, symbol, number, "low"))
        high = max(opened, price) + 5 * int(4 * seeded.uniform(seed, symbol, number, "high"))
        shown = (str(Decimal(each) / 100) for each in (opened, high, low, price))
        yield f"{at.isoformat()},{symbol},{','.join(shown)},{2000 + number % 700}\n"


def main() -> None:
    finished = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
    trades = len(finished.report.outcome.ledger.fills)
    sys.stdout.write(
        f"back-test: {finished.events} events, {trades} trades in {finished.seconds:.2f} s: "
        f"{finished.events_per_second:.0f} events/s\n"
    )


if __name__ == "__main__":
    main()
