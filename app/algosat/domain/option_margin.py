"""The margin of written options: the scenarios of SPAN, a minimum, and an exposure margin.

The worst loss of 16 scenarios is taken for each option alone, with the ranges that NSE Clearing publishes
("SPAN Risk Parameters"). The price of the underlying moves by up to the price scan range, while its
volatility rises or falls by the volatility scan range. Of the loss in two extreme moves of twice the range,
35 % counts. The exposure margin is added.

This is not the margin of NSE Clearing, which is computed from the risk file of the day for a whole portfolio,
grants relief for hedges and spreads, and scales the price scan range with observed volatility. Here every
written option counts in full, the price scan range is its published minimum, and volatility is the one that
the last premium implies. docs/decisions/0014-margin-of-written-options.md names the sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Final

from algosat.domain.instruments import OptionType
from algosat.domain.option_pricing import DAYS_A_YEAR, black76, implied_volatility

_PAISA: Final = Decimal("0.01")
_PRICE_MOVES: Final = (0.0, 1 / 3, -1 / 3, 2 / 3, -2 / 3, 1.0, -1.0)  # of the price scan range
_EXTREME_MOVES: Final = (2.0, -2.0)
_EXTREME_SHARE: Final = 0.35  # of the loss in an extreme move
_VOLATILITY_SHARE: Final = 0.25  # of the volatility, by which it rises or falls
_LEAST_VOLATILITY: Final = 0.001


@dataclass(frozen=True, slots=True)
class _Rates:
    """The rates of one class of underlyings. All but `volatility` are shares of the underlying's price."""

    price_scan: float
    volatility_scan: float  # least change of the yearly volatility
    minimum: Decimal  # short option minimum charge
    exposure: Decimal
    exposure_at_expiry: Decimal  # added on the last day


_INDEX: Final = _Rates(0.093, 0.04, Decimal("0.03"), Decimal("0.02"), Decimal("0.02"))
_SHARE: Final = _Rates(0.142, 0.10, Decimal("0.075"), Decimal("0.05"), Decimal(0))


@dataclass(frozen=True, slots=True)
class OptionRisk:
    """What the margin of a written option depends on, besides its premium."""

    option_type: OptionType
    strike: Decimal
    underlying: Decimal  # last price
    days: int  # to expiry
    is_index: bool


@lru_cache(maxsize=512)
def margin_of_written(option: OptionRisk, premium: Decimal) -> Decimal:
    """Return the margin for one unit of a written option, given its last premium.

    The premium received is not part of the margin: it is in the equity as profit or loss until the close.
    """
    rates = _INDEX if option.is_index else _SHARE
    scan = Decimal(max(_losses(option, float(premium), rates)))
    exposure = rates.exposure + (rates.exposure_at_expiry if option.days <= 0 else 0)
    whole = max(scan, rates.minimum * option.underlying) + exposure * option.underlying
    return whole.quantize(_PAISA, ROUND_CEILING)


def _losses(option: OptionRisk, premium: float, rates: _Rates) -> Iterator[float]:
    """Yield the loss of the writer in each scenario, for one unit."""
    underlying, strike = float(option.underlying), float(option.strike)
    years = (max(option.days, 0) + 1) / DAYS_A_YEAR  # to the end of the last day
    volatility = implied_volatility(option.option_type, premium, underlying, strike, years)
    shift = max(_VOLATILITY_SHARE * volatility, rates.volatility_scan)

    def loss(move: float, with_volatility: float) -> float:
        price = underlying * (1 + move * rates.price_scan)
        return black76(option.option_type, price, strike, years, with_volatility) - premium

    for move in _PRICE_MOVES:
        yield loss(move, volatility + shift)
        yield loss(move, max(volatility - shift, _LEAST_VOLATILITY))
    for move in _EXTREME_MOVES:
        yield _EXTREME_SHARE * loss(move, volatility)
