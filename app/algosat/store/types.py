"""How values lie in the store: money and quantities as scaled integers, time as microseconds UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

PLACES: Final = Decimal("0.00000001")  # eight decimals: paise and the smallest part of a coin alike
SCALE: Final = 10**8
LARGEST: Final = Decimal(2**63 - 1) / SCALE  # about 92 billion

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Scaled(TypeDecorator[Decimal]):
    """A Decimal with at most eight places; more places are an error, never rounded away silently."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        scaled = value * SCALE
        whole = int(scaled)
        if whole != scaled:
            raise ValueError(f"{value} has more than eight decimal places")
        return whole

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:
        return _unscaled(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[int | None], Decimal | None]:
        return _unscaled  # a call less for each value of each row


@lru_cache(maxsize=4096)  # the same prices and quantities come again and again
def _unscaled(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value) / SCALE


class UtcTime(TypeDecorator[datetime]):
    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Json(TypeDecorator[Any]):
    """JSON text with sorted keys, so that equal values are equal bytes and can be hashed."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)
