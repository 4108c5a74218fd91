from __future__ import annotations

from decimal import Decimal

import pytest

from algosat.domain.decimals import to_text


@pytest.mark.parametrize(
    ("written", "text"),
    [("97.50", "97.5"), ("100", "100"), ("1E+3", "1000"), ("-0.10", "-0.1"), ("0.00", "0")],
)
def test_equal_numbers_have_equal_texts_without_exponent(written: str, text: str) -> None:
    assert to_text(Decimal(written)) == text
