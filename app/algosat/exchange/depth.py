"""Five levels of a book, made up from the best bid and ask that a feed gives."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Final

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Side
from algosat.exchange.order_book import SymbolBook
from algosat.exchange.prices import seeded

LEVELS: Final = 5
_GROWTH: Final = 0.4  # how much deeper each next level is, in units of the best one
_SCATTER: Final = 0.5


@dataclass(frozen=True, slots=True)
class Level:
    price: Decimal
    quantity: Decimal


# Every order that meets a quote looks at it, and those at rest do so at every tick.
@lru_cache(maxsize=256)
def displayed(seed: int, instrument: Instrument, quote: Quote, side: Side) -> tuple[Level, ...]:
    """What rests in the market on that side, best first: bids for BUY, asks for SELL."""
    price, size = (quote.bid, quote.bid_quantity) if side is Side.BUY else (quote.ask, quote.ask_quantity)
    if size <= 0:
        return ()
    prices = (price - side.sign * step * instrument.tick for step in range(LEVELS))
    within = [each for each in prices if quote.lower_circuit <= each <= quote.upper_circuit]
    return tuple(
        Level(each, size if step == 0 else _deeper(seed, instrument, quote, side, size, step))
        for step, each in enumerate(within)
    )


def left(seed: int, instrument: Instrument, book: SymbolBook, side: Side) -> tuple[Level, ...]:
    """What of it our own orders have not used up."""
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
    """The largest tradable quantity that is not above it."""
    return (quantity / lot).to_integral_value(ROUND_FLOOR) * lot


def _deeper(seed: int, instrument: Instrument, quote: Quote, side: Side, size: Decimal, step: int) -> Decimal:
    scatter = 1 + _SCATTER * (seeded.uniform(seed, instrument.symbol, str(quote.at), side, step) - 0.5)
    thousandths = int(1000 * (1 + _GROWTH * step) * scatter)
    return max(whole_lots(size * thousandths / 1000, instrument.lot), instrument.lot)
