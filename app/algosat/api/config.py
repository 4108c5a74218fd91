"""Routes to read the settings, and to change those that may be changed at run time."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue, ValidationError

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.config.overrides import KEYS, Key
from algosat.config.summary import plain, summarise
from algosat.errors import ChangedElsewhere, InvalidBody, OwnedByInventory
from algosat.store import overrides
from algosat.validation_errors import findings, suggestion

routes = Routes("config", "Read the settings, and change those that may be changed at run time.")


class SettingView(Output):
    """One setting."""

    value: Annotated[Any, Field(examples=[2])]
    """Value in force; secrets are masked."""
    origin: Literal["file", "override"]
    """Whether the value comes from the configuration file or was changed at run time."""
    changeable: Annotated[bool, Field(examples=[True])]
    """Whether `PUT /config/update` may change the setting."""
    inventory_variable: Annotated[str, Field(examples=["algosat_api_order_wait_seconds"])]
    """Ansible variable of the setting."""


_SETTING: Final = {
    "value": 2,
    "origin": "file",
    "changeable": True,
    "inventory_variable": "algosat_api_order_wait_seconds",
}


class ConfigSummary(Output):
    """Every setting."""

    environment: Annotated[str, Field(examples=["production"])]
    """Environment of the inventory."""
    settings: Annotated[
        dict[str, dict[str, SettingView]], Field(examples=[{"api": {"order_wait_seconds": _SETTING}}])
    ]
    """Settings by section and key."""


class ConfigUpdate(Input):
    """New values for settings of one section."""

    section: Annotated[str, Field(max_length=64, examples=["api"])]
    """Section of the settings."""
    updates: Annotated[
        dict[str, JsonValue],
        Field(min_length=1, max_length=50, examples=[{"order_wait_seconds": 5}]),
    ]
    """New value for each key; null restores the value of the file."""


class ConfigSection(Output):
    """The settings of one section."""

    section: Annotated[str, Field(examples=["api"])]
    """Section of the settings."""
    settings: Annotated[dict[str, SettingView], Field(examples=[{"order_wait_seconds": _SETTING}])]
    """Settings by key."""


@routes.get("/config/summary", access=Access.VIEWER, answer=ConfigSummary)
def summary() -> dict[str, Any]:
    """Show every setting with its origin and inventory variable; secrets are masked"""
    live = services().live
    return {"environment": live.current.algosat.environment, "settings": _summary()}


@routes.put(
    "/config/update",
    access=Access.ADMIN,
    body=ConfigUpdate,
    answer=ConfigSection,
    errors=(ChangedElsewhere, OwnedByInventory, InvalidBody),
)
def update(body: ConfigUpdate) -> dict[str, Any]:
    """Change settings at run time, all of them or none"""
    keys = {name: _changeable(body.section, name) for name in body.updates}
    wrong = [finding for name, key in keys.items() for finding in _problems(key, body.updates[name])]
    if wrong:
        raise InvalidBody("; ".join(f"{each['field']}: {each['detail']}" for each in wrong), errors=wrong)
    live, now, why = services().live, services().clock(), cause()
    before = {name: plain(key.value_in(live.current)) for name, key in keys.items()}
    services().writer.run(
        lambda connection: overrides.put(connection, body.section, body.updates, before, now, why)
    )
    live.refresh_now()
    return {"section": body.section, "settings": _summary()[body.section]}


def _changeable(section: str, name: str) -> Key:
    key = KEYS.get((section, name))
    if key is None:
        hint = _suggested(section, name)
        detail = f"is not a known setting{hint}"
        raise InvalidBody(
            f"there is no setting {section}.{name}{hint}",
            errors=[{"field": f"updates.{name}", "detail": detail, "code": "unknown_setting"}],
        )
    if section == "risk":
        raise ChangedElsewhere(f"{section}.{name} is changed by PUT /risk/limits")
    if not key.is_live:
        raise OwnedByInventory(
            f"{section}.{name} belongs to the inventory: change {key.inventory_variable} there and "
            "run the playbook"
        )
    return key


def _suggested(section: str, name: str) -> str:
    """Return a hint with the closest setting, or with the closest section if that is unknown."""
    sections = {known for known, _ in KEYS}
    if section not in sections:
        return suggestion(section, sections)
    return suggestion(name, [known for of, known in KEYS if of == section])


def _problems(key: Key, value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    try:
        key.parse(value)
    except ValidationError as error:
        return findings(error, key.model)
    except TypeError:  # an integer too large for the type
        return [{"field": key.name, "detail": "is out of range", "code": "out_of_range"}]
    return []


def _summary() -> dict[str, dict[str, Any]]:
    live = services().live
    settings = live.current
    return summarise(settings, {(each.section, each.key) for each in live.overrides})
