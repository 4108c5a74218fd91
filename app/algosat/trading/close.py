"""Close positions, on behalf of people, strategies, halts and the square-off.

A close is stored with its first cancels and exits in the unit of work of the request. The engine follows it
(`close_follow`) until every line is flat or a person is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from algosat.domain.closing import CloseReason
from algosat.domain.conversion import ConversionState
from algosat.domain.decimals import ZERO, to_text
from algosat.domain.instruments import Instrument
from algosat.domain.orders import Order, OrderType, Product
from algosat.domain.scope import EXTERNAL, IN_HALTS, Scope
from algosat.errors import Conflict, InvalidBody, NothingToClose
from algosat.store import audit, queries
from algosat.store.audit import Cause
from algosat.trading import close_follow, close_records, conversion_records, idempotency, place
from algosat.trading.close_follow import Followed
from algosat.trading.close_records import Close, CloseLine, LineKey
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey

_BY_HAND: Final = ""


@dataclass(frozen=True, slots=True)
class PositionFilter:
    """A selection of lines; None selects all, except that external positions must be named as a strategy."""

    strategy: str | None = None  # '': positions of orders placed by hand
    symbol: str | None = None
    product: Product | None = None

    def selects(self, key: LineKey) -> bool:
        if self.strategy is None and key[0] == EXTERNAL:
            return False
        wanted = (self.strategy, self.symbol, self.product and self.product.value)
        return all(each in (None, held) for each, held in zip(wanted, key, strict=True))


@dataclass(frozen=True, slots=True)
class CloseTerms:
    """How much to close, and by which type of order. Without quantity and share, the whole position."""

    quantity: Decimal | None = None
    share: Decimal | None = None  # percent of the position
    type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None

    @property
    def is_partial(self) -> bool:
        return self.quantity is not None or self.share is not None


_AT_THE_MARKET: Final = CloseTerms()


@dataclass(frozen=True, slots=True)
class Closing:
    """A close, and the exits placed with it so far."""

    close: Close
    orders: tuple[Order, ...]
    replayed: bool = False  # the key was used before, and this is its close

    @property
    def order(self) -> Order:
        """The exit, if exactly one was placed."""
        (order,) = self.orders
        return order


@dataclass(frozen=True, slots=True)
class _Opened:
    close: Close
    followed: Followed


def close_position(
    desk: Desk,
    symbol: str,
    cause: Cause,
    *,
    strategy: str | None = None,
    product: Product | None = None,
    terms: CloseTerms = _AT_THE_MARKET,
    key: IdempotencyKey | None = None,
) -> Closing:
    """Close what a strategy (None: orders placed by hand) holds in one symbol.

    Raises NothingToClose, InvalidBody for terms that do not fit, and Conflict for a part of a position that
    is being closed already.
    """
    chosen = PositionFilter(strategy or _BY_HAND, symbol, product)

    def work(connection: Connection) -> _Opened:
        held = _held(connection, desk, chosen)
        if not held:
            raise NothingToClose(_why_nothing(connection, desk, symbol, strategy, product))
        return _open(connection, desk, cause, CloseReason.REQUEST, chosen, held, terms)

    return _once(desk, key, work)


def close_all(
    desk: Desk,
    cause: Cause,
    *,
    strategy: str | None = None,
    product: Product | None = None,
    key: IdempotencyKey | None = None,
) -> Closing:
    """Close all positions, or those of one strategy or product, and cancel orders that could open one.

    Without positions and working orders, the close is finished at once and has no lines.
    """
    chosen = PositionFilter(strategy=strategy, product=product)

    def work(connection: Connection) -> _Opened:
        lines = _lines(connection, desk, chosen)
        return _open(connection, desk, cause, CloseReason.REQUEST, chosen, lines, _AT_THE_MARKET)

    return _once(desk, key, work)


def close_for_strategy(
    desk: Desk, symbol: str, cause: Cause, *, strategy: str, product: Product, key: IdempotencyKey
) -> tuple[Order, ...]:
    """Close a strategy's position in its own name. Returns the exits placed at once, possibly none.

    Orders that the strategy places afterwards are not cancelled: it may enter again before it is flat.
    """
    chosen = PositionFilter(strategy, symbol, product)

    def unit(connection: Connection) -> tuple[tuple[Order, ...], Followed | None]:
        known = idempotency.find(connection, key)
        if known is not None:
            return known.orders(connection), None
        held, close_id, followed = _held(connection, desk, chosen), None, Followed()
        if held:
            opened = _open(connection, desk, cause, CloseReason.STRATEGY, chosen, held, _AT_THE_MARKET)
            close_id, followed = opened.close.id, opened.followed
        placed = tuple(followed.placed)
        idempotency.keep(connection, key, placed, desk.clock(), close_id=close_id)
        return placed, followed

    placed, followed = desk.writer.run(unit)
    if followed is not None:
        followed.notify(desk)
    return placed


def uncovered(connection: Connection, desk: Desk, chosen: PositionFilter) -> dict[LineKey, Decimal]:
    """Return the chosen lines to close that no close of the whole position, at the market, covers yet.

    What a close has left because it is too small for an order is not among them until it changes.
    """
    covered = {
        line.key
        for close in close_records.unfinished(connection, desk.account)
        for line in close.lines
        if line.denies_entries and close.type is OrderType.MARKET and not line.is_finished
    }
    covered |= close_records.dust(connection, desk.account)
    return {key: held for key, held in _lines(connection, desk, chosen).items() if key not in covered}


def close_lines(
    connection: Connection,
    desk: Desk,
    cause: Cause,
    reason: CloseReason,
    chosen: PositionFilter,
    lines: Mapping[LineKey, Decimal],
) -> Followed:
    """Close these of the chosen lines at the market, in the caller's unit of work."""
    return _open(connection, desk, cause, reason, chosen, lines, _AT_THE_MARKET).followed


def withdraw(desk: Desk, close_id: str, cause: Cause) -> Close:
    """Stop following a close. Its exits stay as they are. Raises NotFound, and Conflict if it is finished."""

    def unit(connection: Connection) -> Close:
        close = close_records.get(connection, close_id)
        if close.finished_at is not None:
            raise Conflict(f"close {close_id} is finished")
        close_follow.stop(connection, desk, close, cause, f"withdrawn by {cause.actor}")
        return close_records.get(connection, close_id)

    close = desk.writer.run(unit)
    desk.notify_web(close_id)
    return close


def stop_halted(connection: Connection, desk: Desk, scope: Scope, cause: Cause) -> None:
    """End the closes that a halt of this scope asked for."""
    for close in close_records.unfinished(connection, desk.account):
        if close.reason is CloseReason.HALT and close.strategy == scope.strategy:
            close_follow.stop(connection, desk, close, cause, f"trading was resumed ({scope.name(IN_HALTS)})")


def _once(desk: Desk, key: IdempotencyKey | None, work: Callable[[Connection], _Opened]) -> Closing:
    """Return the close that `work` opens. With a key, `work` runs once for all repeats of a request."""

    def unit(connection: Connection) -> tuple[Closing, Followed]:
        known = None if key is None else idempotency.find(connection, key)
        if known is not None:
            if known.close_id is None:
                raise Conflict(
                    "an earlier release answered this Idempotency-Key: find its orders in GET /orders"
                )
            close = close_records.get(connection, known.close_id)
            return Closing(close, known.orders(connection), replayed=True), Followed()
        opened = work(connection)
        placed = tuple(opened.followed.placed)
        if key is not None:
            idempotency.keep(connection, key, placed, desk.clock(), close_id=opened.close.id)
        return Closing(opened.close, placed), opened.followed

    closing, followed = desk.writer.run(unit)
    followed.notify(desk)
    return closing


def _open(
    connection: Connection,
    desk: Desk,
    cause: Cause,
    reason: CloseReason,
    chosen: PositionFilter,
    held: Mapping[LineKey, Decimal],
    terms: CloseTerms,
) -> _Opened:
    """Store a close of these lines, and place its first cancels and exits.

    If a close of an equal request is under way, that close is returned: a client that repeats its request
    while the market is closed creates one close, not thousands for the engine to follow.
    """
    held = _with_conversions(connection, desk, cause, chosen, held)
    if terms.is_partial:
        _require_one_free_line(connection, desk, held)
    elif reason is CloseReason.REQUEST and held:
        known = _equal_under_way(connection, desk, chosen, held, terms)
        if known is not None:
            followed = close_follow.follow(connection, desk, set(held))
            return _Opened(close_records.get(connection, known.id), followed)
    at, close_id = desk.clock(), place.new_id("c")
    covers_later_orders = not terms.is_partial and reason is not CloseReason.STRATEGY
    close = Close(
        id=close_id,
        account=desk.account,
        actor=cause.actor,
        correlation_id=cause.correlation_id,
        reason=reason,
        strategy=chosen.strategy,
        symbol=chosen.symbol,
        product=chosen.product,
        type=terms.type,
        limit_price=terms.limit_price,
        quantity=terms.quantity,
        share=terms.share,
        trades_up_to=close_records.newest_trade(connection),
        orders_up_to=None if covers_later_orders else close_records.newest_order(connection),
        created_at=at,
        lines=tuple(
            CloseLine(
                close_id=close_id,
                strategy=key[0],
                symbol=key[1],
                product=Product(key[2]),
                account=desk.account,
                held=quantity,
                quantity=_quantity(connection, desk.venue, key[1], abs(quantity), terms),
                denies_entries=covers_later_orders,
                updated_at=at,
            )
            for key, quantity in sorted(held.items())
        ),
    )
    close_records.add(connection, close)
    lines = [[*line.key, to_text(line.quantity)] for line in close.lines]
    audit.append(connection, at, "close.requested", close_id, cause, {"reason": reason.value, "lines": lines})
    followed = close_follow.follow(connection, desk, set(held))
    if not held:
        close_records.finish(connection, close_id, at)
    return _Opened(close_records.get(connection, close_id), followed)


def _with_conversions(
    connection: Connection, desk: Desk, cause: Cause, chosen: PositionFilter, held: Mapping[LineKey, Decimal]
) -> Mapping[LineKey, Decimal]:
    """Cancel the conversions of these lines that were not sent. The others may add to chosen lines.

    Returns the lines with those to which such a conversion may add.
    """
    lines = dict(held)
    for each in conversion_records.under_way(connection, desk.account):
        if not {each.source_key, each.target_key} & held.keys():
            continue
        if not each.is_sent:
            cancelled = replace(each, state=ConversionState.CANCELLED, detail="the position is being closed")
            conversion_records.put(connection, cancelled, desk.clock(), cause)
        elif chosen.selects(each.target_key):
            lines.setdefault(each.target_key, ZERO)
    return lines


def _equal_under_way(
    connection: Connection,
    desk: Desk,
    chosen: PositionFilter,
    held: Mapping[LineKey, Decimal],
    terms: CloseTerms,
) -> Close | None:
    """Return the close of an equal request that follows all of these lines, or None."""
    wanted = (chosen.strategy, chosen.symbol, chosen.product, terms.type, terms.limit_price)
    for each in close_records.unfinished(connection, desk.account):
        asked = (each.strategy, each.symbol, each.product, each.type, each.limit_price)
        if each.reason is not CloseReason.REQUEST or each.is_partial or asked != wanted:
            continue
        if held.keys() <= {line.key for line in each.lines if not line.is_finished}:
            return each
    return None


def _require_one_free_line(connection: Connection, desk: Desk, held: Mapping[LineKey, Decimal]) -> None:
    for key in held:
        conversion = conversion_records.of_line(connection, desk.account, key)
        if conversion is not None:
            raise Conflict(f"conversion {conversion.id} of this position is under way: wait for its outcome")
    if len(held) > 1:
        products = " and ".join(sorted(product for _, _, product in held))
        raise InvalidBody(f"the symbol is held as {products}: name the `product` to close a part of")
    for close in close_records.unfinished(connection, desk.account):
        if any(line.key in held and not line.is_finished for line in close.lines):
            raise Conflict(f"close {close.id} of this position is under way: wait for it, or withdraw it")


def _quantity(connection: Connection, venue: str, symbol: str, held: Decimal, terms: CloseTerms) -> Decimal:
    """Return how much of a line to close. Raises InvalidBody where quantity or price do not fit."""
    instrument = queries.instrument(connection, venue, symbol)
    if instrument is not None:
        _require_fit(instrument, terms)
    if terms.quantity is not None:
        if terms.quantity > held:
            raise InvalidBody(f"quantity {to_text(terms.quantity)} is more than the {to_text(held)} held")
        return terms.quantity
    if terms.share is None:
        return held
    lot = instrument.lot if instrument is not None else Decimal(1)
    part = held * terms.share / 100
    whole_lots = part - part % lot
    if not whole_lots:
        raise InvalidBody(f"share {to_text(terms.share)} % of {to_text(held)} is less than one lot of {lot}")
    return whole_lots


def _require_fit(instrument: Instrument, terms: CloseTerms) -> None:
    if terms.quantity is not None and not instrument.takes_quantity(terms.quantity):
        raise InvalidBody(f"quantity {to_text(terms.quantity)} is not a multiple of the lot {instrument.lot}")
    if terms.limit_price is not None and not instrument.takes_price(terms.limit_price):
        raise InvalidBody(
            f"limit_price {to_text(terms.limit_price)} is not a multiple of the tick {instrument.tick}"
        )


def _held(connection: Connection, desk: Desk, chosen: PositionFilter) -> dict[LineKey, Decimal]:
    """Return the chosen lines in which something is held."""
    positions = queries.open_positions(connection, desk.account)
    held = {(each.strategy, each.symbol, each.product): each.quantity for each in positions}
    return {key: quantity for key, quantity in held.items() if chosen.selects(key)}


def _lines(connection: Connection, desk: Desk, chosen: PositionFilter) -> dict[LineKey, Decimal]:
    """Return the chosen lines in which something is held, or an order of ours could open a position."""
    lines = _held(connection, desk, chosen)
    for order in queries.working(connection, desk.account):
        key = (order.terms.strategy or _BY_HAND, order.terms.symbol, order.terms.product.value)
        if chosen.selects(key) and not order.external:
            lines.setdefault(key, ZERO)
    return lines


def _why_nothing(
    connection: Connection, desk: Desk, symbol: str, strategy: str | None, product: Product | None
) -> str:
    positions = queries.open_positions(connection, desk.account)
    held = {(each.strategy, each.product) for each in positions if each.symbol == symbol}
    products = sorted(held_as for holder, held_as in held if holder == (strategy or _BY_HAND))
    if products:
        return f"{symbol} is not held as {product}, but as {' and '.join(products)}"
    others = sorted({holder for holder, _ in held})
    if not others:
        return f"nothing of {symbol} is held"
    names = " and ".join(f"strategy {name!r}" if name else "orders placed by hand" for name in others)
    remedy = "leave `strategy` out" if _BY_HAND in others else "name it in `strategy`"
    return f"{symbol} is held by {names}: {remedy}"
