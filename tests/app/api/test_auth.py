from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from algosat import clock
from algosat.api.context import Services
from algosat.monitoring import metrics
from algosat.security import users
from algosat.security.passwords import Passwords
from algosat.store import audit
from algosat.store.tables import metadata, sessions
from algosat.store.tables import users as users_table
from algosat.store.writer import Writer
from tests.app.client import PASSWORD, Client, problem_of
from tests.app.desks import CAUSE


def kinds(services: Services) -> list[str]:
    with services.database.read() as connection:
        return [event.kind for event in audit.all_events(connection)]


def test_login_returns_tokens_and_the_user(anonymous: Client) -> None:
    answer = anonymous.post("/auth/login", json={"username": "trader", "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json["token_type"] == "bearer"
    assert answer.json["expires_in"] == 30 * 60
    assert answer.json["user_info"] == {"username": "trader", "role": "trader"}
    assert set(answer.json) == {"access_token", "token_type", "expires_in", "user_info", "refresh_token"}


def test_wrong_name_and_wrong_password_get_the_same_answer(anonymous: Client) -> None:
    answers = [
        anonymous.post("/auth/login", json={"username": name, "password": "wrong password"})
        for name in ("trader", "nobody-known")
    ]
    assert [problem_of(answer) for answer in answers] == [(401, "wrong_credentials")] * 2
    assert answers[0].json["detail"] == answers[1].json["detail"]


def test_disabled_user_cannot_log_in_and_loses_open_sessions(admin: Client, trader: Client) -> None:
    assert admin.patch("/users/trader", json={"disabled": True}).status_code == 200
    assert problem_of(trader.get("/funds")) == (401, "unauthenticated")
    answer = trader.post("/auth/login", json={"username": "trader", "password": PASSWORD})
    assert problem_of(answer) == (401, "wrong_credentials")


def test_locked_out_client_is_refused_with_the_right_password_too(anonymous: Client) -> None:
    for _ in range(5):
        anonymous.post("/auth/login", json={"username": "trader", "password": "wrong password"})
    before = metrics.SECURITY_EVENTS.labels("locked_out")._value.get()  # noqa: SLF001
    answer = anonymous.post("/auth/login", json={"username": "trader", "password": PASSWORD})
    assert metrics.SECURITY_EVENTS.labels("locked_out")._value.get() == before + 1  # noqa: SLF001
    assert problem_of(answer) == (429, "locked_out")
    assert 0 < int(answer.headers["Retry-After"]) <= 901


def test_failed_logins_from_another_address_do_not_lock_the_user_out(app: Flask, anonymous: Client) -> None:
    elsewhere = app.test_client()
    for _ in range(6):
        elsewhere.post(
            "/auth/login",
            json={"username": "trader", "password": "wrong password"},
            environ_base={"REMOTE_ADDR": "203.0.113.9"},
        )
    assert anonymous.log_in("trader").get("/funds").status_code == 200


def guess(client: Client, *names: str) -> list[int]:
    body = {"password": "wrong password"}
    return [client.post("/auth/login", json={"username": name, **body}).status_code for name in names]


def test_failed_logins_under_many_names_alert_and_block_the_address(
    services: Services, anonymous: Client
) -> None:
    names = [f"name-{number}" for number in range(12)]
    assert guess(anonymous, *names) == [401] * 10 + [429] * 2
    answer = anonymous.post("/auth/login", json={"username": "trader", "password": PASSWORD})
    assert problem_of(answer) == (429, "locked_out")
    assert kinds(services).count("security.alert") == 1


def test_address_is_only_reported_if_blocking_is_disabled(
    services: Services, admin: Client, anonymous: Client
) -> None:
    admin.put(
        "/config/update", json={"section": "security_monitoring", "updates": {"block_suspicious_ips": False}}
    )
    assert guess(anonymous, *(f"name-{number}" for number in range(12))) == [401] * 12
    assert kinds(services).count("security.alert") == 1


def test_successful_logins_do_not_count_against_an_address(anonymous: Client) -> None:
    for _ in range(12):
        anonymous.log_in("trader")


def test_successful_login_clears_earlier_failures(anonymous: Client) -> None:
    for _ in range(2):
        for _ in range(4):
            anonymous.post("/auth/login", json={"username": "trader", "password": "wrong password"})
        anonymous.log_in("trader")


def test_logout_ends_the_session_for_both_tokens(services: Services, trader: Client) -> None:
    assert trader.get("/funds").status_code == 200
    assert trader.post("/auth/logout").status_code == 200
    assert problem_of(trader.get("/funds")) == (401, "unauthenticated")
    answer = trader.post("/auth/refresh", json={"refresh_token": trader.refresh_token})
    assert problem_of(answer) == (401, "unauthenticated")
    assert "security.logout" in kinds(services)


def test_refresh_gives_new_tokens_and_keeps_the_session(trader: Client) -> None:
    before = trader.get("/auth/sessions").json["items"]
    answer = trader.post("/auth/refresh", json={"refresh_token": trader.refresh_token})
    assert answer.status_code == 200
    trader.keep(answer)
    after = trader.get("/auth/sessions").json["items"]
    assert [each["id"] for each in after] == [each["id"] for each in before]


def test_refresh_token_used_twice_ends_the_session(services: Services, trader: Client) -> None:
    stolen = {"refresh_token": trader.refresh_token}
    trader.keep(trader.post("/auth/refresh", json=stolen))
    assert problem_of(trader.post("/auth/refresh", json=stolen)) == (401, "unauthenticated")
    assert problem_of(trader.get("/funds")) == (401, "unauthenticated")
    assert "security.refresh_reused" in kinds(services)


def test_access_token_does_not_refresh_and_refresh_token_gives_no_access(trader: Client) -> None:
    answer = trader.post("/auth/refresh", json={"refresh_token": trader.token})
    assert problem_of(answer) == (401, "unauthenticated")
    trader.token = trader.refresh_token
    assert problem_of(trader.get("/funds")) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer x.y.z", "Basic dXNlcjpwdw==", "Bearer " + "a" * 5000, "Bearer ä.ö.ü", "Bearer ....",
     "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."],
)  # fmt: skip
def test_foreign_or_malformed_token_is_refused(anonymous: Client, authorization: str) -> None:
    answer = anonymous.get("/funds", headers={"Authorization": authorization.encode().decode("latin-1")})
    assert problem_of(answer) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_token_with_a_changed_signature_is_refused(trader: Client) -> None:
    assert trader.token is not None
    head, payload, signature = trader.token.split(".")
    trader.token = ".".join((head, payload, signature[::-1]))
    assert problem_of(trader.get("/funds")) == (401, "unauthenticated")


def test_idle_session_ends(services: Services, trader: Client, admin: Client) -> None:
    change = {"section": "authentication", "updates": {"session_timeout": 60}}
    assert admin.put("/config/update", json=change).status_code == 200
    long_ago = clock.now() - timedelta(seconds=61)
    services.writer.run(lambda connection: connection.execute(update(sessions).values(last_seen_at=long_ago)))
    assert problem_of(trader.get("/funds")) == (401, "unauthenticated")


def test_session_that_ended_by_idleness_stays_ended_with_a_longer_time_out(
    services: Services, trader: Client, admin: Client
) -> None:
    def set_timeout(seconds: int) -> None:
        change = {"section": "authentication", "updates": {"session_timeout": seconds}}
        services.writer.run(
            lambda connection: connection.execute(update(sessions).values(last_seen_at=clock.now()))
        )
        assert admin.put("/config/update", json=change).status_code == 200

    set_timeout(100)
    long_ago = clock.now() - timedelta(seconds=101)
    of_trader = select(users_table.c.id).where(users_table.c.username == "trader").scalar_subquery()
    idle = update(sessions).where(sessions.c.user_id == of_trader).values(last_seen_at=long_ago)
    services.writer.run(lambda connection: connection.execute(idle))
    assert problem_of(trader.get("/funds")) == (401, "unauthenticated")
    set_timeout(1000)
    assert problem_of(trader.get("/funds")) == (401, "unauthenticated")


def test_session_ends_after_ninety_days_however_often_it_is_refreshed(
    services: Services, anonymous: Client
) -> None:
    body = {"username": "trader", "password": PASSWORD}
    token = anonymous.post("/auth/login", json=body).json["refresh_token"]
    began = clock.now() - timedelta(days=89)
    services.writer.run(lambda connection: connection.execute(update(sessions).values(created_at=began)))
    token = anonymous.post("/auth/refresh", json={"refresh_token": token}).json["refresh_token"]
    with services.database.read() as connection:
        end = connection.execute(select(func.max(sessions.c.expires_at))).scalar_one()
    assert end == began + timedelta(days=90)
    services.writer.run(
        lambda connection: connection.execute(update(sessions).values(expires_at=clock.now()))
    )
    assert problem_of(anonymous.post("/auth/refresh", json={"refresh_token": token}))[0] == 401


def test_new_role_applies_from_the_next_request_on(admin: Client, viewer: Client) -> None:
    assert problem_of(viewer.post("/orders/cancel-all")) == (403, "forbidden")
    assert admin.patch("/users/viewer", json={"role": "trader"}).status_code == 200
    assert viewer.post("/orders/cancel-all").status_code == 200


def test_own_sessions_are_listed_and_one_can_be_ended(app: Flask, trader: Client) -> None:
    other = Client(app).log_in("trader")
    listed = trader.get("/auth/sessions").json["items"]
    assert [each["current"] for each in listed].count(True) == 1
    theirs = next(each["id"] for each in listed if not each["current"])
    assert trader.delete(f"/auth/sessions/{theirs}").status_code == 200
    assert problem_of(other.get("/funds")) == (401, "unauthenticated")
    assert trader.get("/funds").status_code == 200


def test_session_of_another_user_is_not_found(viewer: Client, trader: Client) -> None:
    theirs = trader.get("/auth/sessions").json["items"][0]["id"]
    assert problem_of(viewer.delete(f"/auth/sessions/{theirs}")) == (404, "not_found")
    assert trader.get("/funds").status_code == 200


def test_changed_password_ends_all_other_sessions(app: Flask, trader: Client) -> None:
    other = Client(app).log_in("trader")
    body = {"current_password": PASSWORD, "new_password": "another long secret"}
    assert trader.put("/auth/password", json=body).status_code == 200
    assert problem_of(other.get("/funds")) == (401, "unauthenticated")
    assert trader.get("/funds").status_code == 200
    assert Client(app).log_in("trader", "another long secret").token


@pytest.mark.parametrize(
    ("current", "new", "outcome"),
    [
        ("not my password", "another long secret", (401, "wrong_credentials")),
        (PASSWORD, "short", (422, "weak_password")),
        (PASSWORD, "aaaaaaaaaaaaaaaa", (422, "weak_password")),
        (PASSWORD, "i am the trader 1", (422, "weak_password")),
        (PASSWORD, "x" * 300, (422, "invalid_body")),
    ],
)
def test_refused_password_change_changes_nothing(
    app: Flask, trader: Client, current: str, new: str, outcome: tuple[int, str]
) -> None:
    answer = trader.put("/auth/password", json={"current_password": current, "new_password": new})
    assert problem_of(answer) == outcome
    assert Client(app).log_in("trader").token


def test_failed_login_is_in_the_audit_trail_without_unknown_names(
    services: Services, anonymous: Client
) -> None:
    for name in ("trader", "hunter2-typed-here"):
        anonymous.post("/auth/login", json={"username": name, "password": "wrong password"})
    with services.database.read() as connection:
        failed = [e.subject for e in audit.all_events(connection) if e.kind == "security.login_failed"]
    assert failed == ["trader", "unknown"]


@pytest.mark.parametrize("outdated", [False, True])
def test_login_with_a_password_changed_meanwhile_opens_no_session(
    anonymous: Client, services: Services, monkeypatch: pytest.MonkeyPatch, *, outdated: bool
) -> None:
    check = Passwords.fits

    def changed_meanwhile(self: Passwords, stored: str | None, password: str) -> bool:
        fits = check(self, stored, password)
        new_hash = services.passwords.hash("another fine long secret")
        services.writer.run(
            lambda connection: users.set_password(connection, "trader", new_hash, clock.now(), CAUSE)
        )
        return fits

    monkeypatch.setattr(Passwords, "fits", changed_meanwhile)
    monkeypatch.setattr(Passwords, "is_outdated", lambda *_: outdated)
    answer = anonymous.post("/auth/login", json={"username": "trader", "password": PASSWORD})
    monkeypatch.undo()
    assert problem_of(answer) == (401, "wrong_credentials")
    new = {"username": "trader", "password": "another fine long secret"}
    assert anonymous.post("/auth/login", json=new).status_code == 200


def test_reads_work_while_the_store_cannot_write(
    trader: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = clock.now() - timedelta(minutes=5)
    services.writer.run(lambda connection: connection.execute(update(sessions).values(last_seen_at=long_ago)))

    def full(*_: object, **__: object) -> None:
        raise OperationalError("", {}, Exception("database or disk is full"))

    monkeypatch.setattr(Writer, "run", full)
    assert trader.get("/positions").status_code == 200


def test_name_that_nobody_has_is_stored_nowhere(anonymous: Client, services: Services) -> None:
    """People type their password into the wrong field."""
    typed = "Canary-Typed-Into-The-Wrong-Field"
    assert anonymous.post("/auth/login", json={"username": typed, "password": "x"}).status_code == 401
    with services.database.read() as connection:
        rows = [
            str(row._mapping).lower()
            for table in metadata.sorted_tables
            for row in connection.execute(select(table))
        ]
    assert any("login " in row for row in rows), "the attempt is not counted"
    assert not any("canary" in row for row in rows)


def test_attempts_count_whatever_the_case_of_the_name(anonymous: Client) -> None:
    names = ("trader", "TRADER", "Trader", "tRader", "trader")
    answers = [anonymous.post("/auth/login", json={"username": it, "password": "x"}) for it in names]
    assert {answer.status_code for answer in answers} == {401}
    assert problem_of(anonymous.post("/auth/login", json={"username": "trAder", "password": "x"})) == (
        429,
        "locked_out",
    )
