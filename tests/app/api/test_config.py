from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from algosat.api.context import NAME, Services
from algosat.app import create_app
from algosat.config.settings import Settings
from algosat.config.summary import MASK
from algosat.store import audit
from tests.app import fakes
from tests.app.client import Client, problem_of


def test_summary_shows_every_value_and_no_secret(viewer: Client) -> None:
    settings = viewer.get("/config/summary").json["settings"]
    assert settings["api"]["port"]["value"] == 8080
    assert settings["security"]["secret_key"]["value"] == MASK
    assert settings["risk"]["max_order_value"]["value"] == "1000000"


def test_change_applies_at_once_and_shows_its_origin(admin: Client) -> None:
    change = {"section": "vps", "updates": {"cpu_threshold": 50}}
    answer = admin.put("/config/update", json=change)
    assert answer.status_code == 200
    assert answer.json["settings"]["cpu_threshold"]["value"] == 50
    shown = admin.get("/config/summary").json["settings"]["vps"]
    assert (shown["cpu_threshold"]["value"], shown["cpu_threshold"]["origin"]) == (50, "override")
    assert shown["disk_threshold"]["origin"] == "file"


def test_change_reaches_another_process_at_its_next_refresh(
    settings: Settings, directory: Path, admin: Client
) -> None:
    other = create_app(settings, directory, passwords=fakes.quick_passwords())
    services: Services = other.extensions[NAME]
    assert services.live.current.algosat.security.rate_limit_requests == 1000
    admin.put("/config/update", json={"section": "security", "updates": {"rate_limit_requests": 2}})
    services.live.refresh_now()
    assert services.live.current.algosat.security.rate_limit_requests == 2
    services.close()


def test_null_restores_the_value_of_the_file(admin: Client) -> None:
    for value in (50, None):
        admin.put("/config/update", json={"section": "vps", "updates": {"cpu_threshold": value}})
    shown = admin.get("/config/summary").json["settings"]["vps"]["cpu_threshold"]
    assert (shown["value"], shown["origin"]) == (90, "file")


@pytest.mark.parametrize(
    ("section", "key", "owner"),
    [
        ("api", "port", "algosat_api_port"),
        ("security", "secret_key", "algosat_security_secret_key"),
        ("database", "url", "algosat_database_url"),
        ("authentication", "enabled", "algosat_authentication_enabled"),
        ("", "debug", "algosat_debug"),
    ],
)
def test_key_owned_by_the_inventory_is_refused_with_its_variable(
    admin: Client, section: str, key: str, owner: str
) -> None:
    answer = admin.put("/config/update", json={"section": section, "updates": {key: 1}})
    assert problem_of(answer) == (409, "owned_by_inventory")
    assert owner in answer.json["detail"]


def test_limits_are_refused_with_the_route_that_changes_them(admin: Client) -> None:
    answer = admin.put("/config/update", json={"section": "risk", "updates": {"max_open_orders": 5}})
    assert problem_of(answer) == (409, "changed_elsewhere")


@pytest.mark.parametrize(
    "update",
    [
        {"section": "vps", "updates": {"cpu_threshold": 101, "disk_threshold": 50}},
        {"section": "vps", "updates": {"cpu_threshold": "50", "disk_threshold": 50}},
        {"section": "vps", "updates": {"cpu_treshold": 50, "disk_threshold": 50}},
        {"section": "vps", "updates": {"cpu_threshold": 10**30}},
        {"section": "nowhere", "updates": {"cpu_threshold": 50}},
        {"section": "vps", "updates": {}},
        {"section": "vps"},
        {"section": "logging", "updates": {"level": "LOUD"}},
    ],
)
def test_invalid_update_changes_nothing(admin: Client, update: dict[str, Any]) -> None:
    before = admin.get("/config/summary").json
    assert problem_of(admin.put("/config/update", json=update))[0] == 422
    assert admin.get("/config/summary").json == before


def test_audit_trail_has_old_and_new_values_of_an_update(services: Services, admin: Client) -> None:
    admin.put("/config/update", json={"section": "vps", "updates": {"cpu_threshold": 50}})
    with services.database.read() as connection:
        event = [e for e in audit.all_events(connection) if e.kind == "config.changed"][-1]
    assert (event.subject, event.actor) == ("vps", "user:admin")
    assert event.data == {"cpu_threshold": {"from": 90, "to": 50}}


def test_rate_limit_changed_at_run_time_applies(admin: Client, viewer: Client) -> None:
    admin.put("/config/update", json={"section": "security", "updates": {"rate_limit_requests": 3}})
    codes = [viewer.get("/funds").status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    answer = viewer.get("/funds")
    assert problem_of(answer) == (429, "rate_limited")
    assert int(answer.headers["Retry-After"]) >= 1


def test_unreadable_overrides_leave_the_settings_unchanged(
    trader: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("", {}, Exception("server closed the connection"))

    before = services.live.current
    monkeypatch.setattr(services.live, "_fetch", away)
    services.live.refresh_now()
    assert services.live.current is before
