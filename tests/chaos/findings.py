"""Findings of a run: the store compared with the answers to clients and with the exchange's own book."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select

from algosat.brokers.paper.persistence import paper_orders, paper_trades
from algosat.domain.orders import WORKING, EventKind, Order, Side, Status, apply, create
from algosat.store import audit, heartbeats
from algosat.store.rows import event_from, order_from, terms_from
from algosat.store.tables import book_differences, metadata, orders, positions
from algosat.store.verify.verify import verify
from tests.chaos.site import FIRST, LIMITS
from tests.chaos.traders import Acknowledged

NEVER_AT_THE_EXCHANGE: Final = frozenset({Status.DENIED, Status.NOT_FOUND})
UNDECIDED: Final = frozenset({Status.CREATED, Status.SUBMITTING, Status.UNKNOWN})


def find(connection: Connection, acknowledged: Acknowledged, accounts: Sequence[str]) -> list[str]:
    """Return every contradiction as a sentence."""
    ours = {row.id: order_from(row) for row in connection.execute(select(orders))}
    by_account: dict[str, dict[str, Order]] = {account: {} for account in accounts}
    for order in ours.values():
        by_account[order.terms.account][order.id] = order
    return [
        *acknowledged.contradictions,
        *acknowledged.unexpected,
        *_lost(ours, acknowledged),
        *_undecided(ours),
        *(each for name in accounts for each in _against_the_exchange(connection, name, by_account[name])),
        *(each for name in accounts for each in _beyond_limits(connection, by_account[name])),
        *_still_held(connection),
        *_differences(connection),
        *verify(connection).findings,
    ]


def outcomes(connection: Connection) -> dict[str, int]:
    """Return the number of orders in each status."""
    return dict(Counter(connection.execute(select(orders.c.status)).scalars()))


def undecided(connection: Connection) -> int:
    """Return the number of orders with an open question: not sent, unknown, or a pending request."""
    ours = [order_from(row) for row in connection.execute(select(orders))]
    return sum(order.status in UNDECIDED or order.pending is not None for order in ours)


def is_flat(connection: Connection) -> bool:
    """Return whether no position is held."""
    return not list(_still_held(connection))


def not_found(connection: Connection) -> list[str]:
    """Return the ids of orders that the broker's book does not have."""
    status = Status.NOT_FOUND.value
    return list(connection.execute(select(orders.c.id).where(orders.c.status == status)).scalars())


def book_read_at(connection: Connection) -> datetime:
    """Return the time since which the engine has read the order book of every account."""
    heartbeat = heartbeats.read(connection, heartbeats.ENGINE)
    accounts = heartbeat.data["accounts"].values() if heartbeat else ()
    read_at = [each["book_read_at"] for each in accounts]
    if not read_at or None in read_at:
        return datetime.min.replace(tzinfo=UTC)
    return min(map(datetime.fromisoformat, read_at))


def _still_held(connection: Connection) -> Iterator[str]:
    for row in connection.execute(select(positions).where(positions.c.quantity != 0)):
        yield f"{row.quantity} {row.symbol} are still held although everything was closed"


def _lost(ours: dict[str, Order], acknowledged: Acknowledged) -> Iterator[str]:
    for order_id in acknowledged.orders:
        if order_id not in ours:
            yield f"order {order_id} was acknowledged and is lost"
        elif (ours[order_id].status is Status.DENIED) != (order_id in acknowledged.denied):
            yield f"order {order_id} is {ours[order_id].status}: its client received another answer"


def _undecided(ours: dict[str, Order]) -> Iterator[str]:
    for order in ours.values():
        if order.status in UNDECIDED or order.pending is not None:
            yield f"order {order.id} is still {order.status} {order.pending or ''}"
        if order.external:
            yield f"order {order.id} was imported: the exchange has an order that we did not send"


def _differences(connection: Connection) -> Iterator[str]:
    """Yield what the engine found when it compared the books: nothing differs, and nothing ever did."""
    for row in connection.execute(select(book_differences)):
        yield f"{row.account}: {row.kind} {row.symbol} was {row.ours}, the broker's {row.theirs}"


def _tables_of(account: str) -> tuple[Select[Any], Select[Any]]:
    """Return the queries of the orders and the trades at the exchange of an account."""
    if account == FIRST:
        return select(paper_orders), select(paper_trades)
    theirs, traded = (metadata.tables[f"account_paper_{name}"] for name in ("orders", "trades"))
    return (
        select(theirs).where(theirs.c.account == account),
        select(traded).where(traded.c.account == account),
    )


def _against_the_exchange(connection: Connection, account: str, ours: dict[str, Order]) -> Iterator[str]:
    of_orders, of_trades = _tables_of(account)
    rows = connection.execute(of_orders).all()
    tags = Counter(row.tag for row in rows)
    yield from (f"order {tag} was sent {times} times" for tag, times in tags.items() if times > 1)
    yield from (f"the exchange has {tag}, and we do not" for tag in tags if tag not in ours)
    theirs = {row.tag: row for row in rows}
    traded: dict[str, Decimal] = defaultdict(Decimal)
    for trade in connection.execute(of_trades):
        traded[trade.tag] += trade.quantity
    for order in ours.values():
        yield from _compare(order, theirs.get(order.id), traded[order.id])


def _compare(order: Order, row: Row[Any] | None, traded: Decimal) -> Iterator[str]:
    if row is None:
        if order.filled_quantity or order.broker_order_id:
            yield f"order {order.id} is {order.status}, and the exchange never had it"
        return
    if order.status in NEVER_AT_THE_EXCHANGE or order.status != row.status:
        yield f"order {order.id} is {order.status}, the exchange says {row.status}"
    if order.filled_quantity != traded:
        yield f"order {order.id} is filled {order.filled_quantity}, the exchange says {traded}"


def _beyond_limits(connection: Connection, ours: dict[str, Order]) -> Iterator[str]:
    """Replay the events: no order may have passed the gate beyond a limit.

    The limits are those of working orders, orders in a second, and the value of a symbol's position. The
    order's own price is the lowest at which the gate may have valued the position.
    """
    known: dict[str, Order] = {}
    working: set[str] = set()
    held: dict[str, Decimal] = defaultdict(Decimal)
    entries: deque[datetime] = deque()
    for event in audit.all_events(connection):
        if not event.kind.startswith("order.") or event.subject not in ours:
            continue
        if event.kind == EventKind.CREATED:
            order = create(event.subject, terms_from(event.data), event.at)
            before = _largest_position(held, known, working, order.terms.symbol)
            adds_exposure = ours[order.id].status is not Status.DENIED and not order.terms.reduce_only
        else:
            happened = event_from(event.kind, event.at, event.data)
            order = apply(known[event.subject], happened)
            before = _largest_position(held, known, working - {order.id}, order.terms.symbol)
            change = order.pending_change if event.kind == EventKind.MODIFY_REQUESTED else None
            adds_exposure = change is not None and change.quantity > order.terms.quantity
            if happened.trade is not None:
                held[order.terms.symbol] += order.terms.side.sign * happened.trade.quantity
        known[order.id] = order
        if adds_exposure and event.kind == EventKind.CREATED:
            entries.append(order.created_at)
            while entries[0] <= order.created_at - timedelta(seconds=1):
                entries.popleft()
            if len(entries) > LIMITS["max_orders_per_second"]:
                yield f"order {order.id} is one too many within its second"
            if len(working) >= LIMITS["max_open_orders"]:
                yield f"order {order.id} passed with {len(working)} orders working"
        (working.add if order.status in WORKING else working.discard)(order.id)
        after = _largest_position(held, known, working, order.terms.symbol)
        if (
            adds_exposure
            and after > before
            and after * _highest_price(order) > Decimal(LIMITS["max_position_value"])
        ):
            yield f"order {order.id} passed with a possible position of {after} at {_highest_price(order)}"


def _largest_position(
    held: dict[str, Decimal], known: dict[str, Order], working: set[str], symbol: str
) -> Decimal:
    """Return the largest position, long or short, if all working orders on one side fill."""
    left = dict.fromkeys(Side, Decimal(0))
    for order in (known[each] for each in working):
        if order.terms.symbol == symbol:
            change = order.pending_change
            quantity = max(order.terms.quantity, change.quantity) if change else order.terms.quantity
            left[order.terms.side] += quantity - order.filled_quantity
    return max(held[symbol] + left[Side.BUY], left[Side.SELL] - held[symbol])


def _highest_price(order: Order) -> Decimal:
    terms = order.pending_change or order.terms
    return max(filter(None, (terms.limit_price, terms.trigger_price, terms.protection_price)))
