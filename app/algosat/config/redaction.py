"""The configuration without its secrets, as backups hold it, and its completion with those of a server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from algosat.config import yaml_text
from algosat.config.loader import ALGOSAT_FILE, SECURITY_FILE
from algosat.config.problems import Problem, as_error
from algosat.config.settings import Settings
from algosat.config.summary import MASK, plain

_NOTE: Final = "# Without secrets. `algosat config complete` adds those of a server.\n"


def redacted(settings: Settings) -> dict[str, str]:
    """Return the text of both files, with a mask in place of each secret. A secret is known by its type."""
    sections = {ALGOSAT_FILE: settings.algosat, SECURITY_FILE: settings.security}
    return {name: _NOTE + _dumped(plain(each)) for name, each in sections.items()}


def completed(directory: Path, in_force: Path) -> dict[str, str]:
    """Return the text of both files of a directory, with the secrets of the configuration in force.

    Only masked values are replaced: archives of earlier releases contain the secrets themselves.

    Raises:
        ConfigurationError: A file cannot be read, or the configuration in force lacks a secret.
    """
    problems: list[Problem] = []
    texts = {}
    for name in (ALGOSAT_FILE, SECURITY_FILE):
        filler = _Filler(name, problems)
        texts[name] = _dumped(filler.filled(_read(directory / name), _read(in_force / name), ()))
    if problems:
        raise as_error(problems)
    return texts


class _Filler:
    """Replaces masks in the data of a file, and collects those for which there is no secret."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self._file, self._problems = file, problems

    def filled(self, value: Any, secret: Any, place: tuple[str, ...]) -> Any:
        if value == MASK or (isinstance(value, list) and value and set(map(str, value)) == {MASK}):
            if secret is None:
                self._problems.append(Problem(self._file, ".".join(place), "is a secret this server lacks"))
            return secret
        if isinstance(value, dict):
            known = secret if isinstance(secret, Mapping) else {}
            return {key: self.filled(each, known.get(key), (*place, str(key))) for key, each in value.items()}
        return value


def _read(file: Path) -> Any:
    try:
        return yaml_text.parsed(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise as_error([Problem(file.name, "", f"cannot be read in {file.parent}: {error}")]) from error


def _dumped(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
