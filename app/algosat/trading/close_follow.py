"""Follow closes until every line is flat: place cancels and exits, and alert a person if needed.

Positions and orders are read afresh each time, and the whole state of a close is in the store. A broker
outage, an unfilled exit, a denial or a restart therefore delays a close but does not end it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection, bindparam, select, text
from sqlalchemy.exc import SQLAlchemyError

from algosat.clock import has_come
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.closing import (
    CloseReason,
    ClosingStep,
    LineState,
    exit_side,
    exit_terms,
    line_name,
    next_partial_step,
    next_step,
)
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument
from algosat.domain.market_phases import Phase, takes
from algosat.domain.orders import (
    LIVE,
    Order,
    OrderTerms,
    OrderType,
    PendingRequest,
    Status,
    Validity,
)
from algosat.domain.reason_codes import EngineCode
from algosat.domain.risk import DenialCode
from algosat.errors import AlgosatError, CalendarUnknown
from algosat.store import audit, ledger, queries
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import WORKING_STATUS, orders
from algosat.store.writer import after_commit, part
from algosat.trading import alerts, cancel, close_records, conversion_records, slicing
from algosat.trading.close_records import Close, CloseLine, LineKey
from algosat.trading.conversion_records import ConversionRecord
from algosat.trading.desk import Desk

_log = structlog.get_logger(__name__)

_REPRICE_AFTER: Final = timedelta(seconds=30)  # a market order not filled by then is cancelled and sent again
_UNCONFIRMED_AFTER: Final = timedelta(seconds=60)  # a cancel that the broker has not answered by then
_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 10, 20, 40, 60))  # between refused exits
_PERSON_AFTER: Final = 3  # refusals, one after another
# Refusals that are likely to pass by themselves. After any other the first one needs a person.
_PASSING: Final = frozenset(
    {
        DenialCode.MARKET_CLOSED, DenialCode.STALE_QUOTE, DenialCode.NO_QUOTE, DenialCode.MORE_THAN_HELD,
        DenialCode.NOT_REDUCING, DenialCode.NO_HOLDINGS, *EngineCode,
    }
)  # fmt: skip
_MAX_ROUNDS: Final = 3  # an order that was not sent yet is cancelled at once, and frees its quantity
_WORKING = Prepared(
    select(orders)
    .where(
        orders.c.account == bindparam("account"),
        orders.c.strategy == bindparam("strategy"),
        orders.c.symbol == bindparam("symbol"),
        orders.c.product == bindparam("product"),
        text(WORKING_STATUS),
    )
    .order_by(orders.c.seq)
)


@dataclass(slots=True)
class Followed:
    """The changes of one round."""

    placed: list[Order] = field(default_factory=list)
    cancelled: list[Order] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)  # ids of closes

    def add(self, other: Followed) -> None:
        self.placed += other.placed
        self.cancelled += other.cancelled
        self.changed |= other.changed

    def notify(self, desk: Desk) -> None:
        """After the commit, wake the engine and all requests that wait for the changed orders and closes."""
        for changed in (*(order.id for order in self.cancelled + self.placed), *self.changed):
            desk.notify_web(changed)
        if self.placed or self.cancelled:
            desk.wake_engine()


@dataclass(frozen=True, slots=True)
class _Group:
    """The unfinished closes of one line. The first one leads: its terms apply, the others share its state."""

    closes: tuple[Close, ...]
    lines: tuple[CloseLine, ...]  # of these closes, in the same sequence

    @property
    def cause(self) -> Cause:
        """What the exits and cancels are attributed to."""
        return Cause(self.closes[0].actor, self.closes[0].correlation_id)

    @property
    def own(self) -> set[str]:
        """Ids of the exits to leave working: all but the limit orders of closes that do not lead."""
        pairs = zip(self.closes, self.lines, strict=True)
        leads = self.closes[0]
        return {
            order_id
            for close, line in pairs
            if close is leads or close.type is OrderType.MARKET
            for order_id in line.order_ids
        }


@dataclass(frozen=True, slots=True)
class _View:
    """A line as it is now, and what to do about it."""

    group: _Group
    line: CloseLine  # of the leading close, with the outcome of its last exits
    position: Decimal
    left: Decimal
    working: Sequence[Order]
    conversion: ConversionRecord | None  # under way, from or to the line
    step: ClosingStep
    instrument: Instrument | None
    phase: Phase | None  # None: not known, so the gate decides
    at: datetime

    def to_cancel(self) -> list[Order]:
        """Return the orders to cancel now: those in the way, and exits that were not filled in time."""
        since = self.group.closes[0].created_at
        late = [order for order in self.working if self._is_late(order)]
        return [
            order
            for order in (*self.step.in_the_way, *late)
            if not self._may_stay(order)
            and order.pending is not PendingRequest.PENDING_CANCEL
            and order.status is not Status.NOT_FOUND  # it may be filled: only a person can rule that out
            and cancel.is_due(order, since, self.at)
        ]

    def _may_stay(self, order: Order) -> bool:
        """Return whether an exit in the way of a part is left alone: the part could not be sent now.

        Otherwise the position would be without its stop for as long as the broker refuses the part.
        """
        is_part = self.group.closes[0].is_partial and self._must_pause()
        return is_part and order.id not in self.group.own

    def _is_late(self, order: Order) -> bool:
        if order.id not in self.group.own or order in self.step.in_the_way or order.status not in LIVE:
            return False
        is_market = order.terms.type is OrderType.MARKET and self.phase in (Phase.CONTINUOUS, None)
        return is_market and has_come(order.created_at + _REPRICE_AFTER, self.at, within=_REPRICE_AFTER)

    def exit_terms(self) -> OrderTerms | None:
        """Return the exit to place now, or None."""
        close, line = self.group.closes[0], self.line
        if not self.step.to_send or not self._takes_orders() or self._must_pause():
            return None
        if line.state is LineState.DUST or not (quantity := self._whole_lots(self.step.to_send)):
            return None
        return exit_terms(
            account=line.account,
            strategy=line.strategy,
            symbol=line.symbol,
            product=line.product,
            position=self.position,
            quantity=quantity,
            order_type=close.type,
            limit_price=close.limit_price,
        )

    def state(self, desk: Desk) -> tuple[LineState, str]:
        """Return the state of the line, and its explanation."""
        if self._awaits_conversion:
            return self._conversion_state()
        if not self.left and not self.step.in_the_way:
            state = LineState.REDUCED if self.position else LineState.FLAT
            return state, f"{abs(self.position):f} is left" if self.position else ""
        if self.line.state is LineState.DUST:
            return LineState.DUST, self.line.detail
        if self._is_below_one_lot():
            return LineState.DUST, f"what is left cannot be sold: {self.left:f} is less than one lot"
        problem = next(self._problems(), None)
        if problem is not None:
            return LineState.NEEDS_PERSON, problem
        if (self.step.to_send or self.step.in_the_way) and self.left and not self._takes_orders():
            return LineState.WAITING, self._opening(desk)
        if self._must_pause() and (self.step.to_send or self.group.closes[0].is_partial):
            return LineState.SENDING, self.line.detail
        if self.step.in_the_way:
            return (
                LineState.CANCELLING,
                f"waiting for the broker to confirm the cancel of {_names(self.step.in_the_way)}",
            )
        mine = self._own_exits()
        if mine or self.step.to_send:
            return LineState.SENDING, f"waiting until {_names(mine)} is filled" if mine else ""
        return (
            LineState.NEEDS_PERSON,
            f"cancel {_names(self._exits())} in the broker's terminal, where it was placed",
        )

    @property
    def _awaits_conversion(self) -> bool:
        """Whether nothing is left to do but to wait for the outcome of a conversion."""
        is_idle = not self.step.to_send and not self.step.in_the_way
        return self.conversion is not None and is_idle and not any(self._own_exits())

    def _conversion_state(self) -> tuple[LineState, str]:
        assert self.conversion is not None
        since = self.conversion.sent_at or self.conversion.created_at
        if abs(self.at - since) <= _UNCONFIRMED_AFTER:
            return LineState.SENDING, f"waiting for the outcome of conversion {self.conversion.id}"
        return LineState.NEEDS_PERSON, (
            f"the broker does not show the outcome of conversion {self.conversion.id}: look in its terminal, "
            "and settle the conversion"
        )

    def _own_exits(self) -> list[Order]:
        return [order for order in self.working if order.id in self.group.own]

    def _whole_lots(self, quantity: Decimal) -> Decimal:
        """Return as much of a quantity as an order can sell: a fee in what was bought leaves part of a lot.

        A part of a derivative's lot is left to the gate, which denies it, so that a person looks at it.
        """
        instrument = self.instrument
        if instrument is None or instrument.kind.is_derivative:
            return quantity
        return quantity - quantity % instrument.lot

    def _is_below_one_lot(self) -> bool:
        return not self._whole_lots(self.left) and not self.step.in_the_way and not self._exits()

    def _exits(self) -> list[Order]:
        return [order for order in self.working if order.terms.side is exit_side(self.position)]

    def _takes_orders(self) -> bool:
        """Return whether to send an exit now. A strategy's exit waits for the open, as in a back-test."""
        close = self.group.closes[0]
        if close.reason is CloseReason.STRATEGY:
            return self.phase in (None, Phase.CONTINUOUS)
        return self.phase is None or takes(self.phase, close.type, Validity.DAY)

    def _must_pause(self) -> bool:
        retry_at = self.line.retry_at
        return retry_at is not None and not has_come(retry_at, self.at, within=_DELAYS[-1])

    def _problems(self) -> Iterator[str]:
        """Yield what a person must look at."""
        asked = self.group.closes[0].created_at
        for order in (*self.step.in_the_way, *self._own_exits()):
            since = abs(self.at - order.updated_at)
            if order.status is Status.NOT_FOUND:
                yield (
                    f"the broker's order book does not show order {order.id}: look in the broker's terminal, "
                    "and cancel the order here if it is not there"
                )
            elif order.code == EngineCode.CANCEL_REFUSED and abs(self.at - asked) > _REPRICE_AFTER:
                yield f"the broker does not cancel order {order.id}: {order.reason or 'no reason given'}"
            elif order.pending is PendingRequest.PENDING_CANCEL and since > _UNCONFIRMED_AFTER:
                yield f"the broker has not confirmed the cancel of order {order.id}: cancel it there"
            elif order.status is Status.UNKNOWN and since > _UNCONFIRMED_AFTER:
                yield f"the broker does not show the outcome of order {order.id}: look in its terminal"
        works = any(order.status in LIVE for order in self._own_exits())
        is_lasting = self.line.refusals >= _PERSON_AFTER or self.line.state is LineState.NEEDS_PERSON
        if self.left and self.line.refusals and is_lasting and not works:
            yield self.line.detail

    def _opening(self, desk: Desk) -> str:
        kept = "the market takes no such orders now; the exit is sent at the next open"
        if self.instrument is None:
            return kept
        where = (self.instrument.segment, self.instrument.has_derivatives)
        try:
            return f"{kept}, {desk.calendar.next_open(*where, self.at):%Y-%m-%d %H:%M} UTC"
        except CalendarUnknown:
            return kept


def follow(connection: Connection, desk: Desk, only: AbstractSet[LineKey] | None = None) -> Followed:
    """Take the next steps of the unfinished closes, or of these lines, in the caller's unit of work."""
    followed = Followed()
    for group in _groups(connection, desk, only):
        followed.add(_attempt(connection, desk, group))
    for close_id in sorted(followed.changed):
        if close_records.finish(connection, close_id, desk.clock()):
            close = close_records.get(connection, close_id)
            cause = Cause(close.actor, close.correlation_id)
            data = {"lines": [[*line.key, line.state.value] for line in close.lines]}
            audit.append(connection, desk.clock(), "close.finished", close_id, cause, data)
    return followed


def is_due(connection: Connection, desk: Desk) -> bool:
    """Return whether `follow` would change anything."""
    for group in _groups(connection, desk, None):
        view = _view(connection, desk, group)
        if view.to_cancel() or view.exit_terms() or _renewed(view, desk) != group.lines:
            return True
    return False


def stop(connection: Connection, desk: Desk, close: Close, cause: Cause, detail: str) -> None:
    """End a close. Its exits stay as they are."""
    at = desk.clock()
    for line in close.lines:
        if not line.is_finished:
            ended = replace(line.in_state(LineState.STOPPED, detail), updated_at=at, finished_at=at)
            _put(connection, desk, line, ended, cause)
    close_records.finish(connection, close.id, at)
    audit.append(connection, at, "close.stopped", close.id, cause, {"detail": detail})


def _groups(connection: Connection, desk: Desk, only: AbstractSet[LineKey] | None) -> list[_Group]:
    """Return the unfinished lines by key. The whole leads a part, and market orders lead limit orders."""
    found: dict[LineKey, list[tuple[Close, CloseLine]]] = defaultdict(list)
    for close in close_records.unfinished(connection, desk.account):
        for line in close.lines:
            if not line.is_finished and (only is None or line.key in only):
                found[line.key].append((close, line))
    for pairs in found.values():
        pairs.sort(key=_precedence)
    return [_Group(*map(tuple, zip(*pairs, strict=True))) for pairs in found.values()]


def _precedence(pair: tuple[Close, CloseLine]) -> tuple[bool, bool, bool]:
    close, line = pair
    return close.is_partial, close.type is not OrderType.MARKET, not line.denies_entries


def _attempt(connection: Connection, desk: Desk, group: _Group) -> Followed:
    """Take the next steps of one line. A failure is undone, and does not delay the other lines."""
    try:
        with part(connection):
            return _follow(connection, desk, group)
    except (AlgosatError, SQLAlchemyError, ValueError) as error:
        _log.exception("close_failed", close=group.closes[0].id, line=line_name(*group.lines[0].key))
        place = f"engine {desk.account} closes"
        after_commit(connection, partial(desk.errors.record, error, place, cause=group.cause))
        line, at = group.lines[0], desk.clock()
        failed = _refused(line.in_state(LineState.NEEDS_PERSON, f"the next step failed: {error}"), at)
        _put(connection, desk, line, _stamped(failed, at), group.cause)
        return Followed(changed={line.close_id})


def _follow(connection: Connection, desk: Desk, group: _Group) -> Followed:
    before, cause, followed = group.lines, group.cause, Followed()
    for _ in range(_MAX_ROUNDS):
        view = _view(connection, desk, group)
        # The stop of a linked exit returns, smaller, once the exit of a part is placed.
        keeps_link = group.closes[0].is_partial
        cancelled = [
            cancel.request(connection, desk, order, cause, keeps_link=keeps_link)
            for order in view.to_cancel()
        ]
        terms = view.exit_terms()
        placed = slicing.admit(connection, desk, terms, cause) if terms is not None else []
        group = replace(group, lines=(_with_exits(view.line, placed), *group.lines[1:]))
        followed.cancelled += cancelled
        followed.placed += placed
        if not placed and all(order.is_working for order in cancelled):
            break
    renewed = _renewed(_view(connection, desk, group), desk)
    for old, new in zip(before, renewed, strict=True):
        if new != old:
            _put(connection, desk, old, new, cause)
            followed.changed.add(new.close_id)
    return followed


def _view(connection: Connection, desk: Desk, group: _Group) -> _View:
    at, close, line = desk.clock(), group.closes[0], group.lines[0]
    rows = _WORKING.all(
        connection,
        account=line.account,
        strategy=line.strategy,
        symbol=line.symbol,
        product=line.product.value,
    )
    working = [order_from(row) for row in rows]
    position = queries.held(connection, line.account, *line.key)
    left = _left(connection, close, line, position)
    conversion = conversion_records.of_line(connection, line.account, line.key)
    leaves = conversion is not None and conversion.source_key == line.key
    converting = abs(conversion.quantity) if conversion is not None and leaves else ZERO
    if close.is_partial:
        step = next_partial_step(position, left, working, group.own, converting=converting)
    else:
        later = {row.id for row in rows if close.orders_up_to is not None and row.seq > close.orders_up_to}
        step = next_step(position, left, working, group.own, spare=later, converting=converting)
    instrument = queries.instrument(connection, desk.venue, line.symbol)
    return _View(
        group=group,
        line=_judged(connection, line, position, at),
        position=position,
        left=left,
        working=working,
        conversion=conversion,
        step=step,
        instrument=instrument,
        phase=_phase(desk, instrument, at),
        at=at,
    )


def _left(connection: Connection, close: Close, line: CloseLine, position: Decimal) -> Decimal:
    """Return the quantity still to be closed.

    For a close of a part, or by a strategy that may have entered again, fills of the exits are subtracted.
    """
    if line.denies_entries:
        return abs(position)
    if position * line.held <= 0:
        return ZERO
    side = exit_side(line.held)
    left = line.quantity - close_records.filled_since(connection, line, side, close.trades_up_to)
    if not close.is_partial:
        left += close_records.filled_since(
            connection, line, side.opposite, close.trades_up_to, orders_up_to=close.orders_up_to
        )
    return min(max(left, ZERO), abs(position))


def _judged(connection: Connection, line: CloseLine, position: Decimal, at: datetime) -> CloseLine:
    """Return the line with the outcome of its last exits: a refusal delays the next one."""
    watched = [ledger.get(connection, order_id) for order_id in line.watched_ids]
    line = replace(line, watched_ids=tuple(order.id for order in watched if order.is_working))
    refused = [order for order in watched if _is_refused(order)]
    if not refused:
        worked = any(order.filled_quantity or at - order.created_at >= _REPRICE_AFTER for order in watched)
        return replace(line, refusals=0, retry_at=None) if worked else line
    last = refused[-1]
    if last.code == DenialCode.BELOW_MINIMUM and last.terms.quantity >= abs(position):
        # A repetition would be denied, too.
        return line.in_state(LineState.DUST, f"what is left cannot be sold: {last.reason}")
    may_pass = last.status is Status.CANCELLED or last.code in _PASSING
    state = line.state if may_pass else LineState.NEEDS_PERSON
    detail = f"exit {last.id} was {last.status}: {last.reason or last.code or 'no reason given'}"
    return _refused(line.in_state(state, detail), at)


def _refused(line: CloseLine, at: datetime) -> CloseLine:
    """Return the line with one more refusal, and the time of the next attempt."""
    delay = _DELAYS[min(line.refusals, len(_DELAYS) - 1)]
    return replace(line, refusals=line.refusals + 1, retry_at=at + delay)


def _is_refused(order: Order) -> bool:
    """Return whether an exit ended without a fill, for a reason other than repricing."""
    if order.is_working or order.filled_quantity:
        return False
    return order.status in (Status.DENIED, Status.REJECTED) or (
        order.status is Status.CANCELLED and order.updated_at - order.created_at < _REPRICE_AFTER
    )


def _with_exits(line: CloseLine, placed: Sequence[Order]) -> CloseLine:
    ids = tuple(order.id for order in placed)
    return replace(line, order_ids=line.order_ids + ids, watched_ids=line.watched_ids + ids)


def _renewed(view: _View, desk: Desk) -> tuple[CloseLine, ...]:
    """Return the lines of the group in their present state."""
    state, detail = view.state(desk)
    lines = (view.line, *view.group.lines[1:])
    renewed = (_in_state(line, state, detail) for line in lines)
    pairs = zip(view.group.lines, renewed, strict=True)
    return tuple(
        _stamped(new, view.at) if new != old or (new.is_finished and new.finished_at is None) else old
        for old, new in pairs
    )


def _in_state(line: CloseLine, state: LineState, detail: str) -> CloseLine:
    """Return a line in the state of the leading one. A reduction does not finish a close of the whole."""
    if state is LineState.REDUCED and line.denies_entries:
        return line.in_state(LineState.SENDING, detail)
    return line.in_state(state, detail)


def _stamped(line: CloseLine, at: datetime) -> CloseLine:
    return replace(line, updated_at=at, finished_at=at if line.is_finished else None)


def _put(connection: Connection, desk: Desk, old: CloseLine, new: CloseLine, cause: Cause) -> None:
    """Store a line, and open or close the alert that a person is needed."""
    close_records.put_line(connection, new)
    subject = line_name(*new.key)
    if new.state is LineState.NEEDS_PERSON:
        alerts.open_alert(connection, desk, AlertKind.CLOSE_NEEDS_PERSON, subject, cause, new.detail)
    elif old.state is LineState.NEEDS_PERSON:
        alerts.close_alert(connection, desk, AlertKind.CLOSE_NEEDS_PERSON, subject, cause)


def _phase(desk: Desk, instrument: Instrument | None, at: datetime) -> Phase | None:
    if instrument is None:
        return None
    try:
        return desk.calendar.phase(instrument.segment, instrument.has_derivatives, at)
    except CalendarUnknown:
        return None


def _names(of: Sequence[Order]) -> str:
    return ("order " if len(of) == 1 else "orders ") + ", ".join(order.id for order in of[:10])
