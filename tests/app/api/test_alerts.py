from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from algosat.domain.alert_kinds import AlertKind
from algosat.trading import alerts
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import CAUSE

UNPRICED, OVERFILL = AlertKind.RISK_UNPRICED, AlertKind.BROKER_OVERFILL


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A desk with three alerts: one closed, then one condition and one event that are open."""

    def unit(connection: Any) -> None:
        alerts.open_alert(connection, desk, UNPRICED, "BRAVO-EQ", CAUSE, "no price")
        alerts.close_alert(connection, desk, UNPRICED, "BRAVO-EQ", CAUSE)
        alerts.open_alert(connection, desk, UNPRICED, "ALPHA-EQ", CAUSE, "no price")
        alerts.open_alert(connection, desk, OVERFILL, "a" * 18, CAUSE, "trade X2 of 5")

    desk.writer.run(unit)
    return desk


def subjects(client: Client, query: str = "") -> list[str]:
    return [item["subject"] for item in client.get(f"/alerts{query}").json["items"]]


@pytest.mark.usefixtures("desk")
def test_alerts_are_listed_newest_first_and_filtered(viewer: Client) -> None:
    assert subjects(viewer) == ["a" * 18, "ALPHA-EQ", "BRAVO-EQ"]
    assert subjects(viewer, "?open=true") == ["a" * 18, "ALPHA-EQ"]
    assert subjects(viewer, "?open=false") == ["BRAVO-EQ"]
    assert subjects(viewer, "?kind=broker.overfill") == ["a" * 18]
    assert subjects(viewer, "?severity=critical&open=true") == ["a" * 18, "ALPHA-EQ"]
    assert subjects(viewer, "?severity=warning") == []
    assert subjects(viewer, "?acknowledged=true") == []


def test_alerts_are_filtered_by_their_opening(viewer: Client, desk: Desk) -> None:
    for later, number in ((timedelta(minutes=-1), 3), (timedelta(minutes=1), 0)):
        since = (desk.clock() + later).isoformat().replace("+", "%2B")
        assert len(subjects(viewer, f"?since={since}")) == number


@pytest.mark.usefixtures("desk")
def test_alerts_are_paged(viewer: Client) -> None:
    first = viewer.get("/alerts?limit=2").json
    rest = viewer.get(f"/alerts?limit=2&cursor={first['next_cursor']}").json
    assert [item["subject"] for item in (*first["items"], *rest["items"])] == subjects(viewer)
    assert rest["next_cursor"] is None


@pytest.mark.usefixtures("desk")
def test_alert_has_what_was_stored(viewer: Client) -> None:
    alert = viewer.get("/alerts?kind=risk.unpriced&open=true").json["items"][0]
    assert alert == {
        "id": 2,
        "account": "paper",
        "kind": "risk.unpriced",
        "severity": "critical",
        "subject": "ALPHA-EQ",
        "detail": "no price",
        "opened_at": alert["opened_at"],
        "acknowledged_at": None,
        "acknowledged_by": None,
        "closed_at": None,
        "correlation_id": CAUSE.correlation_id,
    }


@pytest.mark.usefixtures("desk")
def test_acknowledgement_is_recorded_once_and_repeatable(trader: Client, admin: Client) -> None:
    first = trader.post("/alerts/2/acknowledge").json
    assert (first["acknowledged_by"], first["closed_at"]) == ("user:trader", None)
    assert admin.post("/alerts/2/acknowledge").json == first
    assert subjects(trader, "?acknowledged=true") == ["ALPHA-EQ"]
    (event,) = admin.get("/audit?kind=alert.acknowledged").json["items"]
    assert (event["subject"], event["actor"], event["data"]) == (
        "ALPHA-EQ",
        "user:trader",
        {"id": 2, "kind": "risk.unpriced"},
    )


@pytest.mark.usefixtures("desk")
def test_acknowledged_event_is_closed(trader: Client) -> None:
    assert trader.post("/alerts/3/acknowledge").json["closed_at"] is not None
    assert subjects(trader, "?open=true") == ["ALPHA-EQ"]


@pytest.mark.parametrize("alert_id", ["4", "999999999999999999"])
@pytest.mark.usefixtures("desk")
def test_unknown_alert_is_not_found(trader: Client, alert_id: str) -> None:
    assert problem_of(trader.post(f"/alerts/{alert_id}/acknowledge")) == (404, "not_found")


@pytest.mark.parametrize(
    "query", ["?open=maybe", "?severity=high", "?kind=%00", "?since=yesterday", "?limit=0", "?colour=red"]
)
def test_invalid_filter_is_refused(viewer: Client, query: str) -> None:
    assert problem_of(viewer.get(f"/alerts{query}")) == (400, "invalid_query")
