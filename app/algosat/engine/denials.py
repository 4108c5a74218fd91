"""Exits that the gate denies: tried again ever less often, since most denials do not pass by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from algosat.clock import has_come
from algosat.domain.orders import Order, Product, Status
from algosat.domain.risk import ExposureLine

_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 10, 20, 40, 60))

_Key = tuple[str, str, Product]  # strategy, symbol, product


@dataclass(frozen=True, slots=True)
class _Denied:
    number: int
    next_at: datetime


class DeniedExits:
    def __init__(self) -> None:
        self._denied: dict[_Key, _Denied] = {}

    def let(self, line: ExposureLine, now: datetime) -> bool:
        """Whether an exit of the line may be tried."""
        last = self._denied.get((line.strategy, line.symbol, line.product))
        return last is None or has_come(last.next_at, now, within=_DELAYS[-1])

    def note(self, exits: Iterable[Order], now: datetime) -> None:
        """What became of exits that were tried."""
        for order in exits:
            key = (order.terms.strategy or "", order.terms.symbol, order.terms.product)
            last = self._denied.pop(key, None)
            if order.status is Status.DENIED:
                number = last.number + 1 if last else 0
                self._denied[key] = _Denied(number, now + _DELAYS[min(number, len(_DELAYS) - 1)])
