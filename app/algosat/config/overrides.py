"""Overrides: settings changed at run time.

Keys marked `LIVE` in settings.py can be changed. The store keeps a change as an override of the value in the
files, which only Ansible writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final

import orjson
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from algosat.config.settings import LIVE, AlgosatFile, Bounds, SecurityFile, Settings

_log = structlog.get_logger(__name__)

_ROOTS: Final[dict[str, type[BaseModel]]] = {"algosat": AlgosatFile, "security": SecurityFile}
_RENAMED: Final = {("security", "monitoring"): "security_monitoring"}  # both files have a `monitoring`


@dataclass(frozen=True, slots=True)
class Key:
    """One setting, with the section name that the API and the inventory use."""

    section: str  # empty for the keys at the top of algosat.yaml
    name: str
    path: tuple[str, ...]  # attributes from Settings down to the value
    field: FieldInfo

    @property
    def is_live(self) -> bool:
        return any(mark is LIVE for mark in self.field.metadata)

    @property
    def inventory_variable(self) -> str:
        return "_".join(part for part in ("algosat", self.section, self.name) if part)

    @property
    def model(self) -> type[BaseModel]:
        """Return the model that has this setting only."""
        return _model_of(self.section, self.name)

    def parse(self, value: Any) -> Any:
        """Return the value as its type, as strictly as in the files. Raises pydantic.ValidationError."""
        parsed = self.model.model_validate_json(orjson.dumps({self.name: value}), strict=True)
        return getattr(parsed, self.name)

    def value_in(self, settings: Settings) -> Any:
        value: Any = settings
        for name in self.path:
            value = getattr(value, name)
        return value


@dataclass(frozen=True, slots=True)
class Override:
    section: str
    key: str
    value: Any  # a JSON value


def applied(settings: Settings, overrides: Iterable[Override]) -> Settings:
    """Return the settings with the overrides applied.

    An override that an upgrade made invalid is skipped and logged, so that the server still starts.
    """
    for override in overrides:
        key = KEYS.get((override.section, override.key))
        if key is None or not key.is_live:
            _log.warning("override_ignored", section=override.section, key=override.key, reason="unknown")
            continue
        try:
            settings = with_value(settings, key.path, key.parse(override.value))
        except ValidationError:
            _log.warning("override_ignored", section=override.section, key=override.key, reason="invalid")
    return settings


def with_value(model: Any, path: tuple[str, ...], value: Any) -> Any:
    """Return a copy of the settings with one value replaced."""
    name, *rest = path
    inner = with_value(getattr(model, name), tuple(rest), value) if rest else value
    return model.model_copy(update={name: inner})


@cache
def _model_of(section: str, name: str) -> type[BaseModel]:
    field = KEYS[section, name].field
    kind: Any = field.annotation
    for bounds in (each for each in field.metadata if isinstance(each, Bounds)):
        kind = Annotated[kind, Field(ge=bounds.low, le=bounds.high)]
    return create_model("Update", __config__=ConfigDict(extra="forbid"), **{name: (kind, field)})  # type: ignore[call-overload,no-any-return]


def _keys() -> Iterator[Key]:
    for root, model in _ROOTS.items():
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                section = _RENAMED.get((root, name), name)
                for inner_name, inner in field.annotation.model_fields.items():
                    yield Key(section, inner_name, (root, name, inner_name), inner)
            else:
                yield Key("", name, (root, name), field)


KEYS: Final[Mapping[tuple[str, str], Key]] = {(key.section, key.name): key for key in _keys()}
