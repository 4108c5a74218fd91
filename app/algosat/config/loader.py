"""Load the two YAML files into `Settings`, or raise one error that names every problem of both.

Types are strict: Ansible writes every scalar as JSON, so a number in quotes is an error in a template.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
import yaml
from pydantic import BaseModel, ValidationError

from algosat.config import rules, yaml_text
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


def _read(path: Path, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        data = yaml_text.parsed(path.read_text(encoding="utf-8"))
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
        problems.append(Problem(path.name, "", yaml_text.syntax(error)))
    else:
        if isinstance(data, dict):
            return data
        problems.append(Problem(path.name, "", "is not a mapping of sections"))
    return None


def _parse(
    file: str, model: type[Model], data: dict[str, Any] | None, problems: list[Problem]
) -> Model | None:
    if data is None:
        return None
    try:
        return model.model_validate_json(yaml_text.as_json(data), strict=True)
    except ValidationError as error:
        problems += from_validation(file, model, error)
    except orjson.JSONEncodeError as error:
        problems.append(Problem(file, "", f"holds a value that no setting can have: {error}"))
    return None
