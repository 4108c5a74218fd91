"""The equity curve, sampled at the end of each bar, and its largest drawdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from algosat.domain.decimals import ZERO


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """One sample of the account."""

    at: datetime
    equity: Decimal
    exposure: Decimal  # absolute value of all positions at their last prices
    drawdown: Decimal  # distance below the highest equity so far


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The largest fall of equity from a peak."""

    amount: Decimal
    share: Decimal  # of the peak's equity
    peak: datetime
    bottom: datetime
    recovered: datetime | None  # when the peak's equity was reached again


@dataclass(slots=True)
class EquityCurve:
    """Samples of equity and exposure, in order of time."""

    points: list[EquityPoint] = field(default_factory=list)
    _highest: Decimal | None = None

    def add(self, at: datetime, equity: Decimal, exposure: Decimal) -> None:
        self._highest = equity if self._highest is None else max(self._highest, equity)
        self.points.append(EquityPoint(at, equity, exposure, self._highest - equity))

    def worst(self) -> Drawdown | None:
        """Return the largest drawdown; None if equity never fell."""
        bottom = max(self.points, key=lambda point: point.drawdown, default=None)
        if bottom is None or not bottom.drawdown:
            return None
        highest = bottom.equity + bottom.drawdown
        peak = next(
            point for point in reversed(self.points) if point.at < bottom.at and point.equity == highest
        )
        recovered = (point.at for point in self.points if point.at > bottom.at and point.equity >= highest)
        return Drawdown(
            amount=bottom.drawdown,
            share=bottom.drawdown / highest if highest > 0 else ZERO,
            peak=peak.at,
            bottom=bottom.at,
            recovered=next(recovered, None),
        )

    def mean_exposure(self) -> Decimal:
        return _mean([point.exposure for point in self.points])

    def most_exposure(self) -> Decimal:
        return max((point.exposure for point in self.points), default=ZERO)

    def share_invested(self) -> Decimal:
        """Return the share of the samples with an open position."""
        return _mean([Decimal(point.exposure > 0) for point in self.points])


def _mean(values: list[Decimal]) -> Decimal:
    return sum(values, ZERO) / len(values) if values else ZERO
