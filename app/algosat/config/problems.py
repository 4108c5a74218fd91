"""Problems of a configuration. Each names its file and key, never a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from algosat.errors import ConfigurationError


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
        return "is not a known setting" + _suggestion(model, location)
    return message[:1].lower() + message[1:].removesuffix(".")


def _suggestion(model: type[BaseModel], location: Sequence[int | str]) -> str:
    known: type[BaseModel] | None = model
    for part in location[:-1]:
        # A part that is no field is the key or the number of an item: the items' model is known already.
        if known is not None and part in known.model_fields:
            known = _model_in(known.model_fields[str(part)].annotation)
    names = [] if known is None else [each.alias or name for name, each in known.model_fields.items()]
    close = get_close_matches(str(location[-1]), names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a type is, or is made of: an optional one, or that of the items."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
