"""Orders above the exchange's freeze quantity: cut into slices, each a durable order of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from algosat.domain.orders import Order, OrderTerms
from algosat.domain.risk import Denial, RiskSnapshot, gate
from algosat.domain.slicing import largest_slice, slices
from algosat.store.audit import Cause
from algosat.trading import place, risk_snapshot
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed

MOST: Final = 10  # slices: brokers take no more at once


def sliced(desk: Desk, terms: OrderTerms, cause: Cause, *, key: IdempotencyKey | None = None) -> Placed:
    """Place one order in as many slices as the freeze quantity asks for."""
    return place.once(desk, key, lambda connection: admit(connection, desk, terms, cause))


def admit(connection: Connection, desk: Desk, terms: OrderTerms, cause: Cause) -> list[Order]:
    """Judge the whole before it is cut: slices must not slip under the limits of one order.

    A way out has as many slices as it needs; the engine sends them as fast as the broker takes them.
    """
    at = desk.clock()
    snapshot = risk_snapshot.read_snapshot(connection, desk, terms, at)
    if isinstance(snapshot, Denial):
        return [place.write(connection, desk, terms, snapshot, at, cause)]
    largest = largest_slice(snapshot.instrument)
    most = max(largest, terms.quantity) if terms.reduce_only and largest else largest * MOST
    whole = replace(snapshot.instrument, freeze_quantity=most)
    is_repeat = snapshot.is_repeat or _was_cut_before(connection, desk, terms, largest, at)
    protected, denial = gate.judge(terms, replace(snapshot, instrument=whole, is_repeat=is_repeat))
    if denial is not None:
        return [place.write(connection, desk, protected, denial, at, cause)]
    if terms.quantity <= largest:
        return [place.write(connection, desk, protected, None, at, cause)]
    pieces = slices(terms.quantity, snapshot.instrument)
    return [
        place.admit(connection, desk, replace(terms, quantity=piece), cause, is_slice=True)
        for piece in pieces
    ]


def _was_cut_before(
    connection: Connection, desk: Desk, terms: OrderTerms, largest: Decimal, at: datetime
) -> bool:
    """Whether slices of an equal order were placed just before: the first of them looks like ours."""
    if not 0 < largest < terms.quantity:
        return False
    first = risk_snapshot.read_snapshot(connection, desk, replace(terms, quantity=largest), at)
    return isinstance(first, RiskSnapshot) and first.is_repeat
