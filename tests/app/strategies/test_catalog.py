from __future__ import annotations

from typing import Any

import pytest

from algosat.errors import InvalidBody
from algosat.strategies.catalog import CLASSES, class_named, parameters_of

CROSSOVER = CLASSES["moving-average-crossover"]
GOOD: dict[str, Any] = {"symbols": ["ALPHA-EQ"], "quantity": "10"}


def test_unknown_class_is_refused_with_the_list_of_names() -> None:
    with pytest.raises(InvalidBody, match="moving-average-crossover, opening-range-breakout"):
        class_named("martingale")


def test_parameters_are_completed_with_their_defaults_and_survive_json() -> None:
    parameters = parameters_of(CROSSOVER, GOOD)
    assert parameters.bar_seconds == 60
    assert parameters_of(CROSSOVER, parameters.model_dump(mode="json")) == parameters


@pytest.mark.parametrize(
    ("difference", "field"),
    [
        ({"symbols": []}, "parameters.symbols"),
        ({"symbols": ["../etc"]}, "parameters.symbols.0"),
        ({"quantity": "0"}, "parameters.quantity"),
        ({"quantity": "Infinity"}, "parameters.quantity"),
        ({"bar_seconds": 0}, "parameters.bar_seconds"),
        ({"leverage": 10}, "parameters.leverage"),
        ({"fast": 30, "slow": 10}, "parameters"),
        ({"short": True, "product": "delivery"}, "parameters"),
        ({"memory_mb": 1}, "parameters.memory_mb"),
    ],
)
def test_invalid_parameter_is_refused_by_name(difference: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        parameters_of(CROSSOVER, {**GOOD, **difference})
    assert refused.value.errors[0]["field"] == field


def test_time_of_day_is_exchange_time_without_a_zone() -> None:
    with pytest.raises(InvalidBody, match="without a time zone"):
        parameters_of(CLASSES["opening-range-breakout"], {**GOOD, "flat_by": "15:00:00Z"})


def test_every_class_has_a_schema_of_its_parameters() -> None:
    for strategy in CLASSES.values():
        schema = strategy.parameters_model.model_json_schema()
        assert {"symbols", "bar_seconds", "quantity"} <= set(schema["properties"])
