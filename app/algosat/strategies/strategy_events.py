"""Strategy events: what a strategy reacts to, each with a permanent, unique name.

The idempotency keys of an event's orders are made from its name. An event that is handled twice, because the
process died before the end of the first time, therefore places its orders once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from algosat.domain.instruments import Quote
from algosat.domain.orders import Order
from algosat.strategies.bars import Bar


@dataclass(frozen=True, slots=True)
class Started:
    """The process has started."""

    at: datetime
    run: str  # one start of one version; a restart after a crash belongs to the same run

    @property
    def name(self) -> str:
        return f"start:{self.run}"


@dataclass(frozen=True, slots=True)
class BarClosed:
    """A bar has closed."""

    bar: Bar

    @property
    def at(self) -> datetime:
        return self.bar.end

    @property
    def name(self) -> str:
        return f"bar:{self.bar.symbol}:{self.bar.seconds}:{self.bar.start:%Y%m%dT%H%M%S}"


@dataclass(frozen=True, slots=True)
class QuoteReceived:
    """A symbol has a new quote."""

    quote: Quote

    @property
    def at(self) -> datetime:
        return self.quote.at

    @property
    def name(self) -> str:
        return f"quote:{self.quote.symbol}:{self.quote.at:%Y%m%dT%H%M%S.%f}"


@dataclass(frozen=True, slots=True)
class OrderUpdated:
    """An order of the strategy has changed."""

    order: Order
    version: int  # the change that is delivered; `order` may be newer if the event is handled again

    @property
    def at(self) -> datetime:
        return self.order.updated_at

    @property
    def name(self) -> str:
        return f"order:{self.order.id}:{self.version}"


@dataclass(frozen=True, slots=True)
class Stopping:
    """The operator has asked the strategy to stop."""

    at: datetime
    run: str

    @property
    def name(self) -> str:
        return f"stop:{self.run}"


StrategyEvent = Started | BarClosed | QuoteReceived | OrderUpdated | Stopping
