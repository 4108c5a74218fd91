"""The occasions on which a strategy acts. Each has a name of its own, for ever.

Orders are placed under a key made of that name, so an occasion that is lived through twice,
because the process died in its midst, sends nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from algosat.domain.instruments import Quote
from algosat.domain.orders import Order
from algosat.strategies.bars import Bar


@dataclass(frozen=True, slots=True)
class Started:
    at: datetime
    run: str  # names the order to start; a restart after a crash belongs to the same one

    @property
    def name(self) -> str:
        return f"start:{self.run}"


@dataclass(frozen=True, slots=True)
class BarClosed:
    bar: Bar

    @property
    def at(self) -> datetime:
        return self.bar.end

    @property
    def name(self) -> str:
        return f"bar:{self.bar.symbol}:{self.bar.seconds}:{self.bar.start:%Y%m%dT%H%M%S}"


@dataclass(frozen=True, slots=True)
class QuoteReceived:
    quote: Quote

    @property
    def at(self) -> datetime:
        return self.quote.at

    @property
    def name(self) -> str:
        return f"quote:{self.quote.symbol}:{self.quote.at:%Y%m%dT%H%M%S.%f}"


@dataclass(frozen=True, slots=True)
class OrderUpdated:
    order: Order
    version: int  # which of its changes is told; lived through again, the order may have gone on since

    @property
    def at(self) -> datetime:
        return self.order.updated_at

    @property
    def name(self) -> str:
        return f"order:{self.order.id}:{self.version}"


@dataclass(frozen=True, slots=True)
class Stopping:
    at: datetime
    run: str

    @property
    def name(self) -> str:
        return f"stop:{self.run}"


StrategyEvent = Started | BarClosed | QuoteReceived | OrderUpdated | Stopping
