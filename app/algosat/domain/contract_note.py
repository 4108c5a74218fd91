"""The turnover on a day's contract note, by symbol.

There is one note for each account, trading day, exchange and kind of instrument.

Shares bought and sold under product delivery on one day are not delivered: the quantity that was both bought
and sold is charged as intraday, at the average price of each side. Brokerage of all delivery orders in the
symbol is then that of intraday orders, whatever the quantity (support page of Zerodha: "Why was the brokerage
charged on delivery trades?").
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Final

from algosat.domain.decimals import ZERO, to_store_places
from algosat.domain.orders import Side


@dataclass(frozen=True, slots=True)
class NoteTotals:
    """The turnover that charges are computed from, in rupees."""

    bought: Decimal = ZERO
    sold: Decimal = ZERO
    delivered_bought: Decimal = ZERO  # the part of `bought` that is charged as delivery
    delivered_sold: Decimal = ZERO  # the part of `sold` that is charged as delivery
    brokerage: Decimal = ZERO

    def __add__(self, other: NoteTotals) -> NoteTotals:
        return NoteTotals(
            self.bought + other.bought,
            self.sold + other.sold,
            self.delivered_bought + other.delivered_bought,
            self.delivered_sold + other.delivered_sold,
            self.brokerage + other.brokerage,
        )

    def __sub__(self, other: NoteTotals) -> NoteTotals:
        return NoteTotals(
            self.bought - other.bought,
            self.sold - other.sold,
            self.delivered_bought - other.delivered_bought,
            self.delivered_sold - other.delivered_sold,
            self.brokerage - other.brokerage,
        )


TOTALS: Final = tuple(field.name for field in fields(NoteTotals))


@dataclass(frozen=True, slots=True)
class NoteLine(NoteTotals):
    """The turnover in one symbol, and the data about its delivery orders that netting needs."""

    delivery_buy_quantity: Decimal = ZERO
    delivery_buy_value: Decimal = ZERO
    delivery_sell_quantity: Decimal = ZERO
    delivery_sell_value: Decimal = ZERO
    delivery_brokerage: Decimal = ZERO  # of these orders, charged as delivery
    same_day_brokerage: Decimal = ZERO  # of these orders, charged as intraday

    def with_fill(self, side: Side, value: Decimal, brokerage: Decimal) -> NoteLine:
        """Return the line with a fill of a product other than delivery."""
        if side is Side.BUY:
            return replace(self, bought=self.bought + value, brokerage=self.brokerage + brokerage)
        return replace(self, sold=self.sold + value, brokerage=self.brokerage + brokerage)

    def with_delivery_fill(
        self, side: Side, quantity: Decimal, value: Decimal, brokerage: Decimal, same_day_brokerage: Decimal
    ) -> NoteLine:
        """Return the line with a fill under product delivery.

        Both amounts of brokerage are those of the fill: charged as delivery, and charged as intraday.
        """
        bought, sold = self.delivery_buy_quantity, self.delivery_sell_quantity
        bought_value, sold_value = self.delivery_buy_value, self.delivery_sell_value
        if side is Side.BUY:
            bought, bought_value = bought + quantity, bought_value + value
        else:
            sold, sold_value = sold + quantity, sold_value + value
        netted = min(bought, sold)
        by_delivery = self.delivery_brokerage + brokerage
        by_same_day = self.same_day_brokerage + same_day_brokerage
        due = by_same_day if netted else by_delivery
        return NoteLine(
            bought=self.bought + bought_value - self.delivery_buy_value,
            sold=self.sold + sold_value - self.delivery_sell_value,
            delivered_bought=_left(bought_value, netted, bought),
            delivered_sold=_left(sold_value, netted, sold),
            brokerage=self.brokerage + due - self._delivery_brokerage_due,
            delivery_buy_quantity=bought,
            delivery_buy_value=bought_value,
            delivery_sell_quantity=sold,
            delivery_sell_value=sold_value,
            delivery_brokerage=by_delivery,
            same_day_brokerage=by_same_day,
        )

    @property
    def _delivery_brokerage_due(self) -> Decimal:
        """The brokerage of the orders under product delivery."""
        netted = min(self.delivery_buy_quantity, self.delivery_sell_quantity)
        return self.same_day_brokerage if netted else self.delivery_brokerage


LINE: Final = tuple(field.name for field in fields(NoteLine))


def _left(value: Decimal, netted: Decimal, quantity: Decimal) -> Decimal:
    """Return the value of what is left of a side after netting, at the average price of the side."""
    if netted == quantity:
        return ZERO
    return to_store_places(value * (quantity - netted) / quantity)
