"""Place an order above the exchange's freeze quantity as slices, each a durable order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from algosat.domain.decimals import ZERO
from algosat.domain.orders import Order, OrderTerms
from algosat.domain.risk import Denial, DenialCode, RiskSnapshot, gate
from algosat.domain.slicing import largest_slice, number_of_slices, slices
from algosat.store.audit import Cause
from algosat.trading import place, risk_snapshot
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed

MAX_SLICES: Final = 100  # of one entry: the engine sends as many in ten seconds


def place_sliced(desk: Desk, terms: OrderTerms, cause: Cause, *, key: IdempotencyKey | None = None) -> Placed:
    """Place one order in as many slices as the freeze quantity requires."""
    return place.once(desk, key, lambda connection: admit(connection, desk, terms, cause), [terms])


def admit(connection: Connection, desk: Desk, terms: OrderTerms, cause: Cause) -> list[Order]:
    """Check the whole order once, and store all of its slices or none.

    An exit may have any number of slices; the engine sends them as fast as the broker accepts them.
    """
    at = desk.clock()
    snapshot = risk_snapshot.read_snapshot(connection, desk, terms, at)
    largest = ZERO if snapshot.instrument is None else largest_slice(snapshot.instrument)
    if snapshot.instrument is None or not 0 < largest < terms.quantity:
        return [place.write(connection, desk, *gate.judge(terms, snapshot), snapshot, cause)]
    is_exit = terms.reduce_only or gate.sells_holdings(terms, snapshot)
    most = terms.quantity if is_exit else largest * MAX_SLICES
    whole = replace(
        snapshot,
        instrument=replace(snapshot.instrument, freeze_quantity=most),
        is_repeat=snapshot.is_repeat or _was_just_sliced(connection, desk, terms, largest, at),
        number_of_orders=number_of_slices(terms.quantity, snapshot.instrument),
    )
    protected, denial = gate.judge(terms, whole)
    if denial is not None:
        return [place.write(connection, desk, protected, _explained(denial, whole), snapshot, cause)]
    first, *others = slices(terms.quantity, snapshot.instrument)
    orders = [place.write(connection, desk, replace(protected, quantity=first), None, snapshot, cause)]
    for piece in others:
        later = replace(protected, quantity=piece, slice_of=orders[0].id)
        orders.append(place.write(connection, desk, later, None, snapshot, cause))
    return orders


def _explained(denial: Denial, whole: RiskSnapshot) -> Denial:
    if denial.code is not DenialCode.ABOVE_FREEZE_QUANTITY:
        return denial
    return replace(
        denial, detail=f"the order has {whole.number_of_orders} slices; an entry has at most {MAX_SLICES}"
    )


def _was_just_sliced(
    connection: Connection, desk: Desk, terms: OrderTerms, largest: Decimal, at: datetime
) -> bool:
    """Return whether an equal order was just placed in slices: its first slice equals this order's first."""
    return risk_snapshot.read_snapshot(connection, desk, replace(terms, quantity=largest), at).is_repeat
