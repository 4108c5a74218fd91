"""The gate: may this order be placed, seeing what the book and the market are?

Each check is one named function of the order and the picture, and answers with a denial or None.
Nothing is placed that has not passed all of them; what cannot be seen is denied
(`algosat.trading.risk_snapshot` makes the picture, and denies where it cannot).
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
    "judge",
    "judge_size",
    "price_of",
]

Check = Callable[[OrderTerms, RiskSnapshot], Denial | None]
ScopedCheck = Callable[[OrderTerms, RiskSnapshot, RiskScope], Denial | None]


def _in_each_scope(check: ScopedCheck) -> Check:
    """The check against the account's limits, then against the strategy's own."""

    def check_all(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
        return _first(check(terms, snapshot, scope) for scope in snapshot.scopes)

    return check_all


def _unless_exit(check: Check) -> Check:
    """Limits never keep anybody from leaving a position: reducing is the way back to within them."""

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


def judge(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """The first reason why the order may not be placed; None when there is none."""
    return _first(check(terms, snapshot) for check in CHECKS)


def judge_size(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Why an order may not be as large as this, whatever of it is filled already."""
    return _first(check(terms, snapshot) for check in _SIZE)


def _first(denials: Iterable[Denial | None]) -> Denial | None:
    return next((denial for denial in denials if denial is not None), None)
