"""What a synthetic market displays around its last price: best bid and ask, and their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from algosat.exchange.listings import Listing
from algosat.exchange.prices import seeded

_SPREAD: Final = Decimal("0.0003")  # of the price, and at the least one tick
_SIZE: Final = 1 / 2000  # of the day's volume rests at the best price, on average


@dataclass(frozen=True, slots=True)
class Shown:
    bid: Decimal
    ask: Decimal
    bid_quantity: Decimal  # 0 where nobody bids
    ask_quantity: Decimal


def around(listing: Listing, seed: int, step: int, last: Decimal, lower: Decimal, upper: Decimal) -> Shown:
    """The last trade was at the bid or at the ask; at a circuit, one side has gone."""
    bid_size, ask_size = (_size(listing, seed, step, side) for side in ("bid", "ask"))
    if last >= upper:
        return Shown(upper, upper, bid_size, Decimal(0))
    if last <= lower:
        return Shown(lower, lower, Decimal(0), ask_size)
    tick = listing.instrument.tick
    spread = max((last * _SPREAD) // tick, Decimal(1)) * tick
    if seeded.uniform(seed, listing.symbol, step, "last side") < 0.5:
        return Shown(last, min(last + spread, upper), bid_size, ask_size)
    return Shown(max(last - spread, lower), last, bid_size, ask_size)


def _size(listing: Listing, seed: int, step: int, side: str) -> Decimal:
    scatter = 0.4 + 1.2 * seeded.uniform(seed, listing.symbol, step, side)
    lot = listing.instrument.lot
    return max(int(listing.daily_volume * _SIZE * scatter / int(lot)), 1) * lot
