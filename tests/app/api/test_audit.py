from __future__ import annotations

from sqlalchemy import text

from algosat.api.context import Services
from tests.app.client import Client


def test_trail_is_listed_newest_first_and_filtered(admin: Client, trader: Client) -> None:
    trader.post("/auth/logout")
    kinds = [event["kind"] for event in admin.get("/audit").json["items"]]
    assert kinds[0] == "security.logout"
    logins = admin.get("/audit?kind=security.login&subject=trader").json["items"]
    assert [event["actor"] for event in logins] == ["user:trader"]
    assert len(admin.get("/audit?limit=1").json["items"]) == 1


def test_untouched_trail_is_intact(admin: Client) -> None:
    assert admin.get("/audit/verify").json == {"intact": True, "first_broken": None}


def test_changed_event_is_found(services: Services, admin: Client) -> None:
    with services.database.engine.begin() as connection:
        connection.execute(text("UPDATE events SET actor = 'nobody' WHERE seq = 2"))
    assert admin.get("/audit/verify").json == {"intact": False, "first_broken": 2}
