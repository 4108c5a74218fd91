"""Black's formula of 1976: the price of a European option on a forward price, and the volatility it implies.

The premium is not discounted. On a share's forward price it is the formula of Black and Scholes, without that
discount.
"""

from __future__ import annotations

from math import erf, log, sqrt
from typing import Final

from algosat.domain.instruments import OptionType

DAYS_A_YEAR: Final = 365
_LEAST_VOLATILITY: Final = 0.01
_MOST_VOLATILITY: Final = 5.0
_HALVINGS: Final = 24  # of the interval above: to less than a millionth


def black76(option_type: OptionType, forward: float, strike: float, years: float, volatility: float) -> float:
    """Return the price of an option.

    Args:
        forward: Forward price of the underlying at expiry, above zero.
        years: Time to expiry; at zero or below, the price is the intrinsic value.
        volatility: Standard deviation of the underlying's yearly return.
    """
    sign = 1 if option_type is OptionType.CALL else -1
    deviation = volatility * sqrt(max(years, 0.0))
    if not deviation:
        return max(sign * (forward - strike), 0.0)
    d1 = log(forward / strike) / deviation + deviation / 2
    d2 = d1 - deviation
    price = sign * (forward * _normal(sign * d1) - strike * _normal(sign * d2))
    return max(price, 0.0)


def implied_volatility(
    option_type: OptionType, premium: float, forward: float, strike: float, years: float
) -> float:
    """Return the volatility at which the formula gives the premium, between 1 % and 500 % a year."""
    low, high = _LEAST_VOLATILITY, _MOST_VOLATILITY
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if black76(option_type, forward, strike, years, middle) < premium:
            low = middle
        else:
            high = middle
    return high


def _normal(deviations: float) -> float:
    """Return the probability that a normal draw is below so many standard deviations."""
    return (1 + erf(deviations / sqrt(2))) / 2
