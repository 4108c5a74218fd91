"""Sessions that have ended stay ended, and a session that is opened again is found by verify."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from algosat import clock
from algosat.api.context import Services
from algosat.security import users
from algosat.store import audit
from algosat.store.tables import sessions
from algosat.store.tables import users as users_table
from algosat.store.verify.verify import verify
from tests.app.client import Client
from tests.app.desks import CAUSE

_OF_TRADER = select(users_table.c.id).where(users_table.c.username == "trader").scalar_subquery()


def change_session(services: Services, **values: object) -> None:
    change = update(sessions).where(sessions.c.user_id == _OF_TRADER).values(**values)
    services.writer.run(lambda connection: connection.execute(change))


def be_idle(services: Services) -> None:
    idle = timedelta(seconds=services.live.current.security.authentication.session_timeout + 1)
    change_session(services, last_seen_at=clock.now() - idle)


def is_refused(client: Client) -> bool:
    return bool(client.get("/funds").status_code == 401)


def test_end_of_an_idle_session_is_in_the_trail_once(services: Services, trader: Client) -> None:
    be_idle(services)
    assert is_refused(trader)
    assert is_refused(trader)
    with services.database.read() as connection:
        kinds = [event.kind for event in audit.all_events(connection)]
        assert verify(connection).findings == []
    assert kinds.count("security.session_expired") == 1


@pytest.mark.parametrize("ended_by", ["idleness", "logout", "admin"])
def test_session_that_is_opened_again_is_found(services: Services, trader: Client, ended_by: str) -> None:
    if ended_by == "idleness":
        be_idle(services)
    elif ended_by == "logout":
        assert trader.post("/auth/logout").status_code == 200
    else:
        services.writer.run(lambda connection: users.end_sessions(connection, "trader", clock.now(), CAUSE))
    assert is_refused(trader)
    change_session(services, revoked_at=None, last_seen_at=clock.now())
    assert not is_refused(trader)
    with services.database.read() as connection:
        (finding,) = verify(connection).findings
    assert "of user trader is open" in finding


@pytest.mark.parametrize("whose", ["trader", None])
def test_session_ended_by_a_clock_that_is_ahead_stays_ended(
    services: Services, trader: Client, whose: str | None
) -> None:
    ahead = clock.now() + timedelta(seconds=60)
    change_session(services, expires_at=ahead - timedelta(seconds=1))
    services.writer.run(lambda connection: users.end_sessions(connection, whose, ahead, CAUSE))
    assert is_refused(trader)
