"""What a broker adapter can do. The gate denies what it cannot do; nothing is changed silently."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from algosat.domain.orders import OrderTerms, OrderType, Product, Validity


class Mode(StrEnum):
    """Whether the orders of an account move real money. In capitals, so that nobody overlooks it."""

    PAPER = "PAPER"
    LIVE = "LIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an adapter declares of its broker. Each adapter states every field: there are no defaults."""

    is_live: bool  # orders move real money
    # An adapter may send `market` as a limit order at the protection price, and `stop` as a stop-limit order.
    order_types: frozenset[OrderType]
    validities: frozenset[Validity]
    products: frozenset[Product]
    currencies: frozenset[str] | None  # of its accounts; None: any
    tag_length: int  # the longest tag that comes back in the order book; 0: the broker has no tags
    finds_by_tag: bool  # `find` needs only the tag; otherwise the broker's number, or the book
    replace_keeps_number: bool  # after a modification; otherwise `OrderReport.replaces` is set
    max_modifications: int | None  # of one order; None: no limit; 0: orders cannot be modified
    pushes_reports: bool  # changes are pushed; otherwise only the order book shows them
    book_needs_hint: bool  # the order book is read by symbol or number: `BookHint` must name them
    fees_in_trades: bool  # `Trade.fee` is set
    # Whether `start` cuts off every earlier session, so that requests they have not delivered never arrive.
    # Then the order book proves what a killed engine had sent. No real broker can promise this.
    fences: bool
    needs_login: bool  # orders need a broker session that a person opens by `login`
    has_history: bool  # the order book of earlier days
    has_positions: bool
    has_holdings: bool
    has_funds: bool
    has_candles: bool
    has_conversion: bool  # a position can change its product; `has_positions` too, to learn the outcome

    def refused(self, terms: OrderTerms) -> str | None:
        """Return the type, validity or product of an order that the broker does not take, or None."""
        if terms.type not in self.order_types:
            return terms.type.value
        if terms.validity not in self.validities:
            return terms.validity.value
        return None if terms.product in self.products else terms.product.value
