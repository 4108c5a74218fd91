"""Every setting of the application against the code that reads it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel

from algosat.config.settings import AccountLimits, Settings
from tools.paths import ROOT

PACKAGE = ROOT / "app" / "algosat"
# Variables that hold a whole section where it is read.
SECTION_VARIABLES = {"account", "algosat", "control", "limits", "rules", "settings", "thresholds", "watch"}
# Settings that no module reads by their name.
EXEMPT = {
    "logging.backup_count": "logrotate's, from the same inventory variable",
    "logging.max_size": "logrotate's, from the same inventory variable",
    "accounts.outbound_address": "for the adapters of real brokers",
}


def settings(model: type[BaseModel], section: str = "") -> Iterator[tuple[str, str]]:
    """The section and the name of every setting."""
    for name, field in model.model_fields.items():
        of_items = next(iter(get_args(field.annotation)), field.annotation)
        if field.annotation is AccountLimits:
            yield section, name
        elif isinstance(of_items, type) and issubclass(of_items, BaseModel):
            yield from settings(of_items, name)
        else:
            yield section, name


def reads() -> set[tuple[str, str]]:
    """Each attribute that the package reads outside of config/, with the name of what it is read from."""
    files = (file for file in PACKAGE.rglob("*.py") if file.parent.name != "config")
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    return {(owner(node.value), node.attr) for node in nodes if isinstance(node, ast.Attribute)}


def owner(value: ast.expr) -> str:
    name = value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""
    return name.lstrip("_")


def test_every_setting_has_a_reader_or_is_exempt() -> None:
    found = reads()
    unread = {
        f"{section}.{name}"
        for section, name in settings(Settings)
        if not any((variable, name) in found for variable in {section, *SECTION_VARIABLES})
    }
    assert unread == EXEMPT.keys()
