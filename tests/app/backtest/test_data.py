from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from algosat.backtest import data
from algosat.errors import InvalidRequest
from tests.app.backtest.recordings import bars, ticks

HEAD = "at,symbol,open,high,low,close,volume\n"


def test_length_of_bars_is_found_from_the_recording() -> None:
    assert data.read(bars("100", "100", "100", minutes=5)).interval == timedelta(minutes=5)
    assert data.read(ticks("100", "100")).interval is None


def test_night_between_bars_does_not_count_as_their_length() -> None:
    lines = [*bars("100", "100"), "2026-11-23T09:15:00+05:30,TEST,90,90,90,90,1000\n"]
    assert data.read(lines).interval == timedelta(minutes=1)


def test_daily_bars_begin_at_midnight_whatever_their_time() -> None:
    lines = [HEAD, *(f"2026-11-{day}T09:15:00+05:30,TEST,90,95,85,90,1000\n" for day in (19, 20))]
    recorded = data.read(lines)
    times = [f"{quote.at:%d %H:%M}" for quote in recorded.quotes(seed=1)]
    assert times == [
        "18 18:30",
        "19 00:30",
        "19 06:30",
        "19 12:30",
        "19 18:30",
        "20 00:30",
        "20 06:30",
        "20 12:30",
    ]


def test_lines_listings_and_times_are_known_after_reading() -> None:
    recorded = data.read(bars("100", "100"))
    assert len(list(recorded.quotes(seed=1))) == 8
    assert (recorded.lines, list(recorded.listings)) == (2, ["TEST"])
    assert recorded.first is not None
    assert recorded.last == recorded.first + timedelta(minutes=1)


def test_listed_symbol_has_its_own_lot() -> None:
    recorded = data.read(
        [HEAD, *(f"2026-11-20T09:1{n}:00,NOVA-FUT,1520,1521,1519,1520,5000\n" for n in (5, 6))]
    )
    list(recorded.quotes(seed=1))
    assert recorded.listings["NOVA-FUT"].instrument.lot == 500


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "first line"),
        ([HEAD], "no prices"),
        (bars("100"), "--interval"),
        ([*bars("100"), *bars("100")[1:]], "--interval"),
        ([*bars("100", "100", "100")[:3], "2026-11-20T09:16:30+05:30,TEST,1,1,1,1,1\n"], "begins before"),
        (["at,price\n"], "first line"),
    ],
)
def test_invalid_recording_is_refused(lines: list[str], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        list(data.read(lines, timedelta(minutes=1) if reason == "begins before" else None).quotes(seed=1))


def test_fingerprint_depends_on_the_content(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("abc")
    assert data.fingerprint(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
