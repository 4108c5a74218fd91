"""Convert positions to another product: request, cancel and settle conversions, and book their outcome.

A conversion is stored by the request; the engine sends it (`engine/conversions`). What the broker has
converted is booked as one entry under each product, in one unit of work. Both entries have the average price
of the position, rounded to eight places, so that the cost moves with the quantity. What the rounding adds to
the realised profit it takes from the unrealised one: their sum stays exactly as it is, and cash changes by at
most half a place for each unit of the quantity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, select

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.closing import open_quantity
from algosat.domain.conversion import (
    Conversion,
    ConversionCode,
    ConversionRefusal,
    ConversionSnapshot,
    ConversionState,
    Excess,
    refusal,
)
from algosat.domain.decimals import ZERO, to_store_places, to_text
from algosat.domain.instruments import Instrument
from algosat.domain.linked_exits import ExitState
from algosat.domain.market_phases import Phase
from algosat.domain.orders import Order, Product
from algosat.domain.positions import Position
from algosat.domain.reason_codes import EngineCode
from algosat.domain.scope import ACCOUNT, Scope
from algosat.errors import CalendarUnknown, Conflict, ConversionRefused, InvalidBody
from algosat.store import audit, linked_exits, queries
from algosat.store.audit import Cause
from algosat.store.rows import position_from
from algosat.store.tables import positions
from algosat.trading import (
    account_book,
    alerts,
    arming,
    book_entries,
    close_records,
    conversion_records,
    daily_pnl,
    funds,
    halts,
    idempotency,
    place,
)
from algosat.trading.book_entries import BookEntry
from algosat.trading.close_records import LineKey
from algosat.trading.conversion_records import ConversionRecord
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey

UNKNOWN_ALERT: Final = AlertKind.CONVERSION_UNKNOWN


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """What a client asks for."""

    symbol: str
    target: Product
    strategy: str = ""  # '': orders placed by hand
    source: Product | None = None  # None: the only one under which the symbol is held
    quantity: Decimal | None = None  # None: the whole position


@dataclass(frozen=True, slots=True)
class Requested:
    """A stored conversion."""

    record: ConversionRecord
    replayed: bool = False  # the key was used before, and this is its conversion


def request_conversion(
    desk: Desk, wanted: ConversionRequest, cause: Cause, *, key: IdempotencyKey | None = None
) -> Requested:
    """Store a conversion and wake the engine. With a key, only once.

    Raises ConversionRefused, and InvalidBody for a request that does not name one position; then nothing is
    stored but the refusal in the audit trail.
    """

    def unit(connection: Connection) -> Requested | ConversionRefusal:
        known = None if key is None else idempotency.find(connection, key)
        if known is not None:
            (conversion_id,) = known.order_ids
            return Requested(conversion_records.get(connection, conversion_id), replayed=True)
        conversion = _completed(connection, desk, wanted)
        held = _held(connection, desk, conversion.strategy, conversion.symbol, conversion.source)
        outcome = _judged(connection, desk, conversion, held)
        if outcome is not None:
            data = {"code": outcome.code, "reason": outcome.detail}
            audit.append(connection, desk.clock(), "conversion.refused", conversion.symbol, cause, data)
            return outcome
        new = conversion_records.add(connection, _record(desk, conversion, held, cause))
        if key is not None:
            idempotency.keep_id(connection, key, new.id, desk.clock())
        return Requested(new)

    outcome = desk.writer.run(unit)
    if isinstance(outcome, ConversionRefusal):
        raise ConversionRefused(outcome.detail, code=outcome.code)
    desk.wake_engine()
    return outcome


def cancel_conversion(desk: Desk, conversion_id: str, cause: Cause) -> ConversionRecord:
    """Cancel a conversion that was not sent yet. Raises NotFound, and Conflict once it was sent."""

    def unit(connection: Connection) -> ConversionRecord:
        record = conversion_records.get(connection, conversion_id)
        if record.state is not ConversionState.CREATED:
            raise Conflict(
                f"conversion {conversion_id} is {record.state}: only one that waits can be cancelled"
            )
        detail = f"cancelled by {cause.actor}"
        return end(connection, record, ConversionState.CANCELLED, None, detail, desk.clock(), cause)

    record = desk.writer.run(unit)
    desk.notify_web(record.id)
    return record


def settle_conversion(desk: Desk, conversion_id: str, cause: Cause, *, converted: bool) -> ConversionRecord:
    """Record what a person has seen in the broker's terminal about a conversion of unknown outcome.

    Raises NotFound, and Conflict if the outcome is known or the conversion is just being sent.
    """

    def unit(connection: Connection) -> ConversionRecord:
        record = conversion_records.get(connection, conversion_id)
        if record.state is not ConversionState.UNKNOWN:
            raise Conflict(f"conversion {conversion_id} is {record.state}: there is no outcome to settle")
        code, detail = ConversionCode.SETTLED_BY_PERSON, f"settled by {cause.actor}"
        if converted:
            return record_converted(connection, desk, record.id, cause, code=code, detail=detail)
        return record_rejected(connection, desk, record.id, code, detail, cause)

    record = desk.writer.run(unit)
    desk.notify_web(record.id)
    desk.wake_engine()
    return record


# --- what has become of a conversion -------------------------------------------------------------------


def record_sending(
    connection: Connection, desk: Desk, record: ConversionRecord, excess: Excess
) -> ConversionRecord:
    """Record that the conversion is about to be sent, with the broker's positions as they were before."""
    sent = replace(record, state=ConversionState.SUBMITTING, excess=excess, sent_at=desk.clock())
    return conversion_records.put(connection, sent, desk.clock(), record.cause)


def record_converted(
    connection: Connection,
    desk: Desk,
    conversion_id: str,
    cause: Cause,
    *,
    code: str | None = None,
    detail: str = "",
) -> ConversionRecord:
    """Book what the broker has converted, unless it is booked.

    An answer that comes late counts, even if the conversion was given up.
    """
    record = conversion_records.get(connection, conversion_id)
    if record.state is ConversionState.CONVERTED:
        return record
    source, target = _book(connection, desk, record, cause)
    changed = replace(
        record,
        state=ConversionState.CONVERTED,
        code=code,
        detail=detail,
        source_order_id=source.id,
        target_order_id=target.id,
    )
    alerts.close_alert(connection, desk, UNKNOWN_ALERT, record.id, cause)
    return conversion_records.put(connection, changed, desk.clock(), cause)


def record_rejected(
    connection: Connection, desk: Desk, conversion_id: str, code: str, detail: str, cause: Cause
) -> ConversionRecord:
    """End a conversion that was certainly not made, unless it has ended."""
    record = conversion_records.get(connection, conversion_id)
    if record.finished_at is not None:
        return record
    alerts.close_alert(connection, desk, UNKNOWN_ALERT, record.id, cause)
    return end(connection, record, ConversionState.REJECTED, code, detail, desk.clock(), cause)


def record_unknown(
    connection: Connection, desk: Desk, conversion_id: str, code: str, detail: str, cause: Cause
) -> ConversionRecord:
    """Record that the outcome of a conversion that is being sent is not known."""
    record = conversion_records.get(connection, conversion_id)
    if record.state is not ConversionState.SUBMITTING:
        return record
    return end(connection, record, ConversionState.UNKNOWN, code, detail, desk.clock(), cause)


def end(
    connection: Connection,
    record: ConversionRecord,
    state: ConversionState,
    code: str | None,
    detail: str,
    at: datetime,
    cause: Cause,
) -> ConversionRecord:
    """Store a conversion in another state."""
    return conversion_records.put(
        connection, replace(record, state=state, code=code, detail=detail), at, cause
    )


# --- the request ---------------------------------------------------------------------------------------


def _completed(connection: Connection, desk: Desk, wanted: ConversionRequest) -> Conversion:
    """Return the conversion with the product and quantity that the request leaves out."""
    held = {
        each.product: each.quantity
        for each in queries.open_positions(connection, desk.account)
        if (each.strategy, each.symbol) == (wanted.strategy, wanted.symbol)
    }
    source = wanted.source
    if source is None:
        products = sorted(held.keys() - {wanted.target.value})
        if len(products) > 1:
            raise InvalidBody(f"{wanted.symbol} is held as {' and '.join(products)}: name the `product`")
        if not products:
            holder = f"strategy {wanted.strategy}" if wanted.strategy else "orders placed by hand"
            raise InvalidBody(f"{holder} hold no {wanted.symbol} that is not {wanted.target} already")
        source = Product(products[0])
    quantity = wanted.quantity
    if quantity is None:
        quantity = abs(held.get(source.value, ZERO))
    instrument = queries.instrument(connection, desk.venue, wanted.symbol)
    if wanted.quantity is not None and instrument is not None and not instrument.takes_quantity(quantity):
        raise InvalidBody(f"quantity {to_text(quantity)} is not a multiple of the lot {instrument.lot}")
    return Conversion(wanted.symbol, wanted.strategy, source, wanted.target, quantity)


def _record(desk: Desk, conversion: Conversion, held: Position | None, cause: Cause) -> ConversionRecord:
    side = ZERO if held is None else held.quantity
    return ConversionRecord(
        id=place.new_id("v"),
        account=desk.account,
        strategy=conversion.strategy,
        symbol=conversion.symbol,
        source=conversion.source,
        target=conversion.target,
        quantity=conversion.quantity.copy_sign(side),
        actor=cause.actor,
        correlation_id=cause.correlation_id,
        created_at=desk.clock(),
        updated_at=desk.clock(),
    )


def _judged(
    connection: Connection, desk: Desk, conversion: Conversion, held: Position | None
) -> ConversionRefusal | None:
    """Return why the position cannot be converted now, or None if it can."""
    instrument, quote = queries.listed(connection, desk.venue, conversion.symbol)
    if instrument is None:
        return ConversionRefusal(ConversionCode.UNKNOWN_SYMBOL, f"{conversion.symbol} is not listed")
    if quote is None:
        return ConversionRefusal(ConversionCode.NO_QUOTE, f"there is no price of {conversion.symbol}")
    source = (conversion.strategy, conversion.symbol, conversion.source.value)
    target = (conversion.strategy, conversion.symbol, conversion.target.value)
    under_way = conversion_records.of_symbol(connection, desk.account, conversion.symbol)
    can, now = desk.capabilities, desk.clock()
    working = _working(connection, desk, source)
    facts = ConversionSnapshot(
        is_supported=can is None or (can.has_conversion and conversion.target in can.products),
        kind=instrument.kind,
        held=ZERO if held is None else held.quantity,
        held_as_target=queries.held(connection, desk.account, *target),
        working=working,
        unplaced=_unplaced(connection, source, desk.account, working),
        is_closing=_is_closing(connection, desk, source, target),
        under_way=None if under_way is None else under_way.id,
        halts=halts.reasons(connection, desk, conversion.strategy or None),
        arming=arming.arming(connection, desk),
        phase=_phase(desk, instrument, now),
        is_square_off=_is_square_off(desk, instrument, now),
        is_near_delivery=instrument.is_near_delivery(now.astimezone(EXCHANGE_TIME).date()),
        price=quote.last,
        available=funds.funds(connection, desk).available,
    )
    return refusal(conversion, facts)


def _working(connection: Connection, desk: Desk, key: LineKey) -> tuple[Order, ...]:
    """Return the working orders of a line."""
    return tuple(
        order
        for order in queries.working(connection, desk.account)
        if (order.terms.strategy or "", order.terms.symbol, order.terms.product.value) == key
    )


def _unplaced(connection: Connection, key: LineKey, account: str, working: tuple[Order, ...]) -> Decimal:
    """Return the quantity for which linked exits of a line have no working order, and will place one."""
    placed = {order.id: open_quantity(order) for order in working}
    total = ZERO
    for each in linked_exits.active(connection, account):
        line = (each.strategy or "", each.symbol, each.product.value)
        if line == key and each.state is not ExitState.WAITING:
            left = each.quantity - linked_exits.exited(connection, each.id)
            total += max(left - placed.get(each.order_id or "", ZERO), ZERO)
    return total


def _is_closing(connection: Connection, desk: Desk, *keys: LineKey) -> bool:
    unfinished = close_records.unfinished(connection, desk.account)
    return any(line.key in keys and not line.is_finished for close in unfinished for line in close.lines)


def _phase(desk: Desk, instrument: Instrument, now: datetime) -> Phase | None:
    try:
        return desk.calendar.phase(instrument.segment, instrument.has_derivatives, now)
    except CalendarUnknown:
        return None


def _is_square_off(desk: Desk, instrument: Instrument, now: datetime) -> bool:
    try:
        closes_at = desk.calendar.closes_at(instrument.segment, instrument.has_derivatives, now)
    except CalendarUnknown:
        return True
    return closes_at is not None and closes_at - desk.square_off_before_close <= now


# --- the ledger ----------------------------------------------------------------------------------------


def _book(connection: Connection, desk: Desk, record: ConversionRecord, cause: Cause) -> tuple[Order, Order]:
    """Book a conversion that the broker has made. Returns the entries of the source and the target.

    More may be converted than is held by now, because somebody has sold at the broker meanwhile: the entries
    show what the broker has done.
    """
    price = _price(connection, desk, record)
    _write_baselines(connection, desk, record.strategy)

    def entry(product: Product, quantity: Decimal, *, reduce_only: bool) -> Order:
        change = BookEntry(
            strategy=record.strategy,
            symbol=record.symbol,
            product=product,
            quantity=quantity,
            price=price,
            at=desk.clock(),
            code=EngineCode.POSITION_CONVERTED,
            reason=f"conversion {record.id} from {record.source} to {record.target}",
            reduce_only=reduce_only,
        )
        return book_entries.book(connection, desk, change, cause, trade_prefix="conversion")[0]

    source = entry(record.source, -record.quantity, reduce_only=True)
    return source, entry(record.target, record.quantity, reduce_only=False)


def _price(connection: Connection, desk: Desk, record: ConversionRecord) -> Decimal:
    """Return the average price of the position; the last price if nothing is held any more."""
    held = _held(connection, desk, record.strategy, record.symbol, record.source)
    if held is not None and held.average_price is not None:
        return to_store_places(held.average_price)
    quote = queries.quote(connection, desk.venue, record.symbol)
    return ZERO if quote is None else quote.last


def _held(
    connection: Connection, desk: Desk, strategy: str, symbol: str, product: Product
) -> Position | None:
    row = connection.execute(
        select(positions).where(
            positions.c.account == desk.account,
            positions.c.strategy == strategy,
            positions.c.symbol == symbol,
            positions.c.product == product.value,
        )
    ).first()
    return None if row is None else position_from(row)


def _write_baselines(connection: Connection, desk: Desk, strategy: str) -> None:
    """Write the day's baselines that are not written yet: the entries are no trades of the day."""
    book = account_book.read_book(connection, desk.account, desk.venue)
    day = desk.books.trading_day(desk.clock())
    for scope in (ACCOUNT, Scope(strategy)) if strategy else (ACCOUNT,):
        daily_pnl.open_day(connection, desk, scope, day, book)
