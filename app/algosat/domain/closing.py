"""Closing a line, the position of one strategy in one symbol under one product: what to cancel and send next.

`next_step` never returns more than the position less what working orders and a conversion may still take
from it, so the position cannot flip, whichever orders are filled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from algosat.domain.decimals import ZERO
from algosat.domain.orders import Order, OrderTerms, OrderType, PendingRequest, Product, Side


class CloseReason(StrEnum):
    """Who asked for a close."""

    REQUEST = "request"  # a person or a client of the API
    STRATEGY = "strategy"
    HALT = "halt"
    SQUARE_OFF = "square_off"
    EXPIRY = "expiry"  # the contract is about to be settled by delivery


class LineState(StrEnum):
    """The progress of one line of a close."""

    CANCELLING = "cancelling"
    SENDING = "sending"
    WAITING = "waiting"
    NEEDS_PERSON = "needs_person"
    FLAT = "flat"
    REDUCED = "reduced"
    DUST = "dust"  # what is left is too small for an order
    STOPPED = "stopped"


class CloseState(StrEnum):
    """The progress of a close as a whole."""

    CLOSING = "closing"
    WAITING = "waiting"
    NEEDS_PERSON = "needs_person"
    FINISHED = "finished"
    STOPPED = "stopped"


FINISHED: Final = frozenset({LineState.FLAT, LineState.REDUCED, LineState.DUST, LineState.STOPPED})


_LONGEST_NAME: Final = 128


def line_name(strategy: str, symbol: str, product: str) -> str:
    """Return the name of a line, as the subject of an alert."""
    return f"{symbol}/{product}/{strategy}".rstrip("/")[:_LONGEST_NAME]


@dataclass(frozen=True, slots=True)
class ClosingStep:
    """What to do next about a line."""

    in_the_way: tuple[Order, ...] = ()  # to be cancelled, or being cancelled
    to_send: Decimal = ZERO  # quantity of the next exit


def exit_side(position: Decimal) -> Side:
    return Side.SELL if position > 0 else Side.BUY


def exit_terms(
    *,
    account: str,
    strategy: str,
    symbol: str,
    product: Product,
    position: Decimal,
    quantity: Decimal,
    order_type: OrderType = OrderType.MARKET,
    limit_price: Decimal | None = None,
) -> OrderTerms:
    """Return a reduce-only order for a quantity of the position."""
    return OrderTerms(
        account=account,
        symbol=symbol,
        side=exit_side(position),
        quantity=quantity,
        type=order_type,
        limit_price=limit_price,
        product=product,
        reduce_only=True,
        strategy=strategy or None,
    )


def next_step(
    position: Decimal,
    left: Decimal,
    working: Sequence[Order],
    own: AbstractSet[str],
    *,
    spare: AbstractSet[str],
    converting: Decimal = ZERO,
) -> ClosingStep:
    """Return the next step of a close that ends every order of the line.

    Args:
        position: What is held now; negative: short.
        left: Quantity still to be closed.
        working: The working orders of the line, oldest first.
        own: Ids of the exits of this close.
        spare: Ids of orders that the close leaves alone.
        converting: Part of the position that a conversion may have taken already.
    """
    foreign = [order for order in working if order.id not in own | spare and not order.external]
    surplus = _surplus(position, left, working, own)
    return ClosingStep((*foreign, *surplus), _to_send(position, left, working, own, converting))


def next_partial_step(
    position: Decimal,
    left: Decimal,
    working: Sequence[Order],
    own: AbstractSet[str],
    *,
    converting: Decimal = ZERO,
) -> ClosingStep:
    """Return the next step of a close of a part: cancel only as many exits as needed to free its quantity.

    The arguments are those of `next_step`.
    """
    surplus = tuple(_surplus(position, left, working, own))
    exits = [order for order in _exits(position, working) if order not in surplus]
    wanted = left - _quantity(order for order in exits if order.id in own)
    free = abs(position) - converting - _quantity(exits)  # negative if the exits are larger than the position
    others = [order for order in exits if order.id not in own] if wanted > 0 else []
    return ClosingStep(
        (*_enough(others, wanted - free), *surplus),
        _to_send(position, left, working, own, converting),
    )


def open_quantity(order: Order) -> Decimal:
    """Return how much the order may still trade. A pending modification counts: it may be in force."""
    change = order.pending_change
    whole = order.terms.quantity if change is None else max(order.terms.quantity, change.quantity)
    return whole - order.filled_quantity


def _to_send(
    position: Decimal,
    left: Decimal,
    working: Sequence[Order],
    own: AbstractSet[str],
    converting: Decimal,
) -> Decimal:
    exits = _exits(position, working)
    wanted = left - _quantity(order for order in exits if order.id in own)
    return max(min(wanted, abs(position) - converting - _quantity(exits)), ZERO)


def _surplus(
    position: Decimal, left: Decimal, working: Sequence[Order], own: AbstractSet[str]
) -> Iterator[Order]:
    """Yield exits of this close on the wrong side, and the newest ones in excess of what is left to close."""
    exits = {order.id for order in _exits(position, working)}
    kept = _quantity(order for order in working if order.id in own & exits)
    for order in reversed(working):
        if order.id in own and (order.id not in exits or kept > left):
            kept -= open_quantity(order) if order.id in exits else ZERO
            yield order


def _enough(exits: Iterable[Order], missing: Decimal) -> Iterator[Order]:
    """Yield as few exits as needed: those being cancelled first, then targets, stops last."""
    newest_first = [order for order in exits if not order.external][::-1]
    newest_first.sort(key=_reluctance)
    for order in newest_first:
        if missing <= 0:
            return
        missing -= open_quantity(order)
        yield order


def _reluctance(order: Order) -> tuple[bool, bool]:
    return order.pending is not PendingRequest.PENDING_CANCEL, order.terms.type.has_trigger


def _exits(position: Decimal, working: Iterable[Order]) -> list[Order]:
    return [order for order in working if position * order.terms.side.sign < 0]


def _quantity(orders: Iterable[Order]) -> Decimal:
    return sum((open_quantity(order) for order in orders), ZERO)
