"""P&L exits: a profit target and a loss limit on the day's profit or loss of a strategy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


class PnlOutcome(StrEnum):
    """Which of the two was reached."""

    PROFIT_TARGET = "profit_target"
    LOSS_LIMIT = "loss_limit"


@dataclass(frozen=True, slots=True)
class PnlExit:
    """The P&L exit of one strategy. At least one of the amounts is given; both are positive."""

    account: str
    strategy: str
    profit_target: Decimal | None
    loss_limit: Decimal | None
    set_at: datetime
    set_by: str  # the actor
    reached_on: date | None = None  # the trading day on which one of the amounts was reached last
    outcome: PnlOutcome | None = None  # which one
    halted_at: datetime | None = None  # time of the halt that it caused, until that halt is lifted

    def __post_init__(self) -> None:
        if any(amount is not None and amount <= 0 for amount in (self.profit_target, self.loss_limit)):
            raise ValueError("profit target and loss limit of a P&L exit must be greater than 0")

    def reached_by(self, pnl: Decimal) -> PnlOutcome | None:
        """Return the amount that this profit or loss of the day reaches; None if it reaches neither."""
        if self.profit_target is not None and pnl >= self.profit_target:
            return PnlOutcome.PROFIT_TARGET
        if self.loss_limit is not None and -pnl >= self.loss_limit:
            return PnlOutcome.LOSS_LIMIT
        return None

    def reason(self, outcome: PnlOutcome, pnl: Decimal) -> str:
        """Return the reason of the halt."""
        if outcome is PnlOutcome.PROFIT_TARGET:
            return f"made {pnl:.2f} today; the profit target is {self.profit_target}"
        return f"lost {-pnl:.2f} today; the loss limit is {self.loss_limit}"
