from __future__ import annotations

from decimal import Decimal

import orjson
import pytest
from pydantic import ValidationError

from algosat.api.amounts import Amount
from algosat.api.request_models import Input


class Priced(Input):
    price: Amount


def read(raw: str) -> Decimal:
    return Priced.model_validate_json(f'{{"price": {raw}}}', strict=True).price


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ('"100.05"', "100.05"),
        ("100.05", "100.05"),
        ("100", "100"),
        ("1e2", "100"),
        ('"0.00000001"', "0.00000001"),
        ('"9999999999.99999999"', "9999999999.99999999"),
        ("0.1", "0.1"),
        ("123456789012.5e-3", "123456789.0125"),
    ],
)
def test_amount_is_read_exactly_as_written(raw: str, value: str) -> None:
    assert read(raw) == Decimal(value)


@pytest.mark.parametrize(
    "raw",
    ["0", "-1", '"-1"', '"0"', '""', '" 1"', '"1e3"', '"1_000"', '"+5"', '"１２"', '"NaN"', '"Infinity"',
     "NaN", "1e400", "true", "null", "[]", "{}", '"0.000000001"', "10000000000", '"10000000000"',
     "1" + "0" * 400, "1234567.890123456789", '"1\\u0000"'],
)  # fmt: skip
def test_invalid_amount_is_refused(raw: str) -> None:
    with pytest.raises(ValidationError):
        read(raw)


@pytest.mark.parametrize("raw", ["-1", '"-1"', '"-0.5"', "-0.5", "0", '"0"'])
def test_amount_that_is_not_positive_is_named_as_such(raw: str) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        read(raw)


@pytest.mark.parametrize("raw", ['"-1e3"', '"--1"', '"-"', '"-1.000000001"'])
def test_malformed_negative_number_is_named_as_malformed(raw: str) -> None:
    with pytest.raises(ValidationError, match="plain decimal number"):
        read(raw)


def test_refused_amount_is_valid_json() -> None:
    with pytest.raises(ValidationError) as caught:
        read("-1")
    assert orjson.dumps(caught.value.errors(include_context=False))
