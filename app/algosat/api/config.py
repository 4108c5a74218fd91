"""The settings in force, and changing those that may be changed at run time."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.request_models import Input, findings
from algosat.api.routes import Routes
from algosat.config.overrides import KEYS, Key
from algosat.config.summary import plain, summarise
from algosat.errors import Conflict, InvalidBody
from algosat.store import overrides

routes = Routes("config")


class SettingView(TypedDict):
    value: Any
    origin: Literal["file", "override"]
    changeable: bool
    inventory_variable: str


class Summary(TypedDict):
    environment: str
    settings: dict[str, dict[str, SettingView]]


class Update(Input):
    section: Annotated[str, Field(max_length=64)]
    updates: Annotated[
        dict[str, JsonValue],
        Field(min_length=1, max_length=50, description="New values; null goes back to what the file says."),
    ]


class UpdateAnswer(TypedDict):
    section: str
    settings: dict[str, SettingView]


@routes.get("/config/summary", access=Access.VIEWER, answer=Summary)
def summary() -> dict[str, Any]:
    """Every setting with its origin and owner; secrets are masked"""
    live = services().live
    return {"environment": live.current.algosat.environment, "settings": _summary()}


@routes.put(
    "/config/update", access=Access.ADMIN, body=Update, answer=UpdateAnswer, errors=(Conflict, InvalidBody)
)
def update(body: Update) -> dict[str, Any]:
    """Change settings that may be changed at run time, all of them or none"""
    keys = {name: _changeable(body.section, name) for name in body.updates}
    wrong = [finding for name, key in keys.items() for finding in _problems(key, body.updates[name])]
    if wrong:
        raise InvalidBody("; ".join(f"{each['field']}: {each['detail']}" for each in wrong), errors=wrong)
    live, now, why = services().live, services().clock(), cause()
    before = {name: plain(key.value_in(live.current)) for name, key in keys.items()}
    services().writer.run(
        lambda connection: overrides.put(connection, body.section, body.updates, before, now, why)
    )
    live.look_again()
    return {"section": body.section, "settings": _summary()[body.section]}


def _changeable(section: str, name: str) -> Key:
    key = KEYS.get((section, name))
    if key is None:
        field = f"updates.{name}"
        raise InvalidBody(
            f"there is no setting {section}.{name}",
            errors=[{"field": field, "detail": "is not a known setting", "code": "unknown_setting"}],
        )
    if section == "risk":
        raise Conflict(f"{section}.{name} is changed by PUT /risk/limits", code="changed_elsewhere")
    if not key.is_live:
        raise Conflict(
            f"{section}.{name} belongs to the inventory: change {key.inventory_variable} there and "
            "run the playbook",
            code="owned_by_inventory",
        )
    return key


def _problems(key: Key, value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    try:
        key.parse(value)
    except ValidationError as error:
        return findings(error)
    except TypeError:  # a number that no machine word holds
        return [{"field": key.name, "detail": "is out of every range", "code": "out_of_range"}]
    return []


def _summary() -> dict[str, dict[str, Any]]:
    live = services().live
    settings = live.current
    return summarise(settings, {(each.section, each.key) for each in live.overrides})
