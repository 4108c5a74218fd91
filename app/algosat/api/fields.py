"""Types of fields that several responses share, with their meaning and an example."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from algosat.domain.capabilities import Mode

AccountName = Annotated[str, Field(description="Trading account.", examples=["paper"])]
Currency = Annotated[str, Field(description="Currency of the amounts.", examples=["INR"])]
AccountMode = Annotated[
    Mode | None,
    Field(
        description="Whether orders of the account move real money; null for an account that is no longer "
        "configured.",
        examples=["PAPER"],
    ),
]
InstrumentSymbol = Annotated[str, Field(description="Symbol of the instrument.", examples=["ALPHA-EQ"])]
StrategyName = Annotated[
    str | None,
    Field(description="Name of the strategy; null for manual orders, `external` for those placed elsewhere."),
]
OrderId = Annotated[
    str,
    Field(
        description="Id of the order, also its tag at the broker.",
        examples=["a7k2m4q6s3u5w7y2b4"],
    ),
]
LinkedExitId = Annotated[str, Field(description="Id of the linked exit.", examples=["a5m7q2w4y6b3d5f7h2"])]
Actor = Annotated[
    str,
    Field(
        description="Who caused the event: `user:NAME`, `cli:LOGIN`, `strategy:NAME`, or a component such as "
        "`engine`.",
        examples=["user:trader"],
    ),
]
CorrelationId = Annotated[
    str,
    Field(
        description="Correlation id of the request or engine task, as in the log.",
        examples=["4bf92f3577b34da6a3ce929d0e0e4736"],
    ),
]
Price = Annotated[Decimal, Field(examples=["101.5"])]
Quantity = Annotated[Decimal, Field(examples=["10"])]
Money = Annotated[Decimal, Field(examples=["1015"])]
Timestamp = Annotated[datetime, Field(examples=["2026-11-30T05:00:00.250000Z"])]
Username = Annotated[str, Field(examples=["trader"])]
