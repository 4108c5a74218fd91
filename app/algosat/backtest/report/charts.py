"""Charts as inline SVG without scripts. The style sheet of the page sets light and dark colours."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from html import escape
from typing import Final

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.decimals import ZERO

Series = Sequence[tuple[datetime, Decimal]]

_WIDTH: Final = 960
_LEFT: Final = 84  # width of the labels of the value axis
_RIGHT: Final = 16
_TOP: Final = 12
_BOTTOM: Final = 28
_BUCKETS: Final = 400  # groups of neighbouring points; the lowest and highest of each are drawn
_STEPS: Final = tuple(map(Decimal, ("1", "2", "2.5", "5", "10")))
_SHAPES: Final = {"buy": "M0,-7 L6,4 L-6,4 Z", "sell": "M0,7 L6,-4 L-6,-4 Z"}


@dataclass(frozen=True, slots=True)
class ChartMark:
    """A trade, marked on a chart."""

    at: datetime
    value: Decimal
    kind: str  # buy or sell
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Conversion of times and values to pixels. Points are evenly spaced, so nights take no width."""

    times: Sequence[datetime]
    low: Decimal
    high: Decimal
    height: int

    def x(self, at: datetime) -> str:
        share = bisect_left(self.times, at) / max(len(self.times) - 1, 1)
        return f"{_LEFT + share * (_WIDTH - _LEFT - _RIGHT):.1f}"

    def y(self, value: Decimal) -> str:
        share = float((value - self.low) / ((self.high - self.low) or Decimal(1)))
        return f"{_TOP + (1 - share) * (self.height - _TOP - _BOTTOM):.1f}"


def line(title: str, series: Series, *, height: int = 260, marks: Sequence[ChartMark] = ()) -> str:
    """Return a line chart of values over time."""
    values = [value for _, value in series] + [mark.value for mark in marks]
    ticks = steps(min(values), max(values))
    scale = Scale([at for at, _ in series], ticks[0], ticks[-1], height)
    path = " ".join(f"{scale.x(at)},{scale.y(value)}" for at, value in thinned(series))
    drawn = "".join(_mark(scale, mark) for mark in marks)
    return _frame(title, scale, ticks, f'<polyline class="line" points="{path}"/>{drawn}')


def area(title: str, series: Series, *, height: int = 140, downwards: bool = False) -> str:
    """Return an area chart of amounts over time, filled from zero up, or down with `downwards`."""
    sign = -1 if downwards else 1
    signed = [(at, sign * value) for at, value in series]
    values = [value for _, value in signed]
    ticks = steps(min([*values, ZERO]), max([*values, ZERO]))
    scale = Scale([at for at, _ in series], ticks[0], ticks[-1], height)
    path = " ".join(f"{scale.x(at)},{scale.y(value)}" for at, value in thinned(signed))
    zero = scale.y(ZERO)
    points = f"{scale.x(scale.times[0])},{zero} {path} {scale.x(scale.times[-1])},{zero}"
    return _frame(
        title, scale, ticks, f'<polygon class="{"fall" if downwards else "area"}" points="{points}"/>'
    )


def thinned(series: Series) -> Series:
    """Return the series without points that cannot be told apart; every extreme is kept."""
    if len(series) <= 2 * _BUCKETS:
        return series
    kept = [series[0]]
    size = -(-len(series) // _BUCKETS)
    for start in range(0, len(series), size):
        bucket = series[start : start + size]
        extremes = {min(bucket, key=lambda point: point[1]), max(bucket, key=lambda point: point[1])}
        kept += sorted(extremes)
    return [*kept, series[-1]]


def steps(low: Decimal, high: Decimal) -> list[Decimal]:
    """Return two to six round values, the first at or below `low`, the last at or above `high`."""
    span = (high - low) or max(abs(high) / 10, Decimal(1))
    magnitude = Decimal(10) ** ((span / 4).adjusted())
    step = next(each * magnitude for each in _STEPS if each * magnitude * 4 >= span)
    first = (low / step).to_integral_value("ROUND_FLOOR")
    last = max((high / step).to_integral_value(ROUND_CEILING), first + 1)
    return [number * step for number in range(int(first), int(last) + 1)]


def _frame(title: str, scale: Scale, ticks: Sequence[Decimal], content: str) -> str:
    rules = "".join(
        f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{scale.y(tick)}" y2="{scale.y(tick)}"/>'
        f'<text x="{_LEFT - 8}" y="{scale.y(tick)}" text-anchor="end" dy="0.35em">{_short(tick)}</text>'
        for tick in ticks
    )
    box, name = f"0 0 {_WIDTH} {scale.height}", escape(title)
    return (
        f'<figure><figcaption>{name}</figcaption><svg viewBox="{box}" role="img" aria-label="{name}">'
        f"{rules}{_times(scale)}{content}</svg></figure>"
    )


def _times(scale: Scale) -> str:
    span = scale.times[-1] - scale.times[0]
    form = "%d %b %Y" if span.days >= 60 else "%d %b" if span.days >= 4 else "%d %b %H:%M"
    labels = []
    for part, anchor in ((0, "start"), (1, "middle"), (2, "middle"), (3, "middle"), (4, "end")):
        at = scale.times[(len(scale.times) - 1) * part // 4]
        text = at.astimezone(EXCHANGE_TIME).strftime(form)
        y = scale.height - 8
        labels.append(f'<text x="{scale.x(at)}" y="{y}" text-anchor="{anchor}">{text}</text>')
    return "".join(labels)


def _mark(scale: Scale, mark: ChartMark) -> str:
    position = f"translate({scale.x(mark.at)},{scale.y(mark.value)})"
    return (
        f'<path class="{mark.kind}" d="{_SHAPES[mark.kind]}" transform="{position}">'
        f"<title>{escape(mark.text)}</title></path>"
    )


def _short(value: Decimal) -> str:
    return f"{value.normalize():,f}"
