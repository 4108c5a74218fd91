"""How the account's worth went: sampled at every bar's end, with the worst fall from a height."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    equity: Decimal
    exposure: Decimal  # value of all positions, long and short alike, at their last prices
    drawdown: Decimal  # how far below the greatest height so far


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The worst fall."""

    amount: Decimal
    share: Decimal  # of the height it fell from
    fell_from: datetime
    bottom: datetime
    recovered: datetime | None  # when that height was reached again


@dataclass(slots=True)
class Curve:
    points: list[Point] = field(default_factory=list)
    _height: Decimal | None = None

    def add(self, at: datetime, equity: Decimal, exposure: Decimal) -> None:
        self._height = equity if self._height is None else max(self._height, equity)
        self.points.append(Point(at, equity, exposure, self._height - equity))

    def worst(self) -> Drawdown | None:
        """None where it never fell."""
        bottom = max(self.points, key=lambda point: point.drawdown, default=None)
        if bottom is None or not bottom.drawdown:
            return None
        height = bottom.equity + bottom.drawdown
        fell_from = next(
            point for point in reversed(self.points) if point.at < bottom.at and point.equity == height
        )
        recovered = (point.at for point in self.points if point.at > bottom.at and point.equity >= height)
        return Drawdown(
            amount=bottom.drawdown,
            share=bottom.drawdown / height if height > 0 else _NOTHING,
            fell_from=fell_from.at,
            bottom=bottom.at,
            recovered=next(recovered, None),
        )

    def mean_exposure(self) -> Decimal:
        return _mean([point.exposure for point in self.points])

    def most_exposure(self) -> Decimal:
        return max((point.exposure for point in self.points), default=_NOTHING)

    def share_invested(self) -> Decimal:
        """In what share of the samples there was a position."""
        return _mean([Decimal(point.exposure > 0) for point in self.points])


def _mean(values: list[Decimal]) -> Decimal:
    return sum(values, _NOTHING) / len(values) if values else _NOTHING
