"""The risk checks: each is one named function of an order and a risk snapshot, and returns a denial or None.

`gate` runs them on every order. What cannot be checked is denied: `algosat.trading.risk_snapshot` reads the
snapshot, or returns a denial where it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from algosat.domain.orders import OrderTerms
from algosat.domain.risk import eligibility, exits, limits, prices
from algosat.domain.risk.denial import Denial, DenialCode
from algosat.domain.risk.snapshot import ExposureLine, Limits, RiskScope, RiskSnapshot, price_of

__all__ = [
    "CHECKS",
    "Denial",
    "DenialCode",
    "ExposureLine",
    "Limits",
    "RiskScope",
    "RiskSnapshot",
    "first_denial",
    "first_size_denial",
    "price_of",
]

Check = Callable[[OrderTerms, RiskSnapshot], Denial | None]
ScopedCheck = Callable[[OrderTerms, RiskSnapshot, RiskScope], Denial | None]


def _in_each_scope(check: ScopedCheck) -> Check:
    """Apply the check to the account's limits, then to the limits of the strategy."""

    def check_all(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
        return _first(check(terms, snapshot, scope) for scope in snapshot.scopes)

    return check_all


def _unless_exit(check: Check) -> Check:
    """Skip the check for reduce-only orders: reducing a position is the way back to within the limits."""

    def check_entries(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
        return None if terms.reduce_only else check(terms, snapshot)

    return check_entries


_SIZE: Final[tuple[Check, ...]] = (
    prices.quantity_is_not_frozen,
    _unless_exit(_in_each_scope(limits.quantity_is_within_limit)),
    _unless_exit(_in_each_scope(limits.value_is_within_limit)),
)

CHECKS: Final[tuple[Check, ...]] = (
    eligibility.trading_is_not_halted,
    eligibility.symbol_is_allowed,
    eligibility.contract_is_alive,
    eligibility.product_fits_instrument,
    eligibility.session_takes_the_order,
    eligibility.intraday_is_not_over,
    prices.prices_fit_the_type,
    prices.stop_limit_is_beyond_its_trigger,
    prices.quantity_is_on_lot,
    prices.quantity_is_not_frozen,
    prices.prices_are_on_tick,
    prices.quote_is_fresh,
    prices.prices_are_within_the_circuit,
    prices.prices_are_near_the_market,
    prices.trigger_is_ahead,
    exits.reduce_only_reduces,
    exits.reduce_only_stays_within_the_position,
    exits.delivery_is_sold_from_holdings,
    eligibility.no_option_is_written,
    _unless_exit(limits.is_not_a_repeat),
    *(
        _unless_exit(_in_each_scope(check))
        for check in (
            limits.quantity_is_within_limit,
            limits.value_is_within_limit,
            limits.pace_is_within_limit,
            limits.day_is_within_limit,
            limits.open_orders_are_within_limit,
            limits.position_is_within_limit,
            limits.exposure_is_within_limit,
            limits.loss_is_within_limit,
        )
    ),
    _unless_exit(limits.funds_suffice),
)


def first_denial(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Return the first denial of the checks, or None if the order passes all of them."""
    return _first(check(terms, snapshot) for check in CHECKS)


def first_size_denial(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Return the first denial for the order's whole quantity, filled or not; None if the size is allowed."""
    return _first(check(terms, snapshot) for check in _SIZE)


def _first(denials: Iterable[Denial | None]) -> Denial | None:
    return next((denial for denial in denials if denial is not None), None)
