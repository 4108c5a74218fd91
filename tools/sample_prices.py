"""Write docs/samples/prices.csv, the sample recording for back-tests: `python -m tools.sample_prices`.

One-minute bars of an invented share, from a seeded random walk: the same bars on every machine.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from tools.paths import ROOT

FILE = ROOT / "docs" / "samples" / "prices.csv"
SYMBOL = "ALPHA-EQ"
FIRST_DAY = datetime.fromisoformat("2026-09-07T09:15:00+05:30")  # a Monday
DAYS = 5
MINUTES_A_DAY = 375
SEED = 1


def main() -> None:
    """Write the recording."""
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("".join(f"{line}\n" for line in lines()))


def lines() -> Iterator[str]:
    """Return the lines of the CSV, in order of time. Prices are multiples of the tick, 0.01."""
    draw = random.Random(SEED)  # noqa: S311 - prices, not secrets  # nosec B311
    price = 18_400  # in paise
    yield "at,symbol,open,high,low,close,volume"
    for day in range(DAYS):
        for minute in range(MINUTES_A_DAY):
            at = FIRST_DAY + timedelta(days=day, minutes=minute)
            opened, price = price, price + round(draw.gauss(0, 9))
            high, low = max(opened, price) + draw.randrange(6), min(opened, price) - draw.randrange(6)
            prices = ",".join(f"{paise / 100:.2f}" for paise in (opened, high, low, price))
            yield f"{at.isoformat()},{SYMBOL},{prices},{draw.randrange(2_000, 10_000)}"


if __name__ == "__main__":
    main()
