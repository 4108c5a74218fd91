"""The risk checks: each is one named function of an order and a risk snapshot, and returns a denial or None.

`gate` runs them on every order. An entry that cannot be checked is denied. For an exit, only these checks
apply: it reduces its position and is no larger than the position; it fits its type, tick, lot, freeze
quantity and the exchange's smallest order; its prices are within the circuit limits of a fresh quote; and the
market phase, if known, accepts it. A live account that was never armed takes no exits either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from algosat.domain.orders import OrderTerms
from algosat.domain.risk import eligibility_checks, exit_checks, limit_checks, price_checks
from algosat.domain.risk.denial import Denial, DenialCode
from algosat.domain.risk.limits import Limits
from algosat.domain.risk.snapshot import (
    BookLine,
    ExposureLine,
    ExposureTally,
    RiskScope,
    RiskSnapshot,
    price_of,
)

__all__ = [
    "CHECKS",
    "BookLine",
    "Denial",
    "DenialCode",
    "ExposureLine",
    "ExposureTally",
    "Limits",
    "RiskScope",
    "RiskSnapshot",
    "first_denial",
    "first_size_denial",
    "price_of",
]

Check = Callable[[OrderTerms, RiskSnapshot], Denial | None]


def _in_each_scope(check: limit_checks.ScopedCheck) -> Check:
    """Apply the check to the account's limits, then to the limits of the strategy."""

    def check_all(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
        for scope in snapshot.scopes:
            denial = check(terms, snapshot, scope)
            if denial is not None:
                return denial
        return None

    return check_all


def _unless_exit(check: Check) -> Check:
    """Skip the check for reduce-only orders: reducing a position is the way back to within the limits."""

    def check_entries(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
        return None if terms.reduce_only else check(terms, snapshot)

    return check_entries


_SIZE: Final[tuple[Check, ...]] = (
    price_checks.quantity_is_within_freeze_quantity,
    _unless_exit(_in_each_scope(limit_checks.quantity_is_within_limit)),
    _unless_exit(_in_each_scope(limit_checks.value_is_within_limit)),
    _unless_exit(_in_each_scope(limit_checks.lots_are_within_limit)),
)

CHECKS: Final[tuple[Check, ...]] = (
    eligibility_checks.account_is_armed,
    eligibility_checks.nothing_is_unknown,
    _unless_exit(eligibility_checks.trading_is_not_halted),
    _unless_exit(eligibility_checks.symbol_is_allowed),
    _unless_exit(eligibility_checks.contract_has_not_expired),
    _unless_exit(eligibility_checks.contract_is_not_near_delivery),
    _unless_exit(eligibility_checks.product_fits_instrument),
    eligibility_checks.broker_takes_the_order,
    eligibility_checks.phase_accepts_the_order,
    _unless_exit(eligibility_checks.square_off_has_not_begun),
    _unless_exit(eligibility_checks.position_is_not_being_closed),
    _unless_exit(eligibility_checks.outcome_of_others_is_known),
    _unless_exit(eligibility_checks.external_positions_are_only_reduced),
    price_checks.prices_fit_the_type,
    price_checks.stop_limit_is_beyond_its_trigger,
    price_checks.quantity_is_on_lot,
    price_checks.order_is_large_enough,
    price_checks.quantity_is_within_freeze_quantity,
    price_checks.prices_are_on_tick,
    _unless_exit(price_checks.quote_is_fresh),
    price_checks.prices_are_within_the_circuit,
    _unless_exit(price_checks.prices_are_near_the_market),
    price_checks.trigger_is_not_passed,
    exit_checks.reduce_only_reduces,
    exit_checks.reduce_only_stays_within_the_position,
    exit_checks.delivery_is_sold_from_holdings,
    _unless_exit(eligibility_checks.options_may_be_written),
    _unless_exit(limit_checks.is_not_a_repeat),
    *(_unless_exit(_in_each_scope(check)) for check in limit_checks.OF_A_SCOPE),
    _unless_exit(limit_checks.funds_suffice),
)


def first_denial(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Return the first denial of the checks, or None if the order passes all of them."""
    return _first_of(CHECKS, terms, snapshot)


def first_size_denial(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Return the first denial for the order's whole quantity, filled or not; None if the size is allowed."""
    return _first_of(_SIZE, terms, snapshot)


def _first_of(checks: Iterable[Check], terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    # A loop: nested generators made the gate a sixth slower.
    for check in checks:
        denial = check(terms, snapshot)
        if denial is not None:
            return denial
    return None
