"""The strategy classes this release knows. A new one is a file and a line here (CONTRIBUTING.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from algosat.errors import InvalidBody
from algosat.strategies.base import Strategy
from algosat.strategies.examples.moving_average_crossover import MovingAverageCrossover
from algosat.strategies.examples.opening_range_breakout import OpeningRangeBreakout
from algosat.strategies.parameters import Parameters

CLASSES: Final[Mapping[str, type[Strategy[Any]]]] = {
    "moving-average-crossover": MovingAverageCrossover,
    "opening-range-breakout": OpeningRangeBreakout,
}


def class_named(name: str) -> type[Strategy[Any]]:
    """Raises InvalidBody, naming those there are."""
    if name not in CLASSES:
        raise InvalidBody(f"there is no strategy class {name!r}; there are {', '.join(CLASSES)}")
    return CLASSES[name]


def parameters_of(strategy: type[Strategy[Any]], values: Mapping[str, Any]) -> Parameters:
    """Parameters from JSON, completed with their defaults. Raises InvalidBody with every finding."""
    try:
        return strategy.parameters_model.model_validate(values)
    except ValidationError as error:
        found = [
            {
                "field": ".".join(("parameters", *map(str, each["loc"]))),
                "detail": each["msg"].removeprefix("Value error, "),
                "code": each["type"],
            }
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        sentence = "; ".join(f"{each['field']}: {each['detail']}" for each in found[:5])
        raise InvalidBody(sentence, errors=found) from None
