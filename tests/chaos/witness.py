"""The end of it: what clients were told, what the store says and what the exchange took, held together."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from algosat.brokers.paper.persistence import paper_orders, paper_trades
from algosat.domain.orders import WORKING, EventKind, Order, Side, Status, apply, create
from algosat.store import audit
from algosat.store.rows import event_from, order_from, terms_from
from algosat.store.tables import orders
from algosat.store.verify.verify import verify
from tests.chaos.site import LIMITS
from tests.chaos.traders import Acknowledged

NEVER_AT_THE_EXCHANGE: Final = frozenset({Status.DENIED, Status.NOT_FOUND})
UNDECIDED: Final = frozenset({Status.CREATED, Status.SUBMITTING, Status.UNKNOWN})


def findings(connection: Connection, told: Acknowledged) -> list[str]:
    """Everything that is wrong, as sentences; none when all is well."""
    ours = {row.id: order_from(row) for row in connection.execute(select(orders))}
    return [
        *told.contradictions,
        *told.unexpected,
        *_lost(ours, told),
        *_undecided(ours),
        *_against_the_exchange(connection, ours),
        *_beyond_limits(connection, ours),
        *verify(connection).findings,
    ]


def outcomes(connection: Connection) -> dict[str, int]:
    """How many orders ended in each state."""
    return dict(Counter(connection.execute(select(orders.c.status)).scalars()))


def undecided(connection: Connection) -> int:
    ours = [order_from(row) for row in connection.execute(select(orders))]
    return sum(order.status in UNDECIDED or order.pending is not None for order in ours)


def _lost(ours: dict[str, Order], told: Acknowledged) -> Iterator[str]:
    for order_id in told.orders:
        if order_id not in ours:
            yield f"order {order_id} was acknowledged and is lost"
        elif (ours[order_id].status is Status.DENIED) != (order_id in told.denied):
            yield f"order {order_id} is {ours[order_id].status}: its client was told otherwise"


def _undecided(ours: dict[str, Order]) -> Iterator[str]:
    for order in ours.values():
        if order.status in UNDECIDED or order.pending is not None:
            yield f"order {order.id} is still {order.status} {order.pending or ''}"
        if order.external:
            yield f"order {order.id} was imported: the exchange has a second one of ours, or a stranger's"


def _against_the_exchange(connection: Connection, ours: dict[str, Order]) -> Iterator[str]:
    tags = Counter(connection.execute(select(paper_orders.c.tag)).scalars())
    yield from (f"order {tag} was sent {times} times" for tag, times in tags.items() if times > 1)
    yield from (f"the exchange has {tag}, and we do not" for tag in tags if tag not in ours)
    theirs = {row.tag: row for row in connection.execute(select(paper_orders))}
    traded: dict[str, Decimal] = defaultdict(Decimal)
    for trade in connection.execute(select(paper_trades)):
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
    """Replay the log: no entry passed with too many orders working, too many within a second, or with more of
    its symbol than may be held. Its own price is the least that the gate had to value it all at."""
    known: dict[str, Order] = {}
    working: set[str] = set()
    held: dict[str, Decimal] = defaultdict(Decimal)
    entries: deque[datetime] = deque()
    for event in audit.all_events(connection):
        if not event.kind.startswith("order."):
            continue
        if event.kind == EventKind.CREATED:
            order = create(event.subject, terms_from(event.data), event.at)
            before = _worst(held, known, working, order.terms.symbol)
            asks = ours[order.id].status is not Status.DENIED and not order.terms.reduce_only
        else:
            happened = event_from(event.kind, event.at, event.data)
            order = apply(known[event.subject], happened)
            before = _worst(held, known, working - {order.id}, order.terms.symbol)
            change = order.pending_change if event.kind == EventKind.MODIFY_REQUESTED else None
            asks = change is not None and change.quantity > order.terms.quantity
            if happened.trade is not None:
                held[order.terms.symbol] += order.terms.side.sign * happened.trade.quantity
        known[order.id] = order
        if asks and event.kind == EventKind.CREATED:
            entries.append(order.created_at)
            while entries[0] <= order.created_at - timedelta(seconds=1):
                entries.popleft()
            if len(entries) > LIMITS["max_orders_per_second"]:
                yield f"order {order.id} is one too many within its second"
            if len(working) >= LIMITS["max_open_orders"]:
                yield f"order {order.id} passed with {len(working)} orders working"
        (working.add if order.status in WORKING else working.discard)(order.id)
        after = _worst(held, known, working, order.terms.symbol)
        if asks and after > before and after * _dearest(order) > Decimal(LIMITS["max_position_value"]):
            yield f"order {order.id} passed: {after} at {_dearest(order)} could come of it"


def _worst(held: dict[str, Decimal], known: dict[str, Order], working: set[str], symbol: str) -> Decimal:
    """The largest position, long or short, that could come of what is held and working."""
    left = dict.fromkeys(Side, Decimal(0))
    for order in (known[each] for each in working):
        if order.terms.symbol == symbol:
            change = order.pending_change
            quantity = max(order.terms.quantity, change.quantity) if change else order.terms.quantity
            left[order.terms.side] += quantity - order.filled_quantity
    return max(held[symbol] + left[Side.BUY], left[Side.SELL] - held[symbol])


def _dearest(order: Order) -> Decimal:
    terms = order.pending_change or order.terms
    return max(filter(None, (terms.limit_price, terms.trigger_price, terms.protection_price)))
