"""Limits and halts as they come in and go out."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from algosat.api.amounts import Amount
from algosat.api.pages import Label, Symbol
from algosat.api.request_models import Input
from algosat.domain.risk import Limits
from algosat.trading.halts import ALL, Halt
from algosat.trading.limits import ACCOUNT

Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500, pattern=r"^[^\x00]*$")
]


class LimitValues(Input):
    """What is left out stays as it is; null goes back to what the settings say."""

    price_band_percent: Amount | None = None
    max_order_quantity: Amount | None = None
    max_order_value: Amount | None = None
    max_position_value: Amount | None = None
    max_gross_exposure: Amount | None = None
    max_open_orders: Count | None = None
    max_orders_per_second: Count | None = None
    max_orders_per_day: Count | None = None
    max_daily_loss: Amount | None = None
    duplicate_window_seconds: Annotated[float | None, Field(ge=0, le=86_400)] = None
    stale_quote_seconds: Annotated[float | None, Field(gt=0, le=86_400)] = None
    allowed_symbols: Annotated[list[Symbol] | None, Field(max_length=10_000)] = None


class LimitsChange(Input):
    scope: Annotated[Label, Field(description="`account`, or a strategy's name.")] = ACCOUNT
    limits: LimitValues


class HaltBody(Input):
    reason: Reason
    cancel_orders: bool = True
    flatten: Annotated[bool, Field(description="Close all positions too.")] = False
    scope: Annotated[Label, Field(description="`all`, or a strategy's name.")] = ALL


class ResumeBody(Input):
    scope: Label = ALL


class LimitsView(TypedDict):
    price_band_percent: Decimal
    max_order_quantity: Decimal
    max_order_value: Decimal
    max_position_value: Decimal
    max_gross_exposure: Decimal
    max_open_orders: int
    max_orders_per_second: int
    max_orders_per_day: int
    max_daily_loss: Decimal
    duplicate_window_seconds: float
    stale_quote_seconds: float
    allowed_symbols: list[str]


class HaltView(TypedDict):
    scope: str
    at: datetime
    actor: str
    reason: str
    flatten: bool


class UsageView(TypedDict):
    gross_exposure: Decimal
    open_orders: int
    orders_today: int
    day_result: Decimal  # won since the trading day began (negative: lost), fees and open positions included
    unpriced_symbols: list[str]


class LimitsAnswer(TypedDict):
    scope: str
    limits: LimitsView


class RiskView(TypedDict):
    halted: bool
    halts: list[HaltView]
    limits: LimitsView  # the account's
    strategies: list[LimitsAnswer]  # those that have limits of their own
    usage: UsageView


class ResumeAnswer(TypedDict):
    was_halted: bool
    halted: bool


def halt_view(each: Halt) -> HaltView:
    return {
        "scope": each.scope,
        "at": each.at,
        "actor": each.actor,
        "reason": each.reason,
        "flatten": each.flatten,
    }


def limits_view(values: Limits) -> LimitsView:
    plain: dict[str, Any] = asdict(values)
    return LimitsView(**{**plain, "allowed_symbols": list(values.allowed_symbols)})  # type: ignore[typeddict-item]
