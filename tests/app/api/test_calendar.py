from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from algosat.domain.market_phases import packaged
from tests.app.client import Client, problem_of

# The API's clock is the real one: a day after both the packaged calendar and today.
END = max(packaged().valid_through, datetime.now(UTC).date()) + timedelta(days=10)
DAY = f"/calendar/days/{END}"
EVENING = {"phase": "continuous", "from": "18:00", "until": "19:00"}
SESSION = {"kind": "special_session", "name": "Muhurat", "windows": [EVENING], "segments": ["equity"]}


@pytest.fixture
def extended(admin: Client) -> Client:
    """Return an admin who has moved the end of the calendar."""
    assert admin.put("/calendar/end", json={"valid_through": str(END)}).status_code == 200
    return admin


def days(calendar: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["date"]: each for each in calendar["days"]}


def problems(response: Any) -> dict[str, str]:
    assert problem_of(response) == (422, "invalid_body")
    return {each["field"]: each["detail"] for each in response.json["errors"]}


def test_calendar_is_shown_with_the_origin_of_each_day(viewer: Client) -> None:
    calendar = viewer.get("/calendar").json
    assert (calendar["valid_through"], calendar["end_origin"]) == (str(packaged().valid_through), "packaged")
    assert calendar["segments"] == ["equity", "derivatives"]
    assert days(calendar)["2026-01-26"] == {
        "date": "2026-01-26",
        "kind": "holiday",
        "name": "Republic Day",
        "windows": None,
        "segments": None,
        "origin": "packaged",
    }
    assert days(calendar)["2026-02-01"]["kind"] == "special_session"
    assert calendar["days"] == sorted(calendar["days"], key=lambda each: each["date"])


def test_end_is_moved_and_restored(extended: Client) -> None:
    moved = extended.get("/calendar").json
    assert (moved["valid_through"], moved["end_origin"]) == (str(END), "admin")
    restored = extended.put("/calendar/end", json={"valid_through": None}).json
    assert (restored["valid_through"], restored["end_origin"]) == (str(packaged().valid_through), "packaged")


def test_day_is_set_replaced_and_deleted(extended: Client, viewer: Client) -> None:
    shown = days(extended.put(DAY, json=SESSION).json)[str(END)]
    assert shown == {
        "date": str(END),
        "kind": "special_session",
        "name": "Muhurat",
        "windows": [{**EVENING, "random_close_from": None}],
        "segments": ["equity"],
        "origin": "admin",
    }
    extended.put(DAY, json={"kind": "holiday", "name": "Closed after all"})
    assert days(viewer.get("/calendar").json)[str(END)]["kind"] == "holiday"
    assert str(END) not in days(extended.delete(DAY).json)
    assert problem_of(extended.delete(DAY)) == (404, "not_found")
    kinds = [each["subject"] for each in extended.get("/audit?kind=calendar.changed").json["items"]]
    assert kinds == [str(END)] * 3 + ["valid_through"]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"kind": "holiday"}, "name", "required"),
        ({"kind": "holiday", "name": " "}, "name", "at least 1 character"),
        ({"kind": "festival", "name": "x"}, "kind", "holiday"),
        ({"kind": "holiday", "name": "x", "windows": [EVENING]}, "", "neither windows nor segments"),
        ({**SESSION, "windows": []}, "windows", "at least 1 item"),
        ({**SESSION, "windows": [{**EVENING, "phase": "dusk"}]}, "windows.0.phase", "continuous"),
        ({**SESSION, "windows": [{**EVENING, "until": "24:00"}]}, "windows.0.until", "pattern"),
        ({**SESSION, "windows": [{**EVENING, "until": "17:00"}]}, "windows.0", "not after its start"),
        ({**SESSION, "windows": [EVENING, EVENING]}, "windows.1", "must not overlap"),
        ({**SESSION, "segments": ["gold"]}, "segments", "the segments are equity, derivatives"),
        ({**SESSION, "colour": "red"}, "colour", "not permitted"),
    ],
)
def test_wrong_day_is_refused_with_its_place(
    extended: Client, body: dict[str, Any], field: str, words: str
) -> None:
    before = extended.get("/calendar").json["days"]
    found = problems(extended.put(DAY, json=body))
    assert list(found) == [field]
    assert words in found[field]
    assert extended.get("/calendar").json["days"] == before


def test_day_outside_the_calendar_or_in_the_past_is_refused(admin: Client) -> None:
    holiday = {"kind": "holiday", "name": "x"}
    assert "PUT /calendar/end moves it" in problems(admin.put(DAY, json=holiday))["date"]
    assert "in the past" in problems(admin.put("/calendar/days/2026-01-26", json=holiday))["date"]
    assert problem_of(admin.put("/calendar/days/2027-02-30", json=holiday)) == (400, "invalid_request")
    assert problem_of(admin.put("/calendar/days/tomorrow", json=holiday)) == (404, "not_found")


def test_wrong_end_is_refused(admin: Client) -> None:
    for end, words in ((packaged().valid_through, "must be after"), (date(2999, 1, 1), "800 days")):
        assert (
            words in problems(admin.put("/calendar/end", json={"valid_through": str(end)}))["valid_through"]
        )


def test_only_an_admin_changes_the_calendar(trader: Client) -> None:
    for send in (trader.put, trader.delete):
        assert problem_of(send(DAY)) == (403, "forbidden")
