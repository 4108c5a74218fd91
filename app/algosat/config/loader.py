"""Load the two YAML files into `Settings`, or raise one error that names every problem of both.

Types are strict: Ansible writes every scalar as JSON, so a number in quotes is an error in a template.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
import yaml
from pydantic import BaseModel, ValidationError

from algosat.config import rules
from algosat.config.problems import Problem, as_error, from_validation
from algosat.config.settings import AlgosatFile, SecurityFile, Settings

ALGOSAT_FILE: Final = "algosat.yaml"
SECURITY_FILE: Final = "security.yaml"

Model = TypeVar("Model", bound=BaseModel)


def load(directory: Path) -> Settings:
    """Return the settings of a configuration directory.

    Raises ConfigurationError, which names every problem of both files.
    """
    problems: list[Problem] = []
    algosat_data = _read(directory / ALGOSAT_FILE, problems)
    security_data = _read(directory / SECURITY_FILE, problems)
    algosat = _parse(ALGOSAT_FILE, AlgosatFile, algosat_data, problems)
    security = _parse(SECURITY_FILE, SecurityFile, security_data, problems)

    environment = str((algosat_data or {}).get("environment"))
    if algosat is not None:
        problems += rules.of_algosat(ALGOSAT_FILE, algosat)
    if security is not None:
        problems += rules.of_security(SECURITY_FILE, security, environment)
    for name in (ALGOSAT_FILE, SECURITY_FILE):
        problems += rules.of_file(directory / name, environment)

    if problems or algosat is None or security is None:
        raise as_error(problems)
    return Settings(algosat=algosat, security=security)


class _Loader(yaml.CSafeLoader):
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


def _read(path: Path, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        problems.append(Problem(path.name, "", f"there is no such file in {path.parent}"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        problems.append(
            Problem(path.name, "", f"cannot be read: {reason}; run as root or as the service's user")
        )
    except UnicodeDecodeError:
        problems.append(Problem(path.name, "", "is not UTF-8 text"))
    except yaml.YAMLError as error:
        problems.append(Problem(path.name, "", _syntax(error)))
    else:
        if isinstance(data, dict):
            return data
        problems.append(Problem(path.name, "", "is not a mapping of sections"))
    return None


def _syntax(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "is not YAML"
    return f"line {mark.line + 1}: {what}" if mark else str(what)


def _parse(
    file: str, model: type[Model], data: dict[str, Any] | None, problems: list[Problem]
) -> Model | None:
    if data is None:
        return None
    try:
        # As JSON, where pydantic's strict mode accepts lists for tuples.
        return model.model_validate_json(orjson.dumps(data, default=_plain, option=_OPTIONS), strict=True)
    except ValidationError as error:
        problems += from_validation(file, model, error)
    except orjson.JSONEncodeError as error:
        problems.append(Problem(file, "", f"holds a value that no setting can have: {error}"))
    return None


_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME


def _plain(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not supported")
