"""Place an order above the exchange's freeze quantity as slices, each a durable order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from algosat.domain.orders import Order, OrderTerms
from algosat.domain.risk import gate
from algosat.domain.slicing import largest_slice, slices
from algosat.store.audit import Cause
from algosat.trading import place, risk_snapshot
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed

MAX_SLICES: Final = 10  # that brokers accept of one order


def place_sliced(desk: Desk, terms: OrderTerms, cause: Cause, *, key: IdempotencyKey | None = None) -> Placed:
    """Place one order in as many slices as the freeze quantity requires."""
    return place.once(desk, key, lambda connection: admit(connection, desk, terms, cause))


def admit(connection: Connection, desk: Desk, terms: OrderTerms, cause: Cause) -> list[Order]:
    """Judge the whole order before it is sliced, so that slices do not evade the limits on one order.

    An exit may have any number of slices; the engine sends them as fast as the broker accepts them.
    """
    at = desk.clock()
    snapshot = risk_snapshot.read_snapshot(connection, desk, terms, at)
    if snapshot.instrument is None:
        return [place.admit(connection, desk, terms, cause)]
    largest = largest_slice(snapshot.instrument)
    is_exit = terms.reduce_only or gate.sells_holdings(terms, snapshot)
    most = max(largest, terms.quantity) if is_exit and largest else largest * MAX_SLICES
    whole = replace(snapshot.instrument, freeze_quantity=most)
    is_repeat = snapshot.is_repeat or _was_just_sliced(connection, desk, terms, largest, at)
    protected, denial = gate.judge(terms, replace(snapshot, instrument=whole, is_repeat=is_repeat))
    if denial is not None:
        return [place.write(connection, desk, protected, denial, snapshot, cause)]
    if terms.quantity <= largest:
        return [place.write(connection, desk, protected, None, snapshot, cause)]
    pieces = slices(terms.quantity, snapshot.instrument)
    return [
        place.admit(connection, desk, replace(terms, quantity=piece), cause, is_slice=True)
        for piece in pieces
    ]


def _was_just_sliced(
    connection: Connection, desk: Desk, terms: OrderTerms, largest: Decimal, at: datetime
) -> bool:
    """Return whether an equal order was just placed in slices: its first slice equals this order's first."""
    if not 0 < largest < terms.quantity:
        return False
    return risk_snapshot.read_snapshot(connection, desk, replace(terms, quantity=largest), at).is_repeat
