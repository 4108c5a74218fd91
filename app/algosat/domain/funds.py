"""Funds: deposits, results, margin in use and what is available."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from algosat.domain.decimals import ZERO
from algosat.domain.risk.snapshot import ExposureLine


@dataclass(frozen=True, slots=True)
class Funds:
    """The account's money. All amounts are in the account's currency."""

    deposited: Decimal
    realised: Decimal  # profit of what was closed, before fees
    fees: Decimal
    unrealised: Decimal  # profit if everything were closed at the last prices
    margin_used: Decimal  # by positions and working orders, in the worst order of fills

    @property
    def cash(self) -> Decimal:
        return self.deposited + self.realised - self.fees

    @property
    def equity(self) -> Decimal:
        return self.cash + self.unrealised

    @property
    def available(self) -> Decimal:
        return self.equity - self.margin_used


def margin_of(lines: Iterable[ExposureLine]) -> Decimal:
    """Return the margin that positions and working orders need if they fill in the worst order."""
    return sum((line.margin for line in lines), ZERO)
