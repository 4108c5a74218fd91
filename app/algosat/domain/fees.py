"""Fees: brokerage, taxes and charges, by the dated table of `fee_table`.

A broker charges by the day's contract note: brokerage for each executed order, taxes and charges on the
turnover of the whole note, rounded once. Booking cannot wait for the end of the day, so each fill books the
amount by which it changes the charges on the note, and the fills of a day add up to its note. The amount is
negative when a sale turns a purchase of the same day into an intraday trade.

Components are rounded half up to the paisa, securities transaction tax to the rupee (Securities Transaction
Tax Rules; support pages of brokers).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from algosat.domain.contract_note import NoteLine, NoteTotals
from algosat.domain.decimals import ZERO, to_store_places
from algosat.domain.fee_table import FeeTable, Plan, Rates
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
        return self.brokerage + self.stt + self.exchange + self.sebi + self.stamp + self.gst

    def __sub__(self, other: Charges) -> Charges:
        return Charges(
            self.brokerage - other.brokerage,
            self.stt - other.stt,
            self.exchange - other.exchange,
            self.sebi - other.sebi,
            self.stamp - other.stamp,
            self.gst - other.gst,
        )


@dataclass(frozen=True, slots=True)
class Turnover:
    """The turnover in one symbol under one product on one day, in rupees."""

    bought: Decimal = ZERO
    sold: Decimal = ZERO
    orders: tuple[Decimal, ...] = ()  # the value of each executed order: brokerage is per order


@dataclass(frozen=True, slots=True)
class ContractNote:
    """The contract note that a fill belongs to, with the rates and plans for its charges."""

    day: date
    exchange: str
    kind: InstrumentKind
    delivery: Rates
    intraday: Rates  # for derivatives, which are charged alike under every product, equal to `delivery`
    delivery_plan: Plan
    intraday_plan: Plan

    @property
    def name(self) -> str:
        """The name of the note among the notes of its account and day."""
        return f"{self.exchange}/{self.kind}"

    def charges(self, totals: NoteTotals) -> Charges:
        """Return the charges on the whole note."""
        bought, sold = totals.bought - totals.delivered_bought, totals.sold - totals.delivered_sold
        delivered = totals.delivered_bought + totals.delivered_sold
        exchange = _to_paisa(
            delivered * self.delivery.exchange[self.exchange]
            + (bought + sold) * self.intraday.exchange[self.exchange]
        )
        sebi = _to_paisa((totals.bought + totals.sold) * self.intraday.sebi)
        brokerage = _to_paisa(totals.brokerage)
        return Charges(
            brokerage=brokerage,
            stt=_to_rupee(
                totals.delivered_bought * self.delivery.stt_buy
                + totals.delivered_sold * self.delivery.stt_sell
                + bought * self.intraday.stt_buy
                + sold * self.intraday.stt_sell
            ),
            exchange=exchange,
            sebi=sebi,
            stamp=_to_paisa(
                totals.delivered_bought * self.delivery.stamp_buy + bought * self.intraday.stamp_buy
            ),
            gst=_to_paisa((brokerage + exchange + sebi) * self.intraday.gst),
        )

    def add_fill(self, line: NoteLine, order: Order, trade: Trade) -> NoteLine:
        """Return the line of the order's symbol with a trade, given the order with the trade."""
        side, exact = order.terms.side, trade.quantity * trade.price
        before, value = order.filled_value - exact, to_store_places(exact)
        same_day = _raised(self.intraday_plan, before, order.filled_value)
        if self.kind is not InstrumentKind.EQUITY or order.terms.product is not Product.DELIVERY:
            return line.with_fill(side, value, same_day)
        brokerage = _raised(self.delivery_plan, before, order.filled_value)
        return line.with_delivery_fill(side, trade.quantity, value, brokerage, same_day)

    def charges_of_fill(self, totals: NoteTotals, before: NoteLine, after: NoteLine) -> Charges:
        """Return by how much a fill that changes one line raises the charges on the note.

        Args:
            totals: The whole note before the fill.
            before: The line of the fill's symbol before the fill.
            after: The same line with the fill.
        """
        return self.charges(totals + (after - before)) - self.charges(totals)


def note_for(
    table: FeeTable,
    kind: InstrumentKind,
    product: Product,
    day: date,
    *,
    broker: str,
    exchange: str,
    rates_of: date | None = None,
) -> ContractNote:
    """Return the note for fills of a kind and product on a day, charged by the rates of `rates_of`.

    `rates_of` is the same day if it is None. Raises FeesUnknown.
    """
    on = rates_of or day
    table.rates(kind, product, on)  # shares cannot be carried
    delivery, intraday = (table.rates(kind, each, on) for each in (Product.DELIVERY, Product.INTRADAY))
    if exchange not in intraday.exchange:
        raise FeesUnknown(f"no transaction charge is known for the exchange {exchange!r}")
    return ContractNote(
        day=day,
        exchange=exchange,
        kind=kind,
        delivery=delivery,
        intraday=intraday,
        delivery_plan=table.plan(broker, kind, Product.DELIVERY),
        intraday_plan=table.plan(broker, kind, Product.INTRADAY),
    )


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
    """Return the charges on a note with one symbol and product, without netting. Raises FeesUnknown."""
    note = note_for(table, kind, product, on, broker=broker, exchange=exchange)
    is_delivery = kind is InstrumentKind.EQUITY and product is Product.DELIVERY
    plan = table.plan(broker, kind, product)
    totals = NoteTotals(
        bought=turnover.bought,
        sold=turnover.sold,
        delivered_bought=turnover.bought if is_delivery else ZERO,
        delivered_sold=turnover.sold if is_delivery else ZERO,
        brokerage=sum((_to_paisa(plan.brokerage(value)) for value in turnover.orders), ZERO),
    )
    return note.charges(totals)


def charges_of_settlement(
    table: FeeTable, kind: InstrumentKind, order: Order, trade: Trade, on: date, *, broker: str = "zerodha"
) -> Charges:
    """Return the charges for the settlement of a position at expiry, which is on no note. Raises FeesUnknown.

    Nothing is traded at the exchange, so there is neither its charge nor stamp duty. The broker charges
    brokerage as for an order, but nothing for an option that expires worthless. The tax on the intrinsic
    value of an exercised option is paid by its buyer, whose settlement is a sale.
    """
    value = trade.quantity * trade.price
    if not value:
        return Charges()
    rates = table.rates(kind, order.terms.product, on)
    brokerage = _to_paisa(table.plan(broker, kind, order.terms.product).brokerage(value))
    exercised = value if order.terms.side is Side.SELL else ZERO
    return Charges(
        brokerage=brokerage,
        stt=_to_rupee(exercised * rates.stt_exercise),
        gst=_to_paisa(brokerage * rates.gst),
    )


def _raised(plan: Plan, before: Decimal, after: Decimal) -> Decimal:
    """Return by how much a fill raises the brokerage of its order, from the order's filled value."""
    charged = _to_paisa(plan.brokerage(before)) if before else ZERO
    return _to_paisa(plan.brokerage(after)) - charged


def _to_paisa(amount: Decimal) -> Decimal:
    return amount.quantize(_PAISA, ROUND_HALF_UP)


def _to_rupee(amount: Decimal) -> Decimal:
    return amount.quantize(_RUPEE, ROUND_HALF_UP)
