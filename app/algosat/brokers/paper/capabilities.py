"""What the paper broker can do. The gate reads it in every process, so it is apart from the adapter."""

from __future__ import annotations

from typing import Final

from algosat.domain.capabilities import Capabilities
from algosat.domain.orders import OrderType, Product, Validity

CAPABILITIES: Final = Capabilities(
    is_live=False,
    order_types=frozenset(OrderType),
    validities=frozenset(Validity),
    products=frozenset(Product),
    currencies=None,
    tag_length=18,
    finds_by_tag=True,
    replace_keeps_number=True,
    max_modifications=None,
    pushes_reports=True,
    book_needs_hint=False,
    fees_in_trades=False,
    fences=True,  # the exchange refuses writes of an engine that another has replaced
    needs_login=False,
    has_history=False,
    has_positions=True,
    has_holdings=True,
    has_funds=False,
    has_candles=True,
    has_conversion=True,
)
