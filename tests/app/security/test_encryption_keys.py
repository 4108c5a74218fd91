from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Connection, Text, type_coerce, update

from algosat.errors import EncryptionKeyUnknown
from algosat.security import credentials, encryption_keys
from algosat.security.credentials import BrokerLogin, NewValue
from algosat.security.encryption_keys import Rotation, Usage
from algosat.security.keyring import Keyring
from algosat.store.tables import credentials as table
from algosat.store.tables import metadata
from algosat.trading.desk import Desk
from tests.app.builders import FERNET_KEY
from tests.app.desks import CAUSE
from tests.app.fakes import KEYRING, FakeClock

ROTATED = Keyring([SecretStr(Fernet.generate_key().decode()), SecretStr(FERNET_KEY)])
LOGIN = BrokerLogin("paper", "mine")
NUMBER = 5


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption_keys, "_BATCH", 2)


@pytest.fixture
def filled(desk: Desk) -> Desk:
    put(desk, {f"field{number}": f"value{number}" for number in range(NUMBER)})
    return desk


def put(desk: Desk, values: dict[str, str]) -> None:
    new = {name: NewValue(value) for name, value in values.items()}

    def unit(connection: Connection) -> None:
        credentials.put(connection, KEYRING, LOGIN, new, desk.clock(), CAUSE, keep_others=True)

    desk.writer.run(unit)


def rotate(desk: Desk, keyring: Keyring = ROTATED) -> Rotation:
    return encryption_keys.rotate(desk.database, desk.writer, keyring, desk.clock())


def usage(desk: Desk) -> Usage:
    with desk.database.read() as connection:
        return encryption_keys.usage(connection)


def values(desk: Desk, keyring: Keyring) -> dict[str, str]:
    with desk.database.read() as connection:
        return credentials.values(connection, keyring, LOGIN, desk.clock())


def test_rotation_leaves_no_value_to_the_old_key_and_changes_none(filled: Desk) -> None:
    before = values(filled, KEYRING)
    assert usage(filled).values == {KEYRING.fingerprint(): NUMBER}
    assert rotate(filled) == Rotation(rewrapped=NUMBER)
    assert usage(filled).values == {ROTATED.fingerprint(): NUMBER}
    assert values(filled, ROTATED) == before
    with pytest.raises(EncryptionKeyUnknown, match=ROTATED.fingerprint()):
        values(filled, KEYRING)
    assert rotate(filled) == Rotation()


def test_rotation_that_is_cut_off_loses_nothing_and_can_be_repeated(
    filled: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, run, rounds = values(filled, KEYRING), encryption_keys._run, []  # noqa: SLF001

    def cut_off(updates: Any, connection: Connection) -> int:
        rounds.append(run(updates, connection))
        if len(rounds) == 2:
            raise RuntimeError("power cut")  # within the unit of work
        return rounds[-1]

    monkeypatch.setattr(encryption_keys, "_run", cut_off)
    with pytest.raises(RuntimeError, match="power cut"):
        rotate(filled)
    assert usage(filled).values == {KEYRING.fingerprint(): 3, ROTATED.fingerprint(): 2}
    assert values(filled, ROTATED) == before
    assert rotate(filled) == Rotation(rewrapped=3)
    assert values(filled, ROTATED) == before


def test_value_that_was_replaced_during_a_rotation_stays(
    filled: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates = encryption_keys._updates  # noqa: SLF001

    def replaced_meanwhile(*arguments: Any) -> list[Any]:
        found = list(updates(*arguments))
        put(filled, {"field1": "new"})
        return found

    monkeypatch.setattr(encryption_keys, "_updates", replaced_meanwhile)
    assert rotate(filled).rewrapped == NUMBER - 1
    assert values(filled, ROTATED)["field1"] == "new"


@pytest.mark.parametrize(
    ("stored", "reason"), [("k1.00ff.x.y", "encrypted with the key 00ff"), ("garbage", "cannot be opened")]
)
def test_value_that_no_key_opens_is_named_and_stays(filled: Desk, stored: str, reason: str) -> None:
    spoilt = update(table).where(table.c.field == "field3").values(value=type_coerce(stored, Text))
    filled.writer.run(lambda connection: connection.execute(spoilt))
    outcome = rotate(filled)
    assert outcome.rewrapped == NUMBER - 1
    assert len(outcome.failed) == 1
    assert outcome.failed[0].startswith("credentials.value of paper, mine, field3: ")
    assert reason in outcome.failed[0]
    found = usage(filled)
    assert (found.values["00ff"], len(found.damaged)) in ((1, 0), (0, 1))


def test_key_is_due_by_its_first_use(desk: Desk, clock: FakeClock) -> None:
    began = clock()

    def note(connection: Connection) -> None:
        encryption_keys.note(connection, "aa", clock())

    def due_at(connection: Connection) -> Any:
        return encryption_keys.due_at(connection, "aa", 90)

    read: Callable[[], Any] = lambda: desk.writer.run(due_at)  # noqa: E731
    assert read() is None
    desk.writer.run(note)
    clock.forward(days=10)
    desk.writer.run(note)
    assert read() == began + timedelta(days=90)


def test_rotation_covers_every_column_with_encrypted_values() -> None:
    """A column named like a secret that the keyring encrypts must have the type that a rotation looks for."""
    found = {f"{it.table.name}.{it.name}" for it in encryption_keys._columns()}  # noqa: SLF001
    assert "credentials.value" in found
    named = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if column.name.endswith(("secret", "_encrypted")) or column.name == "secret"
    }
    assert named <= found
