"""Risk limits of a back-test: those of a server's file, or none besides the market's rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from algosat.config.settings import RiskSettings, checked_limits
from algosat.domain.risk.limits import Limits
from algosat.errors import InvalidRequest
from algosat.validation_errors import findings, sentence

# The largest value that the settings allow, by type. A window of 0 seconds is no window.
_LARGEST: Final[Mapping[str, Any]] = {
    "Decimal": Decimal(10) ** 10,
    "int": 10**9,
    "bool": True,
    "float": 1e9,
    "tuple[str, ...]": (),
}
UNLIMITED: Final = checked_limits(
    {
        limit.name: 0 if limit.metadata["zero_allowed"] else _LARGEST[str(limit.type)]
        for limit in fields(Limits)
    }
)
# Time stands still between two lines of a recording: these limits would measure the recording only.
_NOT_FOR_RECORDINGS: Final = ("stale_quote_seconds", "duplicate_window_seconds")


def read(path: Path) -> Limits:
    """Read limits from algosat.yaml, or from a file with its `risk` section only. Raises InvalidRequest."""
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
        checked = checked_limits({**asdict(limits), **values})
    except ValidationError as error:
        raise InvalidRequest(f"{path}: {sentence(findings(error, RiskSettings))}") from error
    kept = {name: getattr(limits, name) for name in _NOT_FOR_RECORDINGS}
    return replace(checked, **kept)
