from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Any

import pytest

from algosat.domain.market_phases import Phase, read, takes
from algosat.domain.orders import OrderType, Validity


@pytest.mark.parametrize(
    ("phase", "order_type", "validity", "taken"),
    [
        (Phase.CONTINUOUS, OrderType.STOP_LIMIT, Validity.IOC, True),
        (Phase.AUCTION, OrderType.MARKET, Validity.DAY, True),
        (Phase.AUCTION, OrderType.STOP, Validity.DAY, False),
        (Phase.AUCTION, OrderType.LIMIT, Validity.IOC, False),
        (Phase.AUCTION_LIMIT, OrderType.MARKET, Validity.DAY, False),
        (Phase.PRE_OPEN_LIMIT, OrderType.LIMIT, Validity.DAY, True),
        (Phase.POST_CLOSE, OrderType.LIMIT, Validity.DAY, False),
        (Phase.AUCTION_MATCH, OrderType.LIMIT, Validity.DAY, False),
        (Phase.CLOSED, OrderType.LIMIT, Validity.DAY, False),
    ],
)
def test_phase_accepts_only_its_order_types(
    phase: Phase, order_type: OrderType, validity: Validity, taken: bool
) -> None:
    assert takes(phase, order_type, validity) is taken


def test_unlisted_order_type_is_accepted_in_no_phase() -> None:
    class Later(StrEnum):
        TRAILING_STOP = "trailing_stop"

    unnamed: Any = Later.TRAILING_STOP
    assert [phase for phase in Phase if takes(phase, unnamed, Validity.DAY)] == []


def test_overlapping_windows_are_refused() -> None:
    piece = {"phase": "continuous", "from": "09:00", "until": "10:00"}
    with pytest.raises(ValueError, match="overlap"):
        read(
            {
                "covers": {"from": date(2026, 1, 1), "valid_through": date(2026, 12, 31)},
                "pieces": {"one": [piece], "two": [piece]},
                "segments": {"equity": [{"from": date(2026, 1, 1), "day": ["one", "two"]}]},
                "holidays": {},
                "special_sessions": {},
            }
        )
