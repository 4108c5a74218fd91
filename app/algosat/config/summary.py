"""The settings for people to read: every value with its origin, every secret masked by its type."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from algosat.config.overrides import KEYS
from algosat.config.settings import Settings

MASK: Final = "**********"


def summarise(settings: Settings, overridden: Collection[tuple[str, str]] = ()) -> dict[str, dict[str, Any]]:
    """Section → key → value, origin (`file` or `override`), whether it is changeable at run time, and
    the inventory variable that owns it."""
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
    """The value as JSON and YAML know it; a secret becomes the mask."""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, Decimal | Path):
        return str(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value
