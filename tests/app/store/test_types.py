from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.sqlite import dialect

from algosat.store.types import SCALE, Json, Scaled, UtcTime

SQLITE = dialect()
LARGEST = Decimal(2**63 - 1) / SCALE


@given(st.decimals(min_value=-LARGEST, max_value=LARGEST, places=8))
def test_decimal_of_eight_places_is_read_back_equal(value: Decimal) -> None:
    assert Scaled().result_processor(SQLITE, None)(Scaled().bind_processor(SQLITE)(value)) == value


def test_ninth_decimal_place_is_refused() -> None:
    with pytest.raises(ValueError, match="eight decimal places"):
        Scaled().bind_processor(SQLITE)(Decimal("0.000000001"))


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_time_is_read_back_to_the_microsecond(moment: datetime) -> None:
    assert UtcTime().result_processor(SQLITE, None)(UtcTime().bind_processor(SQLITE)(moment)) == moment


def test_json_text_does_not_depend_on_the_order_of_keys() -> None:
    assert Json().process_bind_param({"b": 1, "a": 2}, SQLITE) == Json().process_bind_param(
        {"a": 2, "b": 1}, SQLITE
    )
