"""Column types: money and quantities as scaled integers, time as microseconds since 1970 in UTC, JSON,
encrypted values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

SCALE: Final = 10**8  # eight decimal places; values up to about 92 billion
LOW_SCALE: Final = 10**16

_PLACE: Final = Decimal(1).scaleb(-8)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Scaled(TypeDecorator[Decimal]):
    """A Decimal with at most eight decimal places. More places are an error and are never rounded."""

    impl = BigInteger
    cache_ok = True

    # Processors instead of `process_…` methods: one call less for each value.
    def bind_processor(self, dialect: Dialect) -> Callable[[Decimal | None], int | None]:
        return _scaled

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[int | None], Decimal | None]:
        return _unscaled


def _scaled(value: Decimal | None) -> int | None:
    if value is None:
        return None
    scaled = value * SCALE
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"{value} has more than eight decimal places")
    return whole


@lru_cache(maxsize=4096)  # the same prices and quantities recur
def _unscaled(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value) / SCALE


class LowPart(TypeDecorator[Decimal]):
    """The decimal places 9 to 16 of a value, as a Decimal below 1e-8. More places are an error.

    The column beside it, of the same name without `_low`, holds the value up to the eighth place. The value
    is the sum of both, and so is each sum: a database adds up either column exactly.
    """

    impl = BigInteger
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Decimal | None], int | None]:
        return _scaled_low

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[int | None], Decimal | None]:
        return _unscaled_low


def split(value: Decimal) -> tuple[Decimal, Decimal]:
    """Return the value up to its eighth decimal place, and its low part, which has the same sign."""
    high = value.quantize(_PLACE, ROUND_DOWN)
    return high, value - high


def _scaled_low(value: Decimal | None) -> int | None:
    if not value:  # nearly always
        return None if value is None else 0
    scaled = value * LOW_SCALE
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"{value} is a low part with more than sixteen decimal places")
    return whole


@lru_cache(maxsize=4096)  # nearly always 0
def _unscaled_low(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value) / LOW_SCALE


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime, read back in UTC."""

    impl = BigInteger
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], int | None]:
        return _microseconds

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[int | None], datetime | None]:
        return _time


def _microseconds(value: datetime | None) -> int | None:
    return None if value is None else (value - _EPOCH) // _MICROSECOND


def _time(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


class Encrypted(TypeDecorator[bytes]):
    """A token of the keyring, as ASCII text.

    A rotation of the keys finds the columns of this type, so every value that the keyring encrypts and the
    store keeps must have it.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else value.decode("ascii")

    def process_result_value(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.encode()


class Json(TypeDecorator[Any]):
    """JSON text with sorted keys: equal values give equal bytes and hashes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)
