"""Requests for linked exits: the exits to link to an order, and checks against the order and the market.

Everything is checked before anything is stored or sent. An error names the field of the request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Final, NoReturn

from algosat.domain.calendar import EXCHANGE_TIME, moment
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.linked_exits import ExitPrices, ExitState, LinkedExit, first_trigger, problem_of
from algosat.domain.orders import Order, OrderTerms, Product, Side, Validity
from algosat.errors import InvalidBody

EXPIRES_ON: Final = "exits_expire_on"  # the field of the request
LONGEST: Final = timedelta(days=366)  # that linked exits and GTT orders last, as at Indian brokers
_DAY: Final = timedelta(days=1)
STOP_LOSS: Final = "stop_loss."  # prefix of the stop's fields in the request of a bracket


@dataclass(frozen=True, slots=True)
class ExitRequest:
    """The exits to link to an order: a target or trail for a reduce-only stop, or those of a bracket."""

    target_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    stop_loss: ExitPrices | None = None  # of a bracket
    expires_on: date | None = None  # the last day of the venue on which the stop is placed again


@dataclass(frozen=True, slots=True)
class LinkedChange:
    """What to change in a linked exit besides the terms of its stop; None leaves a value as it is."""

    target_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None

    def of(self, prices: ExitPrices) -> ExitPrices:
        """Return the changed prices. A new trail replaces one of the other kind."""
        if self.target_price is not None:
            prices = replace(prices, target_price=self.target_price)
        if self.trail_amount is None and self.trail_percent is None:
            return prices
        return replace(prices, trail_amount=self.trail_amount, trail_percent=self.trail_percent)


@dataclass(frozen=True, slots=True)
class LinkedMarket:
    instrument: Instrument
    quote: Quote
    zone: tzinfo = EXCHANGE_TIME  # of the venue's days

    def require_valid(self, field: str, price: Decimal) -> None:
        """Check that the exchange would take the price. Raises InvalidBody, naming the field."""
        self.require_on_tick(field, price)
        lower, upper = self.quote.lower_circuit, self.quote.upper_circuit
        if not lower <= price <= upper:
            _refuse(field, f"{price} is outside the circuit {lower} to {upper}")

    def require_on_tick(self, field: str, price: Decimal) -> None:
        if not self.instrument.takes_price(price):
            _refuse(field, f"{price} is not a multiple of the tick {self.instrument.tick}")


def prepared(
    terms: OrderTerms, exits: ExitRequest, market: LinkedMarket, at: datetime
) -> tuple[OrderTerms, ExitPrices]:
    """Return the terms to place, and the prices of the linked exit. Raises InvalidBody, naming the field."""
    _require_consistent(terms, exits)
    if exits.expires_on is not None:
        _require_last_day(terms, exits.expires_on, market, at)
    if exits.stop_loss is not None:
        prices = replace(exits.stop_loss, target_price=exits.target_price)
        reference = entry_price(terms, market.quote)
        return terms, checked(prices, terms.side.opposite, reference, market, stop=STOP_LOSS)
    prices = ExitPrices(
        terms.trigger_price, terms.limit_price, exits.target_price, exits.trail_amount, exits.trail_percent
    )
    prices = checked(prices, terms.side, market.quote.last, market)
    return replace(terms, trigger_price=prices.trigger_price), prices


def end_of(day: date | None, zone: tzinfo) -> datetime | None:
    """Return when a day of the venue ends; None for None."""
    return None if day is None else moment(day + _DAY, time(), zone)


def linked_exit(
    exit_id: str, order: Order, prices: ExitPrices, *, expires_at: datetime | None = None
) -> LinkedExit:
    """Return the linked exit that begins with a stop, or with the entry of a bracket.

    With `expires_at` its stop is placed again on each day until then.
    """
    terms = order.terms
    is_stop = terms.reduce_only
    return LinkedExit(
        id=exit_id,
        account=terms.account,
        strategy=terms.strategy,
        symbol=terms.symbol,
        product=terms.product,
        algo_id=terms.algo_id,
        side=terms.side if is_stop else terms.side.opposite,
        prices=prices,
        quantity=terms.quantity if is_stop else ZERO,
        created_at=order.created_at,
        updated_at=order.created_at,
        state=ExitState.PROTECTED if is_stop else ExitState.WAITING,
        order_id=order.id if is_stop else None,
        entry_id=None if is_stop else order.id,
        expires_at=expires_at,
    )


def _require_consistent(terms: OrderTerms, exits: ExitRequest) -> None:
    """Check that the exits fit the order. Raises InvalidBody, naming the field."""
    if terms.validity is Validity.GTC:
        _refuse("validity", f"an order with linked exits is not gtc: give {EXPIRES_ON} for several days")
    if exits.stop_loss is None:
        field = "target_price" if exits.target_price is not None else "trail_amount"
        if exits.target_price is None and exits.trail_amount is None:
            field = "trail_percent" if exits.trail_percent is not None else EXPIRES_ON
        if not terms.reduce_only:
            _refuse(field, "needs reduce_only (the stop of a position) or stop_loss (a bracket)")
        if not terms.type.has_trigger:
            _refuse("type", f"an order with {field} must be of type stop or stop_limit")
        return
    if terms.reduce_only:
        _refuse("stop_loss", "belongs to an order that opens a position; this one is reduce_only")
    if terms.product is Product.DELIVERY and terms.side is Side.SELL:
        # The gate marks it reduce-only. As the entry of a bracket it would be taken for the bracket's stop.
        _refuse("stop_loss", "belongs to an order that opens a position; a delivery sale only closes one")
    if exits.trail_amount is not None or exits.trail_percent is not None:
        field = "trail_amount" if exits.trail_amount is not None else "trail_percent"
        _refuse(field, f"belongs to the stop of a bracket: give {STOP_LOSS}{field}")


def _require_last_day(terms: OrderTerms, expires_on: date, market: LinkedMarket, at: datetime) -> None:
    """Check the last day of exits over several days. Raises InvalidBody, naming the field."""
    today, instrument = at.astimezone(market.zone).date(), market.instrument
    if terms.product is Product.INTRADAY:
        _refuse(EXPIRES_ON, "an intraday position is closed on the same day")
    if not today <= expires_on <= today + LONGEST:
        _refuse(EXPIRES_ON, f"{expires_on} is not between today, {today}, and {today + LONGEST}")
    if instrument.expiry is not None and expires_on > instrument.expiry:
        _refuse(EXPIRES_ON, f"{expires_on} is after the expiry of the contract, {instrument.expiry}")


def entry_price(terms: OrderTerms, quote: Quote) -> Decimal:
    """Return the price at which an entry is expected to trade."""
    return terms.limit_price or terms.trigger_price or quote.last


def checked(
    exits: ExitPrices, side: Side, reference: Decimal, market: LinkedMarket, *, stop: str = ""
) -> ExitPrices:
    """Return the prices with the trigger price to begin with. Raises InvalidBody, naming the field."""
    tick = market.instrument.tick
    exits = replace(exits, trigger_price=first_trigger(exits, side, reference, tick))
    problem = problem_of(exits, side, reference, tick=tick, stop=stop)
    if problem is not None:
        _refuse(*problem)
    for field, price in (
        (f"{stop}trigger_price", exits.trigger_price),
        (f"{stop}limit_price", exits.limit_price),
        ("target_price", exits.target_price),
    ):
        if price is not None:
            market.require_valid(field, price)
    if exits.trail_amount is not None:
        market.require_on_tick(f"{stop}trail_amount", exits.trail_amount)
    return exits


def _refuse(field: str, detail: str) -> NoReturn:
    raise InvalidBody(
        f"{field}: {detail}", errors=[{"field": field, "detail": detail, "code": "linked_exit"}]
    )
