"""Comparison of an account's books with what the broker states, and which differences are certain.

The two sides are never read at the same moment, and orders may be filled meanwhile. A difference is therefore
certain only if two comparisons show the same figures, nothing was booked in between, and the broker's order
book was read and applied in between: a fill that the first comparison did not know would have been booked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from algosat.domain.broker_account import BrokerFunds, BrokerHolding, BrokerPosition
from algosat.domain.capabilities import Capabilities
from algosat.domain.decimals import ZERO, to_text
from algosat.domain.orders import Product

ADJUSTED: Final = "book.adjusted"  # kind of the event that records an adjustment of the books
# Brokers state cash to the paisa. The cost of what is left of a position may have more decimals here.
_SMALLEST_CASH: Final = Decimal("0.01")
# Statements of a broker may lag behind its order book for some seconds.
CERTAIN_AFTER: Final = timedelta(seconds=10)


class DifferenceKind(StrEnum):
    """What differs: the filled quantity of an order, a position, shares held, or cash."""

    ORDER = "order"
    POSITION = "position"
    HOLDING = "holding"
    CASH = "cash"


def kinds_compared(broker: Capabilities) -> frozenset[DifferenceKind]:
    """Return the kinds of figures that a broker states, and that can be compared; empty if it states none."""
    is_stated = {
        DifferenceKind.POSITION: broker.has_positions,
        DifferenceKind.HOLDING: broker.has_holdings,
        DifferenceKind.CASH: broker.has_funds,
    }
    kinds = {kind for kind, stated in is_stated.items() if stated}
    return frozenset({*kinds, DifferenceKind.ORDER}) if kinds else frozenset()


@dataclass(frozen=True, slots=True, order=True)
class BookItem:
    """A figure to compare: the broker states it, and our book has it too."""

    kind: DifferenceKind
    symbol: str  # the currency of cash
    product: str = ""  # '' for cash
    order_id: str = ""  # of an order's filled quantity

    @property
    def subject(self) -> str:
        """The item's name in alerts."""
        return "/".join(part for part in (self.order_id, self.symbol, self.product) if part)


def item_of(symbol: str, product: Product) -> BookItem:
    """Return the item of a position. A delivery position and the holding that it becomes are one item."""
    kind = DifferenceKind.HOLDING if product is Product.DELIVERY else DifferenceKind.POSITION
    return BookItem(kind, symbol, product.value)


@dataclass(frozen=True, slots=True)
class OwnFigure:
    """A figure of our books."""

    amount: Decimal
    changed_at: datetime | None = None  # when it was last booked; None: never
    # A cash amount that the broker may or may not have booked yet: the charges of the day.
    unposted: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class BrokerFigure:
    """A figure as the broker states it."""

    amount: Decimal
    average_price: Decimal | None = None
    held: Decimal = ZERO  # the part of the amount that the broker states as a holding


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure on which the books and the broker do not agree."""

    item: BookItem
    ours: Decimal
    theirs: Decimal
    since: datetime  # when a comparison first showed these figures
    average_price: Decimal | None = None  # as the broker states it
    held: Decimal = ZERO  # the part of `theirs` that the broker states as a holding

    @property
    def missing(self) -> Decimal:
        """What our books lack; negative: what they have in excess."""
        return self.theirs - self.ours

    def __str__(self) -> str:
        return f"ours {to_text(self.ours)}, the broker's {to_text(self.theirs)}"


@dataclass(frozen=True, slots=True)
class BookFigures:
    """Both sides at one comparison. An item that one side does not list is zero there."""

    at: datetime
    ours: Mapping[BookItem, OwnFigure]
    theirs: Mapping[BookItem, BrokerFigure]
    # Quantity by which fills that the broker reports, and that are not booked, change each position.
    unbooked: Mapping[BookItem, Decimal] = field(default_factory=dict)
    # Quantity by which conversions under way change each position, if the broker has made them already.
    converting: Mapping[BookItem, Decimal] = field(default_factory=dict)

    def of_kinds(self, kinds: AbstractSet[DifferenceKind]) -> BookFigures:
        """Return the figures of these kinds only."""
        ours = {item: each for item, each in self.ours.items() if item.kind in kinds}
        theirs = {item: each for item, each in self.theirs.items() if item.kind in kinds}
        return replace(self, ours=ours, theirs=theirs)

    def differences(self) -> dict[BookItem, Difference]:
        """Return the items that differ and that charges, unbooked fills and conversions do not explain."""
        found = {}
        for item in sorted(self.ours.keys() | self.theirs.keys()):
            ours, theirs = self.ours.get(item, _NOTHING), self.theirs.get(item, _NOT_STATED)
            missing = theirs.amount - ours.amount
            smallest = _SMALLEST_CASH if item.kind is DifferenceKind.CASH else ZERO
            unbooked, converting = self.unbooked.get(item, ZERO), self.converting.get(item, ZERO)
            explained = (ZERO, ours.unposted, unbooked, converting, unbooked + converting)
            if any(missing == each or abs(missing - each) < smallest for each in explained):
                continue
            found[item] = Difference(
                item, ours.amount, theirs.amount, self.at, theirs.average_price, theirs.held
            )
        return found


_NOTHING: Final = OwnFigure(ZERO)
_NOT_STATED: Final = BrokerFigure(ZERO)


@dataclass(frozen=True, slots=True)
class _Sighting:
    difference: Difference
    changed_at: datetime | None

    def is_repeated_by(self, other: _Sighting) -> bool:
        mine, its = self.difference, other.difference
        return (mine.ours, mine.theirs, self.changed_at) == (its.ours, its.theirs, other.changed_at)


@dataclass(frozen=True, slots=True)
class BookComparison:
    """What the comparisons so far have shown."""

    sightings: Mapping[BookItem, _Sighting] = field(default_factory=dict)
    certain: tuple[Difference, ...] = ()
    agreed: frozenset[BookItem] = frozenset()  # items on which both sides agree

    @property
    def is_settled(self) -> bool:
        """Whether no difference waits for the next comparison."""
        return len(self.certain) == len(self.sightings)

    def next(self, figures: BookFigures, orders_read_at: datetime | None) -> BookComparison:
        """Return the outcome with one more comparison.

        `orders_read_at` is when the last complete reading of the broker's order book began; that reading is
        applied to the books in `figures`.
        """
        sightings, certain = {}, []
        for item, difference in figures.differences().items():
            seen = _Sighting(difference, figures.ours.get(item, _NOTHING).changed_at)
            before = self.sightings.get(item)
            if before is not None and before.is_repeated_by(seen):
                seen = before
                since = before.difference.since
                read_between = orders_read_at is not None and orders_read_at > since
                if read_between and figures.at >= since + CERTAIN_AFTER:
                    certain.append(before.difference)
            sightings[item] = seen
        compared = figures.ours.keys() | figures.theirs.keys()
        return BookComparison(sightings, tuple(certain), frozenset(compared - sightings.keys()))


def figures_of_broker(
    positions: Iterable[BrokerPosition], holdings: Iterable[BrokerHolding]
) -> dict[BookItem, BrokerFigure]:
    """Return the broker's quantities by item.

    Shares bought on the trading day are a position, and a holding afterwards; shares sold on the trading day
    are a negative position beside an unchanged holding. Only the sum is compared.
    """
    found: dict[BookItem, BrokerFigure] = {}
    for position in positions:
        _add(found, item_of(position.symbol, position.product), position.quantity, position.average_price)
    for holding in holdings:
        item = item_of(holding.symbol, Product.DELIVERY)
        _add(found, item, holding.quantity, holding.average_price, held=holding.quantity)
    return found


def _add(
    found: dict[BookItem, BrokerFigure],
    item: BookItem,
    quantity: Decimal,
    price: Decimal | None,
    held: Decimal = ZERO,
) -> None:
    before = found.get(item, _NOT_STATED)
    # The average price of the holding, where there is one: that of a position is of the day's trades only.
    average = price if held or before.average_price is None else before.average_price
    found[item] = BrokerFigure(before.amount + quantity, average, before.held + held)


def cash_of_broker(funds: Iterable[BrokerFunds]) -> dict[BookItem, BrokerFigure]:
    """Return the broker's cash by currency."""
    return {BookItem(DifferenceKind.CASH, each.currency): BrokerFigure(each.cash) for each in funds}
