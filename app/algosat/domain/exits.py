"""Orders that close positions: market orders for what no working order closes already."""

from __future__ import annotations

from typing import Final

from algosat.domain.orders import OrderTerms, OrderType, Side
from algosat.domain.risk.snapshot import BookLine

_LONGEST_NAME: Final = 128


def line_name(strategy: str, symbol: str, product: str) -> str:
    """Return the name of a line, as the subject of an alert."""
    return f"{symbol}/{product}/{strategy}".rstrip("/")[:_LONGEST_NAME]


def is_left(line: BookLine) -> bool:
    """Return whether some of the position is not covered by working exits."""
    return line.left_to_reduce(_exit_side(line)) > 0


def exit_terms(account: str, line: BookLine) -> OrderTerms:
    """Return a reduce-only market order for the part of the position that no working exit covers."""
    side = _exit_side(line)
    return OrderTerms(
        account=account,
        symbol=line.symbol,
        side=side,
        quantity=line.left_to_reduce(side),
        type=OrderType.MARKET,
        product=line.product,
        reduce_only=True,
        strategy=line.strategy or None,
    )


def _exit_side(line: BookLine) -> Side:
    return Side.SELL if line.quantity > 0 else Side.BUY
