"""Fees: brokerage, taxes and charges, by the dated table of `fee_table`.

A broker charges by the contract note: brokerage per executed order, everything else on a day's turnover in
one symbol and product. `charges` computes that. Booking cannot wait for the end of the day, so
`charges_of_fill` computes by how much each fill raises the charges of its order: the fills of an order add up
to the charges of the whole order. A note over several orders may differ from their sum by paise, since it
rounds once.

Components are rounded half up to the paisa, securities transaction tax to the rupee (Securities Transaction
Tax Rules; support pages of brokers).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from algosat.domain.decimals import ZERO
from algosat.domain.fee_table import FeeTable
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Order, Product, Side, Trade
from algosat.errors import FeesUnknown

_PAISA: Final = Decimal("0.01")
_RUPEE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Charges:
    """The charges for trades, in rupees."""

    brokerage: Decimal = ZERO
    stt: Decimal = ZERO  # securities transaction tax
    exchange: Decimal = ZERO  # its transaction charge, the investor protection levy included
    sebi: Decimal = ZERO
    stamp: Decimal = ZERO
    gst: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return sum((getattr(self, field.name) for field in fields(self)), ZERO)

    def __sub__(self, other: Charges) -> Charges:
        return Charges(*(getattr(self, field.name) - getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Turnover:
    """The turnover of one kind and product on one day, in rupees."""

    bought: Decimal = ZERO
    sold: Decimal = ZERO
    orders: tuple[Decimal, ...] = ()  # the value of each executed order: brokerage is per order

    @classmethod
    def of_order(cls, side: Side, value: Decimal) -> Turnover:
        if not value:
            return cls()
        return cls(bought=value, orders=(value,)) if side is Side.BUY else cls(sold=value, orders=(value,))


def charges(
    table: FeeTable,
    kind: InstrumentKind,
    product: Product,
    turnover: Turnover,
    on: date,
    *,
    broker: str = "zerodha",
    exchange: str = "nse",
) -> Charges:
    """Return the charges on a day's turnover in one symbol and product. Raises FeesUnknown."""
    rates, plan = table.rates(kind, product, on), table.plan(broker, kind, product)
    if exchange not in rates.exchange:
        raise FeesUnknown(f"no transaction charge is known for the exchange {exchange!r}")
    both = turnover.bought + turnover.sold
    brokerage = sum((_rounded(plan.brokerage(value), _PAISA) for value in turnover.orders), ZERO)
    exchange_charge = _rounded(both * rates.exchange[exchange], _PAISA)
    sebi = _rounded(both * rates.sebi, _PAISA)
    return Charges(
        brokerage=brokerage,
        stt=_rounded(turnover.bought * rates.stt_buy + turnover.sold * rates.stt_sell, _RUPEE),
        exchange=exchange_charge,
        sebi=sebi,
        stamp=_rounded(turnover.bought * rates.stamp_buy, _PAISA),
        gst=_rounded((brokerage + exchange_charge + sebi) * rates.gst, _PAISA),
    )


def charges_of_fill(
    table: FeeTable,
    kind: InstrumentKind,
    order: Order,
    trade: Trade,
    on: date,
    *,
    broker: str = "zerodha",
    exchange: str = "nse",
) -> Charges:
    """Return by how much a trade raises the charges of an order, given the order before the trade."""

    def until(value: Decimal) -> Charges:
        turnover = Turnover.of_order(order.terms.side, value)
        return charges(table, kind, order.terms.product, turnover, on, broker=broker, exchange=exchange)

    return until(order.filled_value + trade.quantity * trade.price) - until(order.filled_value)


def _rounded(amount: Decimal, to: Decimal) -> Decimal:
    return (amount / to).quantize(Decimal(1), ROUND_HALF_UP) * to
