from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.instruments import Instrument
from algosat.domain.orders import Status
from algosat.store import queries
from algosat.trading import alerts
from algosat.trading.desk import Desk
from algosat.trading.instrument_list import InstrumentSwap
from tests.app.desks import (
    FUTURE,
    SECOND,
    SHARE,
    buy,
    hold,
    instruments,
    replace_instruments,
)


def many(number: int) -> list[Instrument]:
    return [replace(instruments()[0], symbol=f"MANY-{each:05d}") for each in range(number)]


def listed(desk: Desk) -> dict[str, Instrument]:
    with desk.database.read() as connection:
        return {each.symbol: each for each in queries.all_instruments(connection, desk.venue)}


def alert_of(desk: Desk, kind: AlertKind) -> str | None:
    with desk.database.read() as connection:
        return alerts.open_detail(connection, desk, kind, desk.venue)


def test_stored_instruments_become_those_that_are_listed(desk: Desk) -> None:
    first, second, third = instruments()
    wanted = [replace(first, lot=Decimal(5)), third, replace(second, symbol="NEW-EQ")]
    replace_instruments(desk, wanted)
    assert listed(desk) == {each.symbol: each for each in wanted}


def test_small_list_is_stored_in_one_piece(desk: Desk) -> None:
    assert list(InstrumentSwap(desk, instruments()[:2]).pieces()) == []
    assert listed(desk).keys() == {SHARE, SECOND}


def test_orders_are_placed_between_the_pieces_of_a_long_list(desk: Desk) -> None:
    long = [*instruments(), *many(600)]
    statuses = [buy(desk).status for _ in InstrumentSwap(desk, long).pieces()]
    assert set(statuses) == {Status.CREATED}
    assert len(statuses) >= 2
    assert listed(desk) == {each.symbol: each for each in long}


@pytest.mark.parametrize("pieces", range(5))
def test_swap_that_was_interrupted_is_completed_by_the_next(desk: Desk, pieces: int) -> None:
    long = [*instruments(), *many(600)]
    swap = InstrumentSwap(desk, long).pieces()
    for _ in range(pieces):
        next(swap, None)
    changed = [replace(each, lot=Decimal(3)) for each in long[100:]]
    replace_instruments(desk, changed)
    assert listed(desk) == {each.symbol: each for each in changed}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("tick", Decimal("1e-10"), "more than eight decimal places"),
        ("tick", Decimal(0), "not positive"),
        ("lot", Decimal("NaN"), "not a number"),
        ("freeze_quantity", Decimal("1e12"), "not a number that can be stored"),
        ("segment", "x" * 33, "longer than 32 characters"),
    ],
)
def test_row_that_cannot_be_used_is_skipped_with_an_alert(
    desk: Desk, field: str, value: object, reason: str
) -> None:
    bad = replace(instruments()[0], symbol="BAD", **{field: value})  # type: ignore[arg-type]
    replace_instruments(desk, [*instruments(), bad])
    assert listed(desk).keys() == {SHARE, SECOND, FUTURE}
    detail = alert_of(desk, AlertKind.INSTRUMENTS_SKIPPED)
    assert detail is not None
    assert reason in detail
    assert "BAD" in detail
    replace_instruments(desk, instruments())
    assert alert_of(desk, AlertKind.INSTRUMENTS_SKIPPED) is None


def test_bad_row_of_a_listed_instrument_leaves_its_old_one(desk: Desk) -> None:
    first, *others = instruments()
    replace_instruments(desk, [replace(first, tick=Decimal("1e-10")), *others])
    assert listed(desk)[SHARE] == first


@pytest.mark.parametrize("left", [0, 99])
def test_list_of_less_than_half_removes_nothing(desk: Desk, left: int) -> None:
    replace_instruments(desk, many(300))
    replace_instruments(desk, many(left))
    assert len(listed(desk)) == 300
    assert alert_of(desk, AlertKind.INSTRUMENTS_MISSING) is not None
    replace_instruments(desk, many(290))
    assert len(listed(desk)) == 290
    assert alert_of(desk, AlertKind.INSTRUMENTS_MISSING) is None


def test_instrument_held_by_another_account_of_the_venue_is_kept(desk: Desk) -> None:
    hold(desk, "10")
    other = replace(desk, account="second")
    replace_instruments(other, instruments()[1:])
    with desk.database.read() as connection:
        assert queries.instrument(connection, desk.venue, SHARE) == instruments()[0]
    assert SHARE not in listed(desk)
