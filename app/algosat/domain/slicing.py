"""Slices of an order: pieces of whole lots, none above the exchange's freeze quantity."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from algosat.domain.instruments import Instrument


def slices(quantity: Decimal, instrument: Instrument) -> Iterator[Decimal]:
    """Yield the quantity in slices, the largest first."""
    largest = largest_slice(instrument)
    while quantity > largest:
        yield largest
        quantity -= largest
    yield quantity


def number_of_slices(quantity: Decimal, instrument: Instrument) -> int:
    """Return the number of slices of a quantity, for an instrument whose lots can be sliced."""
    largest = largest_slice(instrument)
    return int(quantity // largest) + bool(quantity % largest)


def largest_slice(instrument: Instrument) -> Decimal:
    """Return the largest slice of whole lots; zero if one lot is above the freeze quantity."""
    return instrument.freeze_quantity - instrument.freeze_quantity % instrument.lot
