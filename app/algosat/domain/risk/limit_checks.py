"""Checks of the limits and of funds. None of them applies to reduce-only orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from algosat.domain.orders import OrderTerms
from algosat.domain.risk.denial import Denial, DenialCode
from algosat.domain.risk.snapshot import RiskScope, RiskSnapshot, price_of

ScopedCheck = Callable[[OrderTerms, RiskSnapshot, RiskScope], Denial | None]


def quantity_is_within_limit(terms: OrderTerms, snapshot: RiskSnapshot, scope: RiskScope) -> Denial | None:
    limit = scope.limits.max_order_quantity
    if snapshot.is_in_derivative or terms.quantity <= limit:
        return None
    return Denial(DenialCode.ORDER_QUANTITY, f"{terms.quantity} exceeds {limit} for {scope.name}")


def value_is_within_limit(terms: OrderTerms, snapshot: RiskSnapshot, scope: RiskScope) -> Denial | None:
    if snapshot.is_in_derivative:
        return None
    value = terms.quantity * price_of(terms, snapshot.priced_position.last)
    limit = scope.limits.max_order_value
    if value <= limit:
        return None
    return Denial(DenialCode.ORDER_VALUE, f"{value:.2f} exceeds {limit} for {scope.name}")


def lots_are_within_limit(terms: OrderTerms, snapshot: RiskSnapshot, scope: RiskScope) -> Denial | None:
    instrument = snapshot.instrument
    if instrument is None or not instrument.kind.is_derivative:
        return None
    lots = terms.quantity / instrument.lot
    limit = scope.limits.max_order_lots
    if lots <= limit:
        return None
    return Denial(DenialCode.ORDER_LOTS, f"{lots:f} lots exceed {limit} for {scope.name}")


def position_is_within_limit(terms: OrderTerms, snapshot: RiskSnapshot, scope: RiskScope) -> Denial | None:
    if snapshot.is_in_derivative or not (added := snapshot.added_exposure(terms)):
        return None
    value, limit = scope.exposure_in(terms.symbol) + added, scope.limits.max_position_value
    if value <= limit:
        return None
    return Denial(
        DenialCode.POSITION_VALUE,
        f"{value:.2f} in {terms.symbol}, working orders included, exceeds {limit} for {scope.name}",
    )


def exposure_is_within_limit(terms: OrderTerms, snapshot: RiskSnapshot, scope: RiskScope) -> Denial | None:
    if snapshot.is_in_derivative or not (added := snapshot.added_exposure(terms)):
        return None
    value, limit = scope.exposure_in_shares + added, scope.limits.max_gross_exposure
    if value <= limit:
        return None
    return Denial(
        DenialCode.GROSS_EXPOSURE, f"gross exposure of {value:.2f} in shares exceeds {limit} for {scope.name}"
    )


def position_margin_is_within_limit(
    terms: OrderTerms, snapshot: RiskSnapshot, scope: RiskScope
) -> Denial | None:
    if not snapshot.is_in_derivative or not (added := snapshot.added_margin(terms)):
        return None
    needed, limit = scope.margin_in(terms.symbol) + added, scope.limits.max_position_margin
    if needed <= limit:
        return None
    return Denial(
        DenialCode.POSITION_MARGIN,
        f"margin of {needed:.2f} in {terms.symbol} with working orders exceeds {limit} for {scope.name}",
    )


def gross_margin_is_within_limit(
    terms: OrderTerms, snapshot: RiskSnapshot, scope: RiskScope
) -> Denial | None:
    if not snapshot.is_in_derivative or not (added := snapshot.added_margin(terms)):
        return None
    needed, limit = scope.margin_in_derivatives + added, scope.limits.max_gross_margin
    if needed <= limit:
        return None
    return Denial(
        DenialCode.GROSS_MARGIN,
        f"margin of {needed:.2f} in futures and options exceeds {limit} for {scope.name}",
    )


def open_orders_are_within_limit(
    terms: OrderTerms,  # noqa: ARG001
    snapshot: RiskSnapshot,
    scope: RiskScope,
) -> Denial | None:
    limit = scope.limits.max_open_orders
    if scope.working_orders + snapshot.number_of_orders <= limit:
        return None
    return Denial(
        DenialCode.OPEN_ORDERS,
        f"{scope.working_orders} orders are working{_slices(snapshot)}; "
        f"the limit for {scope.name} is {limit}",
    )


def order_rate_is_within_limit(terms: OrderTerms, snapshot: RiskSnapshot, scope: RiskScope) -> Denial | None:  # noqa: ARG001
    limit = scope.limits.max_orders_per_second
    if scope.orders_last_second < limit:
        return None
    return Denial(DenialCode.ORDERS_PER_SECOND, f"{scope.name} has placed {limit} orders within a second")


def day_count_is_within_limit(terms: OrderTerms, snapshot: RiskSnapshot, scope: RiskScope) -> Denial | None:  # noqa: ARG001
    limit = scope.limits.max_orders_per_day
    if scope.orders_today + snapshot.number_of_orders <= limit:
        return None
    return Denial(
        DenialCode.ORDERS_PER_DAY,
        f"{scope.name} has placed {scope.orders_today} orders today{_slices(snapshot)}; the limit is {limit}",
    )


def daily_loss_is_within_limit(terms: OrderTerms, snapshot: RiskSnapshot, scope: RiskScope) -> Denial | None:
    limit = scope.limits.max_daily_loss
    if -scope.day_result < limit or snapshot.is_exit(terms):
        return None
    return Denial(
        DenialCode.DAILY_LOSS, f"{scope.name} has lost {-scope.day_result:.2f} today; the limit is {limit}"
    )


def _slices(snapshot: RiskSnapshot) -> str:
    return f", this one has {snapshot.number_of_orders} slices" if snapshot.number_of_orders > 1 else ""


# The checks that the gate applies to the account's limits and to the strategy's own, in this order.
OF_A_SCOPE: Final[tuple[ScopedCheck, ...]] = (
    quantity_is_within_limit,
    value_is_within_limit,
    lots_are_within_limit,
    order_rate_is_within_limit,
    day_count_is_within_limit,
    open_orders_are_within_limit,
    position_is_within_limit,
    exposure_is_within_limit,
    position_margin_is_within_limit,
    gross_margin_is_within_limit,
    daily_loss_is_within_limit,
)


def funds_suffice(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    needed = snapshot.added_margin(terms)
    if needed <= snapshot.available:
        return None
    return Denial(
        DenialCode.INSUFFICIENT_FUNDS, f"{needed:.2f} are needed, {snapshot.available:.2f} are available"
    )


def is_not_a_repeat(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    if not snapshot.is_repeat:
        return None
    return Denial(
        DenialCode.DUPLICATE,
        f"an order to {terms.side} {terms.quantity} {terms.symbol} on equal terms was placed just before",
    )
