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
    assert findings(error_of(number=3)) == expected


def test_field_is_named_below_its_parents() -> None:
    assert findings(error_of(number=3), "limits")[0]["field"] == "limits.number"


def test_values_are_not_repeated() -> None:
    assert "swordfish" not in str(findings(error_of(number="swordfish")))


def test_sentence_lists_five_findings_at_most() -> None:
    many = {f"field{number}": 1 for number in range(9)}
    assert sentence(findings(error_of(number=2, **many))).count(";") == 4


def test_unknown_name_is_shortened_and_escaped() -> None:
    assert shown("é" + "x" * 100) == "\\xe9" + "x" * 63
