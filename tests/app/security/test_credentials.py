from __future__ import annotations

from datetime import timedelta

import orjson
import pytest
from sqlalchemy import Connection, select

from algosat.config.settings import AccountSettings
from algosat.errors import EncryptedValueDamaged, InvalidBody, NotFound
from algosat.security import credentials
from algosat.security.credentials import BrokerLogin, NewValue
from algosat.store import audit, retention
from algosat.store.tables import credentials as table
from algosat.trading.desk import Desk
from tests.app.builders import account_data
from tests.app.desks import CAUSE
from tests.app.fakes import KEYRING, FakeClock

MINE, OTHER = BrokerLogin("paper", "mine"), BrokerLogin("paper", "other")
VALUES = {"api_key": NewValue("key-4711"), "private key (PEM)": NewValue("-----BEGIN\nKEY-----\u20ac")}


def put(
    desk: Desk, login: BrokerLogin, values: dict[str, NewValue] | None = None, *, keep_others: bool = False
) -> None:
    given, now = VALUES if values is None else values, desk.clock()

    def unit(connection: Connection) -> None:
        credentials.put(connection, KEYRING, login, given, now, CAUSE, keep_others=keep_others)

    desk.writer.run(unit)


def stored(desk: Desk, login: BrokerLogin) -> dict[str, str]:
    with desk.database.read() as connection:
        return credentials.values(connection, KEYRING, login, desk.clock())


def kinds(desk: Desk) -> list[tuple[str, str, dict[str, list[str]]]]:
    with desk.database.read() as connection:
        found = audit.all_events(connection)
        return [(it.kind, it.subject, it.data) for it in found if it.kind.startswith("credentials.")]


def test_fields_of_any_name_come_back_and_the_store_does_not_show_them(desk: Desk) -> None:
    put(desk, MINE)
    assert stored(desk, MINE) == {name: new.value for name, new in VALUES.items()}
    assert stored(desk, OTHER) == {}
    with desk.database.read() as connection:
        rows = connection.execute(select(table)).all()
        events = list(audit.all_events(connection))
    assert not any("4711" in str(row) for row in (*rows, *events))


def test_new_credentials_replace_all_fields_or_only_those_named(desk: Desk) -> None:
    put(desk, MINE)
    put(desk, OTHER)
    put(desk, MINE, {"token": NewValue("first")})
    assert stored(desk, MINE) == {"token": "first"}
    put(desk, MINE, {"token": NewValue("second"), "pin": NewValue("1")}, keep_others=True)
    put(desk, MINE, {"token": NewValue("third")}, keep_others=True)
    assert stored(desk, MINE) == {"token": "third", "pin": "1"}
    assert len(stored(desk, OTHER)) == 2
    assert kinds(desk)[-1] == ("credentials.set", "paper:mine", {"fields": ["token"]})


def test_value_moved_to_another_login_is_refused(desk: Desk) -> None:
    put(desk, MINE)
    desk.writer.run(lambda connection: connection.execute(table.update().values(name="other")))
    with pytest.raises(EncryptedValueDamaged, match="another place"):
        stored(desk, OTHER)


def test_expired_token_is_neither_returned_nor_kept(desk: Desk, clock: FakeClock) -> None:
    token = NewValue("today", clock() + timedelta(hours=8))
    put(desk, MINE, {"token": token, "api_key": NewValue("k")})
    clock.forward(hours=8)
    assert stored(desk, MINE) == {"api_key": "k"}
    with desk.database.read() as connection:
        assert [it.field for it in credentials.listed(connection, clock())] == ["api_key"]
    clock.forward(seconds=1)
    desk.writer.run(lambda connection: retention.sweep(connection, clock()))
    with desk.database.read() as connection:
        assert [row.field for row in connection.execute(select(table))] == ["api_key"]


def test_value_that_has_expired_already_changes_nothing(desk: Desk) -> None:
    put(desk, MINE)
    with pytest.raises(InvalidBody, match="expires_at of token is in the past"):
        put(desk, MINE, {"token": NewValue("old", desk.clock())})
    assert len(stored(desk, MINE)) == 2


def test_deleting_names_what_is_not_there(desk: Desk) -> None:
    put(desk, MINE)

    def remove(field: str | None) -> None:
        desk.writer.run(lambda connection: credentials.remove(connection, MINE, desk.clock(), CAUSE, field))

    with pytest.raises(NotFound, match="paper:mine with a field pin"):
        remove("pin")
    remove("api_key")
    assert list(stored(desk, MINE)) == ["private key (PEM)"]
    remove(None)
    with pytest.raises(NotFound, match="no credentials paper:mine"):
        remove(None)
    assert [kind for kind, _, _ in kinds(desk)] == ["credentials.set", *["credentials.deleted"] * 2]


def account(login: str | None) -> AccountSettings:
    data = account_data(name="first", credentials=login)
    return AccountSettings.model_validate_json(orjson.dumps(data, default=str))


def test_login_is_the_one_that_the_settings_name_or_has_the_accounts_name() -> None:
    assert BrokerLogin.of(account(None)) == BrokerLogin("paper", "first")
    assert BrokerLogin.of(account("desk")) == BrokerLogin("paper", "desk")


@pytest.mark.parametrize(
    ("value", "shown"), [("", "****"), ("shortsecret", "****"), ("a-long-secret-of-the-broker", "a-****er")]
)
def test_mask_shows_the_ends_of_long_values_only(value: str, shown: str) -> None:
    assert credentials.masked(value) == shown
