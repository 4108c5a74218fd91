"""GTT orders (good till triggered): held until the last price crosses a trigger price, then placed.

A GTT order may have a second leg on the other side of the price, such as a stop and a target of one position.
The order is placed with the prices of the leg that is reached first; the other leg ends with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Final, NoReturn

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.linked_requests import LONGEST, ExitRequest, LinkedMarket, prepared
from algosat.domain.orders import OrderTerms
from algosat.errors import InvalidBody

MOST_ACTIVE: Final = 250  # of an account: the engine compares each with its price five times a second

_ORDER: Final = "order."  # prefixes of the fields in the request
_SECOND: Final = "second."


class GttState(StrEnum):
    ACTIVE = "active"
    TRIGGERED = "triggered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class SecondLeg:
    """The second leg of a GTT order: its trigger price is on the other side of the last price."""

    trigger_price: Decimal
    limit_price: Decimal | None = None  # of the order to place


@dataclass(frozen=True, slots=True)
class GttRequest:
    """What a GTT order asks for."""

    terms: OrderTerms
    trigger_price: Decimal
    exits: ExitRequest | None = None
    expires_on: date | None = None  # the last day of the venue; None: a year from now
    second: SecondLeg | None = None


@dataclass(frozen=True, slots=True)
class GttChange:
    """What to change in a GTT order; None leaves a value as it is."""

    trigger_price: Decimal | None = None
    expires_on: date | None = None
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    second_trigger_price: Decimal | None = None
    second_limit_price: Decimal | None = None

    def of(self, gtt: GttOrder) -> GttRequest:
        """Return the changed request. Raises InvalidBody for a change of a second leg that is not there."""
        second = gtt.second
        if second is None:
            for name in ("trigger_price", "limit_price"):
                if getattr(self, f"second_{name}") is not None:
                    _refuse(f"{_SECOND}{name}", "the GTT order has no second leg")
        else:
            second = SecondLeg(
                self.second_trigger_price or second.trigger_price,
                self.second_limit_price or second.limit_price,
            )
        terms = replace(
            gtt.terms,
            quantity=self.quantity or gtt.terms.quantity,
            limit_price=self.limit_price or gtt.terms.limit_price,
        )
        trigger, last_day = self.trigger_price or gtt.trigger_price, self.expires_on or gtt.expires_on
        return GttRequest(terms, trigger, gtt.exits, last_day, second)


@dataclass(frozen=True, slots=True)
class GttOrder:
    id: str
    terms: OrderTerms  # of the order that is placed when the trigger price is reached
    exits: ExitRequest | None  # linked exits of that order
    trigger_price: Decimal
    is_above: bool  # the trigger price was above the last price when the order was kept
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    state: GttState = GttState.ACTIVE
    order_id: str | None = None  # of the order that was placed
    version: int = 1
    second: SecondLeg | None = None

    @property
    def expires_on(self) -> date:
        """The last day on which the order may be placed; it ends at midnight, exchange time or UTC."""
        return (self.expires_at - timedelta(days=1)).astimezone(EXCHANGE_TIME).date()

    def is_expired(self, at: datetime) -> bool:
        return at >= self.expires_at

    def reached(self, quote: Quote) -> OrderTerms | None:
        """Return the order to place, if the last price has crossed a trigger price."""
        if _is_crossed(self.trigger_price, quote.last, is_above=self.is_above):
            return self.terms
        second = self.second
        if second is not None and _is_crossed(second.trigger_price, quote.last, is_above=not self.is_above):
            return replace(self.terms, limit_price=second.limit_price)
        return None


def gtt_order(
    gtt_id: str,
    request: GttRequest,
    instrument: Instrument | None,
    quote: Quote | None,
    at: datetime,
    *,
    before: GttOrder | None = None,
    zone: tzinfo = EXCHANGE_TIME,
) -> GttOrder:
    """Return a new GTT order, or a changed one that was `before`. Raises InvalidBody, naming the field.

    A trigger price that stays as it was keeps its side, even if the last price has crossed it in a market
    that is closed. `zone` is the time zone of the venue's days.
    """
    terms, second = request.terms, request.second
    if instrument is None or quote is None:
        _refuse(f"{_ORDER}symbol", f"no instrument {terms.symbol!r} with a price is known")
    expires_at = _expiry(instrument, request.expires_on, at, zone)
    if terms.is_after_market:
        _refuse(f"{_ORDER}session", "a GTT order cannot be an after-market order: leave the session out")
    is_above = request.trigger_price > quote.last
    if before is not None and request.trigger_price == before.trigger_price:
        is_above = before.is_above
    else:
        _require_trigger("trigger_price", request.trigger_price, instrument, quote)
    if not instrument.takes_quantity(terms.quantity):
        _refuse(f"{_ORDER}quantity", f"{terms.quantity} is not a multiple of the lot {instrument.lot}")
    _require_prices(terms, request.exits, instrument)
    if second is not None:
        _require_second(request, second, instrument)
        known = before.second if before is not None and before.is_above is is_above else None
        if known is None or known.trigger_price != second.trigger_price:
            _require_other_side(second, instrument, quote, is_above=is_above)
    if request.exits is not None:
        # Checked at the trigger price; the circuit limits of the day on which it is reached are not known.
        price, no_limit = request.trigger_price, Decimal("Infinity")
        then = replace(quote, last=price, lower_circuit=Decimal(0), upper_circuit=no_limit)
        prepared(terms, request.exits, LinkedMarket(instrument, then, zone), at)
    return GttOrder(
        id=gtt_id,
        terms=terms,
        exits=request.exits,
        trigger_price=request.trigger_price,
        is_above=is_above,
        expires_at=expires_at,
        created_at=at,
        updated_at=at,
        second=second,
    )


def _is_crossed(trigger: Decimal, last: Decimal, *, is_above: bool) -> bool:
    return last >= trigger if is_above else last <= trigger


def _expiry(instrument: Instrument, expires_on: date | None, at: datetime, zone: tzinfo) -> datetime:
    """Return the end of the last day on which the order may be placed."""
    today = at.astimezone(zone).date()
    if expires_on is None:
        last = today + LONGEST if instrument.expiry is None else min(today + LONGEST, instrument.expiry)
    elif not today <= expires_on <= today + LONGEST:
        _refuse("expires_on", f"{expires_on} is not between today, {today}, and {today + LONGEST}")
    elif instrument.expiry is not None and expires_on > instrument.expiry:
        _refuse("expires_on", f"{expires_on} is after the expiry of the contract, {instrument.expiry}")
    else:
        last = expires_on
    return datetime.combine(last + timedelta(days=1), time(), zone)


def _require_trigger(field: str, trigger: Decimal, instrument: Instrument, quote: Quote) -> None:
    if not instrument.takes_price(trigger):
        _refuse(field, f"{trigger} is not a multiple of the tick {instrument.tick}")
    if trigger == quote.last:
        _refuse(field, f"{trigger} is the last price already: place the order with POST /orders")


def _require_other_side(second: SecondLeg, instrument: Instrument, quote: Quote, *, is_above: bool) -> None:
    """Check that the second trigger price is on the other side of the last price than the first one."""
    field, trigger = f"{_SECOND}trigger_price", second.trigger_price
    _require_trigger(field, trigger, instrument, quote)
    if (trigger > quote.last) is is_above:
        side, other = ("below", "above") if is_above else ("above", "below")
        _refuse(field, f"{trigger} must be {side} the last price {quote.last}; the first is {other} it")


def _require_second(request: GttRequest, second: SecondLeg, instrument: Instrument) -> None:
    """Check that the order may have a second leg, and that the leg has the prices of the order's type."""
    if request.exits is not None:
        _refuse("second", "an order with linked exits cannot have a second leg")
    if request.terms.type.has_trigger:
        _refuse("second", f"a {request.terms.type} order has a trigger of its own: use market or limit")
    field, limit = f"{_SECOND}limit_price", second.limit_price
    wanted = request.terms.type.has_limit
    if wanted is not (limit is not None):
        _refuse(field, f"a {request.terms.type} order {'needs one' if wanted else 'takes none'}")
    if limit is not None and not instrument.takes_price(limit):
        _refuse(field, f"{limit} is not a multiple of the tick {instrument.tick}")


def _require_prices(terms: OrderTerms, exits: ExitRequest | None, instrument: Instrument) -> None:
    """Check that the order has the prices of its type, on the tick."""
    trails = exits is not None and exits.stop_loss is None
    for name, price, wanted in (
        ("limit_price", terms.limit_price, terms.type.has_limit),
        ("trigger_price", terms.trigger_price, terms.type.has_trigger),
    ):
        if wanted is not (price is not None) and not (trails and wanted):
            _refuse(f"{_ORDER}{name}", f"a {terms.type} order {'needs one' if wanted else 'takes none'}")
        if price is not None and not instrument.takes_price(price):
            _refuse(f"{_ORDER}{name}", f"{price} is not a multiple of the tick {instrument.tick}")


def _refuse(field: str, detail: str) -> NoReturn:
    raise InvalidBody(f"{field}: {detail}", errors=[{"field": field, "detail": detail, "code": "gtt"}])
