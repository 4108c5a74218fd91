"""Problems of a configuration. Each names its file and key, never a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from algosat.errors import ConfigurationError
from algosat.validation_errors import names_beside, suggestion


@dataclass(frozen=True, slots=True)
class Problem:
    file: str
    key: str  # dotted; empty for the whole file
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.text}" if self.key else f"{self.file}: {self.text}"


def as_error(problems: Sequence[Problem]) -> ConfigurationError:
    """Return one error with all problems, one on each line."""
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "\n".join(f"  - {problem}" for problem in problems)
    return ConfigurationError(
        f"{count} in the configuration:\n{lines}",
        errors=[{"file": p.file, "key": p.key, "detail": p.text} for p in problems],
    )


def from_validation(file: str, model: type[BaseModel], error: ValidationError) -> list[Problem]:
    """Return pydantic's errors as problems. The input values are left out: they may be secrets."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [Problem(file, _dotted(e["loc"]), _words(model, e["type"], e["loc"], e["msg"])) for e in found]


def _dotted(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location)


def _words(model: type[BaseModel], kind: str, location: Sequence[int | str], message: str) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not a known setting" + suggestion(str(location[-1]), names_beside(model, location))
    return message[:1].lower() + message[1:].removesuffix(".")
