"""YAML text read safely, and passed to pydantic as JSON."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

import orjson
import yaml

# As JSON, where pydantic's strict mode accepts lists for tuples.
_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME


class StrictLoader(yaml.CSafeLoader):
    """Rejects duplicate keys, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value} is written twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parsed(text: str) -> Any:
    """Return what the text says. Raises yaml.YAMLError."""
    try:
        return yaml.load(text, Loader=StrictLoader)  # noqa: S506 - a safe loader  # nosec B506
    except ValueError as error:  # a date such as 2027-13-01, which the library does not translate
        raise yaml.YAMLError(f"contains a date that does not exist: {error}") from error


def syntax(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error) or "is not YAML"
    return f"line {mark.line + 1}: {what}" if mark else what


def as_json(data: Any) -> bytes:
    """Return parsed YAML as JSON. Raises orjson.JSONEncodeError for a value that JSON cannot have."""
    return orjson.dumps(data, default=_plain, option=_OPTIONS)


def _plain(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not supported")
