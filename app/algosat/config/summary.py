"""A readable summary of the settings: each value with its origin; secrets are masked by their type."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from algosat.config.overrides import KEYS
from algosat.config.settings import Settings

MASK: Final = "**********"


def summarise(settings: Settings, overridden: Collection[tuple[str, str]] = ()) -> dict[str, dict[str, Any]]:
    """Return, by section and key: value, origin (`file` or `override`), whether the key can be changed at run
    time, and the inventory variable that owns it."""
    sections: dict[str, dict[str, Any]] = {}
    for (section, name), key in KEYS.items():
        sections.setdefault(section or "general", {})[name] = {
            "value": plain(key.value_in(settings)),
            "origin": "override" if (section, name) in overridden else "file",
            "changeable": key.is_live,
            "inventory_variable": key.inventory_variable,
        }
    return sections


def plain(value: Any) -> Any:
    """Return the value as a JSON and YAML type; a secret becomes the mask."""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Decimal | Path | IPv4Address | IPv6Address):
        return str(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value
