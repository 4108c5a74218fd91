"""The catalogue: the strategy classes of this release, by name. CONTRIBUTING.md says how to add one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from algosat.errors import InvalidBody
from algosat.strategies.base import Strategy
from algosat.strategies.examples.moving_average_crossover import MovingAverageCrossover
from algosat.strategies.examples.opening_range_breakout import OpeningRangeBreakout
from algosat.strategies.parameters import Parameters
from algosat.validation_errors import findings, sentence

CLASSES: Final[Mapping[str, type[Strategy[Any]]]] = {
    "moving-average-crossover": MovingAverageCrossover,
    "opening-range-breakout": OpeningRangeBreakout,
}


def class_named(name: str) -> type[Strategy[Any]]:
    """Return a class of the catalogue. Raises InvalidBody, which lists the names."""
    if name not in CLASSES:
        raise InvalidBody(f"there is no strategy class {name!r}; there are {', '.join(CLASSES)}")
    return CLASSES[name]


def parameters_of(strategy: type[Strategy[Any]], values: Mapping[str, Any]) -> Parameters:
    """Validate parameters given as JSON data, and add the defaults. Raises InvalidBody with every error."""
    try:
        return strategy.parameters_model.model_validate(values)
    except ValidationError as error:
        found = findings(error, strategy.parameters_model, "parameters")
        raise InvalidBody(sentence(found), errors=found) from None
