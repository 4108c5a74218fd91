"""Displayed market depth: a synthetic top of book, and five levels derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Final

from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Side
from algosat.exchange.listings import Listing
from algosat.exchange.order_book import SymbolBook
from algosat.exchange.prices import seeded

LEVELS: Final = 5
_GROWTH: Final = 0.4  # added to the quantity with each level, as a share of the best level's
_SCATTER: Final = 0.5
_SIZE: Final = 1 / 2000  # average quantity at the best price, as a share of the day's volume


@dataclass(frozen=True, slots=True)
class Level:
    """A displayed price and the quantity offered at it."""

    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class TopOfBook:
    """Best bid and ask with their quantities; a quantity of 0 means that the side is empty."""

    bid: Decimal
    ask: Decimal
    bid_quantity: Decimal
    ask_quantity: Decimal


def top_of_book(
    listing: Listing, seed: int, step: int, last: Decimal, lower: Decimal, upper: Decimal
) -> TopOfBook:
    """Draw bid and ask so that the last price is one of them. At a circuit limit, one side is empty."""
    bid_size, ask_size = (_best_size(listing, seed, step, side) for side in ("bid", "ask"))
    if last >= upper:
        return TopOfBook(upper, upper, bid_size, ZERO)
    if last <= lower:
        return TopOfBook(lower, lower, ZERO, ask_size)
    tick = listing.instrument.tick
    spread = max((last * listing.spread) // tick, Decimal(1)) * tick
    if seeded.uniform(seed, listing.symbol, step, "last side") < 0.5:
        return TopOfBook(last, min(last + spread, upper), bid_size, ask_size)
    return TopOfBook(max(last - spread, lower), last, bid_size, ask_size)


# Cached because every order that meets a quote asks for it, and resting orders do so at every tick.
@lru_cache(maxsize=256)
def displayed(seed: int, instrument: Instrument, quote: Quote, side: Side) -> tuple[Level, ...]:
    """Return the displayed levels of one side, best first: bids for BUY, asks for SELL."""
    price, size = (quote.bid, quote.bid_quantity) if side is Side.BUY else (quote.ask, quote.ask_quantity)
    if size <= 0:
        return ()
    prices = (price - side.sign * step * instrument.tick for step in range(LEVELS))
    within = [each for each in prices if quote.lower_circuit <= each <= quote.upper_circuit]
    return tuple(
        Level(each, size if step == 0 else _level_size(seed, instrument, quote, side, size, step))
        for step, each in enumerate(within)
    )


def available(seed: int, instrument: Instrument, book: SymbolBook, side: Side) -> tuple[Level, ...]:
    """Return the displayed levels of one side, less what our own orders have taken."""
    if book.quote is None:
        return ()
    taken, levels = book.taken(side), []
    for level in displayed(seed, instrument, book.quote, side):
        gone = min(taken, level.quantity)
        taken -= gone
        if level.quantity > gone:
            levels.append(Level(level.price, level.quantity - gone))
    return tuple(levels)


def whole_lots(quantity: Decimal, lot: Decimal) -> Decimal:
    """Round a quantity down to a multiple of the lot."""
    return (quantity / lot).to_integral_value(ROUND_FLOOR) * lot


def _best_size(listing: Listing, seed: int, step: int, side: str) -> Decimal:
    scatter = 0.4 + 1.2 * seeded.uniform(seed, listing.symbol, step, side)
    lot = listing.instrument.lot
    return max(int(listing.daily_volume * _SIZE * scatter / float(lot)), 1) * lot


def _level_size(
    seed: int, instrument: Instrument, quote: Quote, side: Side, size: Decimal, step: int
) -> Decimal:
    scatter = 1 + _SCATTER * (seeded.uniform(seed, instrument.symbol, str(quote.at), side, step) - 0.5)
    thousandths = int(1000 * (1 + _GROWTH * step) * scatter)
    return max(whole_lots(size * thousandths / 1000, instrument.lot), instrument.lot)
