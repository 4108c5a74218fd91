"""What a back-test's account is held to: a server's limits from its file, or the market's rules only."""

from __future__ import annotations

from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from algosat.config.settings import RiskSettings
from algosat.domain.risk import Limits
from algosat.errors import InvalidRequest

_ANY: Final = Decimal(10) ** 10
UNLIMITED: Final = Limits(
    price_band_percent=_ANY,
    max_order_quantity=_ANY,
    max_order_value=_ANY,
    max_position_value=_ANY,
    max_gross_exposure=_ANY,
    max_open_orders=10**9,
    max_orders_per_second=10**9,
    max_orders_per_day=10**9,
    max_daily_loss=_ANY,
    duplicate_window_seconds=0,
    stale_quote_seconds=1e9,
    allowed_symbols=(),
)
# A recording's clock stands still between its lines: these two would judge the recording, not the strategy.
_NOT_FOR_RECORDINGS: Final = ("stale_quote_seconds", "duplicate_window_seconds")


def read(path: Path) -> Limits:
    """Limits from algosat.yaml, or from a file with only its `risk` section. Raises InvalidRequest."""
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}") from error
    values = content.get("risk", content) if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise InvalidRequest(f"{path} has no `risk` section")
    return _over(UNLIMITED, values, path)


def _over(limits: Limits, values: dict[str, Any], path: Path) -> Limits:
    try:
        checked = RiskSettings.model_validate({**asdict(limits), **values})
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise InvalidRequest(f"{path}: {found}") from error
    kept = {name: getattr(limits, name) for name in _NOT_FOR_RECORDINGS}
    return replace(Limits(**checked.model_dump()), **kept)
