from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from algosat.validation_errors import findings, sentence, shown


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int

    @field_validator("number")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("is odd")
        return value


def error_of(**values: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(values)
    return caught.value


def test_finding_has_field_detail_and_code() -> None:
    expected = [{"field": "number", "detail": "is odd", "code": "value_error"}]
    assert findings(error_of(number=3), Model) == expected


def test_field_is_named_below_its_parents() -> None:
    assert findings(error_of(number=3), Model, "limits")[0]["field"] == "limits.number"


def test_values_are_not_repeated() -> None:
    assert "swordfish" not in str(findings(error_of(number="swordfish"), Model))


def test_sentence_lists_five_findings_at_most() -> None:
    many = {f"field{number}": 1 for number in range(9)}
    assert sentence(findings(error_of(number=2, **many), Model)).count(";") == 4


@pytest.mark.parametrize(
    ("name", "hint"),
    [("numbr", "; did you mean number?"), ("colour", ""), ("number" * 20, ""), ("x" * 1_000_000, "")],
)
def test_misspelt_field_gets_its_closest_name_as_a_hint(name: str, hint: str) -> None:
    (found,) = findings(error_of(number=2, **{name: 1}), Model)
    assert found["detail"] == f"Extra inputs are not permitted{hint}"


def test_misspelt_field_of_an_item_gets_the_closest_name_of_the_item() -> None:
    class Outer(BaseModel):
        items: list[Model] | None = None

    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"items": [{"number": 2, "numbre": 1}]})
    (found,) = findings(caught.value, Outer)
    assert (found["field"], found["detail"].partition("; ")[2]) == ("items.0.numbre", "did you mean number?")


def test_unknown_name_is_shortened_and_escaped() -> None:
    assert shown("é" + "x" * 100) == "\\xe9" + "x" * 63
