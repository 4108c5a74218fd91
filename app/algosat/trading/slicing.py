"""Orders above the exchange's freeze quantity: cut into slices, each a durable order of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from algosat.domain.instruments import Instrument
from algosat.domain.orders import Intent, Order
from algosat.domain.risk import Denial
from algosat.store.audit import Cause
from algosat.trading import place, sight
from algosat.trading.desk import Desk
from algosat.trading.place import Placed
from algosat.trading.replies import Key

MOST: Final = 10  # slices: brokers take no more at once


def sliced(desk: Desk, intent: Intent, cause: Cause, *, key: Key | None = None) -> Placed:
    """Place one order in as many slices as the freeze quantity asks for."""
    return place.once(desk, key, lambda connection: admit(connection, desk, intent, cause))


def admit(connection: Connection, desk: Desk, intent: Intent, cause: Cause) -> list[Order]:
    """Judge the whole before it is cut: slices must not slip under the limits of one order."""
    at = desk.clock()
    picture = sight.see(connection, desk, intent, at)
    if isinstance(picture, Denial):
        return [place.write(connection, desk, intent, picture, at, cause)]
    whole = replace(picture.instrument, freeze_quantity=picture.instrument.freeze_quantity * MOST)
    protected, denial = place.judge(intent, replace(picture, instrument=whole))
    if denial is not None:
        return [place.write(connection, desk, protected, denial, at, cause)]
    pieces = list(cut(intent.quantity, picture.instrument))
    if len(pieces) == 1:
        return [place.write(connection, desk, protected, None, at, cause)]
    return [
        place.admit(connection, desk, replace(intent, quantity=piece), cause, is_slice=True)
        for piece in pieces
    ]


def cut(quantity: Decimal, instrument: Instrument) -> Iterator[Decimal]:
    """The quantity in pieces the exchange takes, the largest first."""
    largest = instrument.freeze_quantity - instrument.freeze_quantity % instrument.lot
    while quantity > largest:
        yield largest
        quantity -= largest
    yield quantity
