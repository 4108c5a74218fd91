"""Alerts: opened once, closed with their condition, acknowledged once, announced after the commit."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Row, insert, select, update
from structlog.testing import capture_logs

from algosat.domain.alert_kinds import AlertKind
from algosat.errors import Conflict, NotFound
from algosat.monitoring.metrics import REGISTRY
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.tables import alerts as table
from algosat.trading import alerts
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, open_alerts

CONDITION, EVENT = AlertKind.RISK_UNPRICED, AlertKind.BROKER_OVERFILL
PERSON = Cause("user:trader", "correlation-2")


def opened(desk: Desk, kind: AlertKind = CONDITION, subject: str = "ALPHA-EQ", detail: str = "why") -> bool:
    return desk.writer.run(
        lambda connection: alerts.open_alert(connection, desk, kind, subject, CAUSE, detail)
    )


def closed(desk: Desk, kind: AlertKind = CONDITION, subject: str = "ALPHA-EQ") -> bool:
    return desk.writer.run(lambda connection: alerts.close_alert(connection, desk, kind, subject, PERSON))


def acknowledged(desk: Desk, alert_id: int, cause: Cause = PERSON) -> Row[Any]:
    return desk.writer.run(lambda connection: alerts.acknowledge(connection, desk, alert_id, cause))


def rows(desk: Desk) -> list[Row[Any]]:
    with desk.database.read() as connection:
        return list(connection.execute(select(table).order_by(table.c.id)))


def audited(desk: Desk) -> list[tuple[str, str]]:
    with desk.database.read() as connection:
        assert audit.first_broken_link(connection) is None
        events = audit.all_events(connection)
        return [(it.kind, it.actor) for it in events if not it.kind.startswith("user.")]


def counted(kind: AlertKind) -> float:
    labels = {"code": kind.value, "severity": kind.severity.value}
    return REGISTRY.get_sample_value("algosat_errors_total", labels) or 0.0


def test_alert_is_stored_audited_counted_and_logged_once(desk: Desk) -> None:
    before = counted(CONDITION)
    with capture_logs() as logs:
        assert opened(desk)
        assert not opened(desk)
    (row,) = rows(desk)
    assert (row.account, row.kind, row.severity, row.subject) == (
        desk.account,
        "risk.unpriced",
        "critical",
        "ALPHA-EQ",
    )
    assert (row.detail, row.correlation_id, row.opened_at) == ("why", CAUSE.correlation_id, desk.clock())
    assert (row.acknowledged_at, row.acknowledged_by, row.closed_at) == (None, None, None)
    assert audited(desk) == [("risk.unpriced", CAUSE.actor)]
    assert counted(CONDITION) == before + 1
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("risk.unpriced", "critical")
    assert (line["subject"], line["correlation_id"]) == ("ALPHA-EQ", CAUSE.correlation_id)


def test_alert_of_a_unit_that_is_rolled_back_is_not_announced(desk: Desk) -> None:
    def unit(connection: Any) -> None:
        alerts.open_alert(connection, desk, CONDITION, "ALPHA-EQ", CAUSE, "why")
        raise Conflict("no")

    before = counted(CONDITION)
    with capture_logs() as logs, pytest.raises(Conflict):
        desk.writer.run(unit)
    assert (rows(desk), audited(desk), logs, counted(CONDITION)) == ([], [], [], before)


def test_open_alert_takes_a_new_detail_without_a_second_event(desk: Desk) -> None:
    opened(desk, detail="at cost")
    assert not opened(desk, detail="at 101.5")
    assert [row.detail for row in rows(desk)] == ["at 101.5"]
    assert len(audited(desk)) == 1


def test_alerts_of_other_kinds_and_subjects_are_opened_beside(desk: Desk) -> None:
    assert opened(desk)
    assert opened(desk, subject="BRAVO-EQ")
    assert opened(desk, EVENT)
    assert open_alerts(desk) == {
        ("risk.unpriced", "ALPHA-EQ"),
        ("risk.unpriced", "BRAVO-EQ"),
        ("broker.overfill", "ALPHA-EQ"),
    }


def test_closed_alert_can_be_opened_again(desk: Desk) -> None:
    opened(desk)
    assert closed(desk)
    assert not closed(desk)
    assert open_alerts(desk) == set()
    assert opened(desk)
    assert [row.closed_at for row in rows(desk)] == [desk.clock(), None]
    assert [kind for kind, _ in audited(desk)] == ["risk.unpriced", "alert.closed", "risk.unpriced"]


def test_acknowledged_condition_stays_open_until_it_is_over(desk: Desk) -> None:
    opened(desk)
    (row,) = rows(desk)
    acknowledged(desk, row.id)
    assert open_alerts(desk) == {("risk.unpriced", "ALPHA-EQ")}
    assert not opened(desk)
    closed(desk)
    (row,) = rows(desk)
    assert (row.acknowledged_by, row.closed_at) == (PERSON.actor, desk.clock())


def test_acknowledged_event_is_closed_and_not_opened_again(desk: Desk) -> None:
    opened(desk, EVENT, detail="trade X2 of 5")
    (row,) = rows(desk)
    assert acknowledged(desk, row.id).closed_at == desk.clock()
    assert not opened(desk, EVENT, detail="trade X2 of 5")
    assert opened(desk, EVENT, detail="trade X3 of 5")
    assert [row.detail for row in rows(desk)] == ["trade X2 of 5", "trade X3 of 5"]


def test_only_the_first_acknowledgement_counts(desk: Desk) -> None:
    opened(desk)
    (row,) = rows(desk)
    first = acknowledged(desk, row.id)
    assert acknowledged(desk, row.id, Cause("user:admin", "correlation-3")) == first
    assert audited(desk) == [("risk.unpriced", CAUSE.actor), ("alert.acknowledged", PERSON.actor)]


def test_closed_alert_can_still_be_acknowledged(desk: Desk) -> None:
    opened(desk)
    closed(desk)
    (row,) = rows(desk)
    after = acknowledged(desk, row.id)
    assert (after.acknowledged_by, after.closed_at) == (PERSON.actor, row.closed_at)


def test_unknown_alert_cannot_be_acknowledged(desk: Desk) -> None:
    with pytest.raises(NotFound, match="no alert 7"):
        acknowledged(desk, 7)
    assert audited(desk) == []


def test_kind_of_another_release_is_acknowledged_and_closed(desk: Desk) -> None:
    """After a rollback the store has alerts of kinds that this release does not know."""
    opened(desk)
    desk.writer.run(lambda connection: connection.execute(update(table).values(kind="moon.full")))
    (row,) = rows(desk)
    with desk.database.read() as connection:
        assert set(alerts.numbers_open(connection).values()) == {0}
    assert acknowledged(desk, row.id).closed_at == desk.clock()


def test_store_refuses_two_open_alerts_of_one_kind_and_subject(desk: Desk) -> None:
    opened(desk)
    (row,) = rows(desk)
    again = {**row._mapping, "id": row.id + 1}
    with pytest.raises(Exception, match=r"(?i)unique"):
        desk.writer.run(lambda connection: connection.execute(insert(table), again))


def test_numbers_count_open_alerts_by_kind(desk: Desk) -> None:
    opened(desk)
    opened(desk, subject="BRAVO-EQ")
    opened(desk, EVENT)
    closed(desk)
    with desk.database.read() as connection:
        found = alerts.numbers_open(connection)
        subjects = alerts.open_subjects(connection, desk, CONDITION)
    assert {kind: number for kind, number in found.items() if number} == {CONDITION: 1, EVENT: 1}
    assert set(found) == set(AlertKind)
    assert subjects == {"BRAVO-EQ"}
