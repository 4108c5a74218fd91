"""The limits of an account or a strategy: the one list that settings, API and back-test are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

_AMOUNTS: Final = (
    "max_order_quantity", "max_order_value", "max_position_value", "max_gross_exposure",
    "max_position_margin", "max_gross_margin", "max_daily_loss",
)  # fmt: skip
_NUMBERS: Final = ("max_order_lots", "max_open_orders", "max_orders_per_second", "max_orders_per_day")


_NO_AMOUNT: Final = Decimal(10) ** 18  # more than an account can hold
_NO_NUMBER: Final = 10**12
# The limits that accounts of one currency can have together.
TOTALS: Final = (
    "max_gross_exposure", "max_gross_margin", "max_open_orders", "max_orders_per_day", "max_daily_loss",
)  # fmt: skip
# Below these values no order would pass. Stored values may be lower: an earlier release accepted them.
_LOWEST: Final[Mapping[str, tuple[float, str]]] = {
    "stale_quote_seconds": (1.0, "a quote may be a quarter of a second old before it is stored"),
}


def too_low(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each limit with which no order would pass, and its lowest value with the reason."""
    for name, (lowest, reason) in _LOWEST.items():
        value = values.get(name)
        if value is not None and value < lowest:
            yield name, f"must be at least {lowest:g}: {reason}"


def _means(meaning: str, *, zero_allowed: bool = False) -> dict[str, Any]:
    """Describe a limit. Its value must be above zero unless `zero_allowed`."""
    return {"meaning": meaning, "zero_allowed": zero_allowed}


@dataclass(frozen=True, slots=True)
class Limits:
    """Values of all limits. Amounts are in the account's currency.

    The names of the fields are the keys of the `risk` settings. A new limit is a field here, a check in
    `limit_checks`, and its value in the role's defaults.
    """

    price_band_percent: Decimal = field(
        metadata=_means(
            "Largest distance of a price from the last price, in percent; for options, never less than the "
            "distance of market protection."
        )
    )
    # Shares are limited by quantity and value; futures and options by lots and margin, since one lot is the
    # least that can be traded.
    max_order_quantity: Decimal = field(metadata=_means("Largest quantity of one order in shares."))
    max_order_value: Decimal = field(metadata=_means("Largest value of one order in shares."))
    max_position_value: Decimal = field(
        metadata=_means("Largest value of the position in one share, working orders included.")
    )
    max_gross_exposure: Decimal = field(
        metadata=_means("Largest value of all positions and working orders in shares together.")
    )
    max_order_lots: int = field(metadata=_means("Largest number of lots of one order in a future or option."))
    max_position_margin: Decimal = field(
        metadata=_means("Largest margin of the position in one future or option, working orders included.")
    )
    max_gross_margin: Decimal = field(
        metadata=_means("Largest margin of all positions and working orders in futures and options together.")
    )
    option_writing: bool = field(
        metadata=_means("Whether options may be written, that is, sold without being held.")
    )
    max_open_orders: int = field(metadata=_means("Largest number of working orders."))
    max_orders_per_second: int = field(metadata=_means("Largest number of orders within a second."))
    max_orders_per_day: int = field(metadata=_means("Largest number of orders on a trading day."))
    max_daily_loss: Decimal = field(
        metadata=_means("Daily loss at which every order except exits is denied.")
    )
    duplicate_window_seconds: float = field(
        metadata=_means(
            "Seconds within which an equal order is denied as a duplicate; 0 allows it.", zero_allowed=True
        )
    )
    stale_quote_seconds: float = field(
        metadata=_means("Age in seconds from which a quote is too old to trade on.")
    )
    allowed_symbols: tuple[str, ...] = field(
        metadata=_means("Instruments that may be traded; an empty list allows all.")
    )

    def first(self) -> Limits:
        """Return the limits with which a live account starts: a hundredth of amounts and numbers.

        Only an admin widens them, by changing the limits of the account.
        """
        amounts = {name: getattr(self, name) / 100 for name in _AMOUNTS}
        numbers = {name: max(getattr(self, name) // 100, 1) for name in _NUMBERS}
        return replace(self, **amounts, **numbers, option_writing=False)

    def only(self, totals: Mapping[str, Any]) -> Limits:
        """Return these limits with `totals`, and all other limits on amounts and numbers lifted."""
        lifted = {**dict.fromkeys(_AMOUNTS, _NO_AMOUNT), **dict.fromkeys(_NUMBERS, _NO_NUMBER)}
        return replace(self, **{**lifted, **totals})
