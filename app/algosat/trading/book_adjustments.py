"""Adjustments: changes of positions and cash that no order of the ledger explains, each with a reason.

An admin adjusts a book that differs from the broker's. Shares that the broker states as holdings, and that
Algosat has never traded, are adjusted without an admin. The event `book.adjusted` in the audit trail is the
record of an adjustment; the change of the position is an entry (`book_entries`). Earlier events stay as they
are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from sqlalchemy import Connection

from algosat.domain import margin
from algosat.domain.book_comparison import ADJUSTED, BookItem, Difference, DifferenceKind, item_of
from algosat.domain.decimals import ZERO, to_text
from algosat.domain.orders import Order, Product
from algosat.domain.reason_codes import EngineCode
from algosat.domain.scope import ACCOUNT, EXTERNAL, Scope
from algosat.errors import InvalidBody
from algosat.store import audit, ledger, queries
from algosat.store.audit import Cause, Event
from algosat.trading import account_book, book_differences, book_entries, daily_pnl, idempotency, place
from algosat.trading.book_entries import BookEntry
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey

_IMPORTED: Final = "holding of the broker that was bought before or outside Algosat"
_SMALLEST: Final = Decimal("0.00000001")
_LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What to change: a position by a quantity at a price, cash by an amount, or both."""

    reason: str
    symbol: str | None = None
    product: Product | None = None
    strategy: str = ""  # that holds the position; '': orders placed by hand
    quantity: Decimal = ZERO  # negative: the position falls
    price: Decimal | None = None  # at which the quantity is booked
    cash: Decimal = ZERO  # negative: cash falls

    @property
    def item(self) -> BookItem | None:
        """The figure that the quantity changes."""
        if self.symbol is None or self.product is None:
            return None
        return item_of(self.symbol, self.product)


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A recorded adjustment."""

    id: str
    event: Event
    replayed: bool = False  # the key was used before, and this is its adjustment


def adjust(
    desk: Desk, adjustment: Adjustment, cause: Cause, *, key: IdempotencyKey | None = None
) -> Adjusted:
    """Adjust the books, and ask the engine to compare them again. With a key, only once.

    Raises InvalidBody for an adjustment that is incomplete or impossible, and KeyReused.
    """

    def unit(connection: Connection) -> tuple[Adjusted, Order | None]:
        known = None if key is None else idempotency.find(connection, key)
        if known is not None:
            (adjustment_id,) = known.order_ids
            return _recorded(connection, adjustment_id, replayed=True), None
        adjustment_id, order = record(connection, desk, adjustment, cause)
        if key is not None:
            idempotency.keep_id(connection, key, adjustment_id, desk.clock())
        book_differences.request(connection, desk, cause)
        return _recorded(connection, adjustment_id), order

    adjusted, order = desk.writer.run(unit)
    if order is not None:
        desk.notify_web(order.id)
    desk.wake_engine()
    return adjusted


def record(
    connection: Connection, desk: Desk, adjustment: Adjustment, cause: Cause
) -> tuple[str, Order | None]:
    """Book an adjustment. Returns its id, and the order of its entry if it changes a position."""
    _require_complete(adjustment)
    adjustment_id, now, order = place.new_id("b"), desk.clock(), None
    if adjustment.quantity:
        _require_possible(connection, desk, adjustment)
        order = _book_entry(connection, desk, adjustment, adjustment_id, cause)
    deposited = ledger.change_deposits(connection, desk.account, adjustment.cash)
    values = {
        name: to_text(value) if isinstance(value, Decimal) else value
        for name, value in asdict(adjustment).items()
        if value is not None
    }
    data = {**values, "account": desk.account, "deposited": to_text(deposited)}
    if order is not None:
        data["order_id"] = order.id
    audit.append(connection, now, ADJUSTED, adjustment_id, cause, data)
    item = adjustment.item if adjustment.quantity else None
    book_differences.note_adjustment(connection, desk, item, adjustment_id, cash=bool(adjustment.cash))
    return adjustment_id, order


def import_holdings(
    connection: Connection, desk: Desk, found: tuple[Difference, ...], cause: Cause
) -> tuple[Difference, ...]:
    """Import holdings that Algosat has never traded, as external positions. Returns the other differences.

    Deposits grow by the cost of what is imported: it was paid with money that never was in the books.
    """
    return tuple(each for each in found if not _import_holding(connection, desk, each, cause))


def _import_holding(connection: Connection, desk: Desk, found: Difference, cause: Cause) -> bool:
    item, price = found.item, found.average_price
    # The whole holding must be unknown: less could be a trade of today that the books lack.
    is_unknown = item.kind is DifferenceKind.HOLDING and ZERO < found.missing == found.held
    if not is_unknown or price is None or _is_traded(connection, desk, item.symbol):
        return False
    instrument, quote = queries.listed(connection, desk.venue, item.symbol)
    if instrument is None or quote is None or not margin.may_trade(instrument.kind, Product.DELIVERY):
        return False
    price = price.quantize(_SMALLEST, ROUND_HALF_EVEN)
    record(
        connection,
        desk,
        Adjustment(
            reason=_IMPORTED,
            symbol=item.symbol,
            product=Product.DELIVERY,
            strategy=EXTERNAL,
            quantity=found.missing,
            price=price,
            cash=(found.missing * price).quantize(_SMALLEST, ROUND_HALF_EVEN),
        ),
        cause,
    )
    return True


def _is_traded(connection: Connection, desk: Desk, symbol: str) -> bool:
    """Return whether an order of ours may have changed what is held of the symbol."""
    held = queries.all_positions(connection, desk.account)
    working = queries.working(connection, desk.account)
    return any(each.symbol == symbol and each.strategy != EXTERNAL for each in held) or any(
        order.terms.symbol == symbol and not order.external for order in working
    )


def _book_entry(
    connection: Connection, desk: Desk, adjustment: Adjustment, adjustment_id: str, cause: Cause
) -> Order:
    """Book the change of the position. The day's profit or loss stays as it is."""
    assert adjustment.symbol is not None and adjustment.product is not None  # noqa: PT018 - checked before
    scopes = (ACCOUNT, Scope(adjustment.strategy)) if adjustment.strategy else (ACCOUNT,)
    day = desk.books.trading_day(desk.clock())
    before = _equities(connection, desk, scopes)
    book = account_book.read_book(connection, desk.account, desk.venue)
    for scope in scopes:
        daily_pnl.open_day(connection, desk, scope, day, book)  # writes the baseline if there is none yet
    entry = BookEntry(
        strategy=adjustment.strategy,
        symbol=adjustment.symbol,
        product=adjustment.product,
        quantity=adjustment.quantity,
        price=adjustment.price or ZERO,
        at=desk.clock(),
        code=EngineCode.BOOK_ADJUSTED,
        reason=f"adjustment {adjustment_id}: {adjustment.reason}",
    )
    order, _ = book_entries.book(connection, desk, entry, cause, trade_prefix="adjustment")
    after = _equities(connection, desk, scopes)
    for scope in scopes:
        daily_pnl.raise_baseline(connection, desk.account, scope, day, after[scope] - before[scope])
    return order


def _equities(connection: Connection, desk: Desk, scopes: tuple[Scope, ...]) -> dict[Scope, Decimal]:
    book = account_book.read_book(connection, desk.account, desk.venue)
    return {scope: account_book.equity(connection, desk.account, book, scope.strategy) for scope in scopes}


def _require_complete(adjustment: Adjustment) -> None:
    if not adjustment.quantity and not adjustment.cash:
        raise InvalidBody("Give a `quantity`, an amount of `cash`, or both, other than 0")
    if adjustment.quantity and None in (adjustment.symbol, adjustment.product, adjustment.price):
        raise InvalidBody("A `quantity` needs `symbol`, `product` and `price`")
    if not adjustment.quantity and (adjustment.symbol or adjustment.price is not None):
        raise InvalidBody("`symbol` and `price` need a `quantity`")
    if not 0 < len(adjustment.reason.strip()) <= _LONGEST_REASON:
        raise InvalidBody(f"Give a `reason` of 1 to {_LONGEST_REASON} characters")
    if adjustment.price is not None and adjustment.price < 0:
        raise InvalidBody("`price` is 0 or more")
    for name in ("quantity", "price", "cash"):
        amount = getattr(adjustment, name) or ZERO
        if not amount.is_finite() or amount != amount.quantize(_SMALLEST):
            raise InvalidBody(f"`{name}` has at most 8 decimal places")


def _require_possible(connection: Connection, desk: Desk, adjustment: Adjustment) -> None:
    """Check that the book can hold the position. Raises InvalidBody."""
    assert adjustment.symbol is not None and adjustment.product is not None  # noqa: PT018 - checked before
    instrument = queries.instrument(connection, desk.venue, adjustment.symbol)
    if instrument is None:
        raise InvalidBody(f"no instrument {adjustment.symbol!r} is known")
    if not margin.may_trade(instrument.kind, adjustment.product):
        raise InvalidBody(f"{instrument.kind} cannot be held as {adjustment.product}")
    key = (desk.account, adjustment.strategy, adjustment.symbol, adjustment.product.value)
    held = queries.held(connection, *key)
    if adjustment.product is Product.DELIVERY and held + adjustment.quantity < 0:
        holder = adjustment.strategy or "orders placed by hand"
        raise InvalidBody(
            f"{holder} would hold {to_text(held + adjustment.quantity)} {adjustment.symbol}: "
            "a delivery position cannot be negative"
        )


def _recorded(connection: Connection, adjustment_id: str, *, replayed: bool = False) -> Adjusted:
    (event,) = audit.events_of(connection, adjustment_id)
    return Adjusted(adjustment_id, event, replayed)
