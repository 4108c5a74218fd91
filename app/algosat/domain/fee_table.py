"""The dated table of charges and brokerage plans, read from `fees.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from algosat.domain.decimals import ZERO
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Product
from algosat.errors import FeesUnknown

WARNING_DAYS: Final = 30
_CLASSES: Final = ("equity_delivery", "equity_intraday", "future", "option")


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates for one class of trades on a day, as fractions of turnover (0.001 is a thousandth)."""

    stt_buy: Decimal
    stt_sell: Decimal
    exchange: Mapping[str, Decimal]
    stamp_buy: Decimal
    sebi: Decimal
    gst: Decimal
    stt_exercise: Decimal = ZERO  # of the intrinsic value of an exercised option


@dataclass(frozen=True, slots=True)
class Plan:
    """A broker's price for an executed order."""

    share: Decimal | None  # fraction of the order's value; None: always the flat amount
    most: Decimal

    def brokerage(self, value: Decimal) -> Decimal:
        return self.most if self.share is None else min(value * self.share, self.most)


@dataclass(frozen=True, slots=True)
class FeeTable:
    """All periods, oldest first, and all brokers' plans; by class of trade."""

    periods: tuple[tuple[date, Mapping[str, Rates]], ...]
    plans: Mapping[str, Mapping[str, Plan]]
    reviewed_until: date

    def rates(self, kind: InstrumentKind, product: Product, on: date) -> Rates:
        holding = [rates for since, rates in self.periods if since <= on]
        if not holding:
            raise FeesUnknown(f"charges are known from {self.periods[0][0]} on, not for {on}")
        return holding[-1][_class_of(kind, product)]

    def plan(self, broker: str, kind: InstrumentKind, product: Product) -> Plan:
        if broker not in self.plans:
            raise FeesUnknown(f"no brokerage is known for {broker!r}: the table has {', '.join(self.plans)}")
        return self.plans[broker][_class_of(kind, product)]

    def warning(self, on: date) -> str | None:
        """Return a warning for the operator if the table was last reviewed too long ago.

        Charges are still computed then: a fill that has happened must be booked.
        """
        if on <= self.reviewed_until - timedelta(days=WARNING_DAYS):
            return None
        return f"charges were reviewed for trades until {self.reviewed_until}: install a newer release"


@cache
def packaged() -> FeeTable:
    """Return the table packaged with this release."""
    text = files("algosat.domain").joinpath("fees.yaml").read_text("utf-8")
    return read(yaml.load(text, Loader=yaml.CSafeLoader))


def read(data: Mapping[str, Any]) -> FeeTable:
    """Return a table from parsed `fees.yaml`."""
    return FeeTable(
        periods=tuple(
            (period["from"], {name: _rates(period, period[name]) for name in _CLASSES})
            for period in data["periods"]
        ),
        plans={
            broker: {name: _plan(plans[name]) for name in _CLASSES}
            for broker, plans in data["brokerage"].items()
        },
        reviewed_until=data["reviewed_until"],
    )


def _class_of(kind: InstrumentKind, product: Product) -> str:
    if kind is InstrumentKind.SPOT:
        raise FeesUnknown("the table has no charges for currency pairs: set the brokerage to none")
    if kind is not InstrumentKind.EQUITY:
        return kind.value  # futures and options are charged the same under every product
    if product is Product.CARRY:
        raise FeesUnknown(
            "shares are traded for delivery or intraday: there are no charges for carrying them"
        )
    return f"equity_{product}"


def _rates(period: Mapping[str, Any], entry: Mapping[str, str]) -> Rates:
    return Rates(
        stt_buy=_share(entry["stt_buy"]),
        stt_sell=_share(entry["stt_sell"]),
        exchange={name: _share(entry[name]) for name in ("nse", "bse")},
        stamp_buy=_share(entry["stamp_buy"]),
        sebi=_share(period["sebi"]),
        gst=_share(period["gst"]),
        stt_exercise=_share(entry.get("stt_exercise", "0")),
    )


def _plan(entry: Mapping[str, str | None]) -> Plan:
    percent = entry["percent"]
    return Plan(share=None if percent is None else _share(percent), most=Decimal(entry["most"] or 0))


def _share(percent: str) -> Decimal:
    return Decimal(percent) / 100
