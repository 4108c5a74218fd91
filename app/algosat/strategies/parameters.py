"""The parameters that every strategy has. Each class adds its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from algosat.domain.orders import Product

Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9&._:-]{0,63}$")]
Quantity = Annotated[Decimal, Field(gt=0, max_digits=18, decimal_places=8)]
_SECONDS_A_DAY = 86_400


class Parameters(BaseModel):
    """Base model of parameters: validated before they are stored, and when a process starts."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    symbols: Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=50)]
    bar_seconds: Annotated[int, Field(ge=1, le=_SECONDS_A_DAY, description="Length of a bar in seconds")] = 60
    product: Product = Product.INTRADAY
    algo_id: Annotated[
        str | None,
        Field(
            max_length=64, pattern=r"^[A-Za-z0-9_-]+$", description="The exchange's id of the registered algo"
        ),
    ] = None
    memory_mb: Annotated[
        int, Field(ge=128, le=16_384, description="Memory limit of the strategy's process, in MB")
    ] = 512
