"""Request and response models of limits and halts."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, StringConstraints, create_model

from algosat.api.amounts import Amount
from algosat.api.fields import AccountName, Currency, Money, Timestamp
from algosat.api.pages import Label, Symbol
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.domain.risk.limits import Limits
from algosat.domain.scope import IN_HALTS, IN_LIMITS
from algosat.trading.halts import Halt

Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=500, pattern=r"^[^\x00]*$"),
    Field(examples=["feed is stale"]),
]


_REQUESTED: Final[dict[str, Any]] = {
    "Decimal": Amount,
    "int": Annotated[int, Field(gt=0, le=1_000_000_000)],
    "bool": bool,
    "float": Annotated[float, Field(ge=0, le=86_400)],
    "tuple[str, ...]": Annotated[list[Symbol], Field(max_length=10_000)],
}
_SHOWN: Final[dict[str, Any]] = {
    "Decimal": Annotated[Money, Field(examples=["100000"])],
    "int": Annotated[int, Field(examples=[100])],
    "bool": Annotated[bool, Field(examples=[False])],
    "float": Annotated[float, Field(examples=[5.0])],
    "tuple[str, ...]": Annotated[list[str], Field(examples=[[]])],
}

if TYPE_CHECKING:
    LimitsView = Limits

    class LimitValues(Input): ...

else:
    LimitValues = create_model(
        "LimitValues",
        __base__=Input,
        __doc__="Limits to change. Omitted limits keep their value; null restores the value of the settings.",
        **{
            each.name: (_REQUESTED[each.type] | None, Field(None, description=each.metadata["meaning"]))
            for each in fields(Limits)
        },
    )
    LimitsView = create_model(
        "LimitsView",
        __doc__="Limits in force.",
        **{
            each.name: (_SHOWN[each.type], Field(description=each.metadata["meaning"]))
            for each in fields(Limits)
        },
    )


class LimitsChange(Input):
    """Limits to change in one scope."""

    scope: Annotated[Label, Field(examples=[IN_LIMITS])] = IN_LIMITS
    """`account` (the first one), `account:NAME`, or the name of a strategy."""
    limits: Annotated[LimitValues, Field(examples=[{"max_order_value": "50000"}])]
    """The limits to change."""


class HaltBody(Input):
    """Scope and reason of a halt."""

    reason: Reason
    """Reason of the halt, kept in the audit trail."""
    cancel_orders: bool = True
    """Whether to cancel working orders."""
    flatten: bool = False
    """Whether to close all positions."""
    scope: Annotated[Label, Field(examples=[IN_HALTS])] = IN_HALTS
    """`all` accounts, one `account:NAME`, or the name of a strategy."""


class ResumeBody(Input):
    """Scope in which trading resumes."""

    scope: Annotated[Label, Field(examples=[IN_HALTS])] = IN_HALTS
    """`all` accounts, one `account:NAME`, or the name of a strategy."""


class HaltView(Output):
    """A halt in force."""

    scope: Annotated[str, Field(examples=["all"])]
    """`all` accounts, one `account:NAME`, or the name of a strategy."""
    at: Timestamp
    """Time of the halt."""
    actor: Annotated[str, Field(examples=["user:trader"])]
    """Who halted trading."""
    reason: Annotated[str, Field(examples=["feed is stale"])]
    """Reason of the halt."""
    flatten: bool
    """Whether the halt also closes positions."""


class UsageView(Output):
    """Usage of the account's limits."""

    gross_exposure: Annotated[Money, Field(examples=["2045"])]
    """Value of positions and working orders together. `max_gross_exposure` limits the part in shares."""
    gross_margin: Annotated[Money, Field(examples=["154310"])]
    """Margin of positions and working orders in futures and options."""
    open_orders: Annotated[int, Field(examples=[1])]
    """Number of working orders."""
    orders_today: Annotated[int, Field(examples=[4])]
    """Number of orders placed on this trading day."""
    day_result: Annotated[Money, Field(examples=["13.73"])]
    """Profit since the trading day began, open positions and fees included; negative for a loss."""
    unpriced_symbols: Annotated[list[str], Field(examples=[[]])]
    """Instruments with a position but without a quote."""


class ScopedLimits(Output):
    """The limits of one scope."""

    scope: Annotated[str, Field(examples=["account"])]
    """`account` (the first one), `account:NAME`, or the name of a strategy."""
    limits: LimitsView
    """The limits in force."""


class RiskView(Output):
    """Limits of an account, their usage, and halts."""

    account: AccountName
    currency: Currency
    halted: bool
    """Whether trading on all accounts is halted."""
    halts: list[HaltView]
    """Every halt in force."""
    limits: LimitsView
    """Limits of the account."""
    strategies: list[ScopedLimits]
    """Strategies with limits of their own."""
    usage: UsageView
    """Current usage of the account's limits."""


class Resumption(Output):
    """Result of resuming."""

    was_halted: Annotated[bool, Field(examples=[True])]
    """Whether the scope was halted before."""
    halted: bool
    """Whether all trading is still halted."""


def halt_view(each: Halt) -> HaltView:
    """Return the response model of a halt."""
    return {
        "scope": each.scope.name(IN_HALTS),
        "at": each.at,
        "actor": each.actor,
        "reason": each.reason,
        "flatten": each.flatten,
    }
