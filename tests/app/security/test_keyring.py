from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from algosat.errors import ConfigurationError, EncryptedValueDamaged, EncryptionKeyUnknown
from algosat.security.keyring import Keyring, key_of

OLD, NEW = (SecretStr(Fernet.generate_key().decode()) for _ in range(2))
VALUE, PLACE = b"s3cret-of-the-broker", "credentials:paper:api_secret"


def test_encrypted_value_comes_back_and_neither_shows_value_nor_place() -> None:
    token = Keyring([OLD]).encrypt(VALUE, PLACE)
    assert token.isascii()
    assert b"s3cret" not in token
    assert b"paper" not in token
    assert Keyring([OLD]).decrypt(token, PLACE) == VALUE


def test_equal_values_have_different_tokens() -> None:
    keyring = Keyring([OLD])
    assert keyring.encrypt(VALUE, PLACE) != keyring.encrypt(VALUE, PLACE)


def test_value_moved_to_another_place_is_refused() -> None:
    token = Keyring([OLD]).encrypt(VALUE, PLACE)
    with pytest.raises(EncryptedValueDamaged, match="another place"):
        Keyring([OLD]).decrypt(token, "credentials:other:api_secret")


@pytest.mark.parametrize("part", range(4))
def test_parts_of_two_values_do_not_open_together(part: int) -> None:
    keyring = Keyring([NEW, OLD])
    mine, other = keyring.encrypt(VALUE, PLACE), Keyring([OLD]).encrypt(b"another", PLACE)
    mixed = mine.split(b".")
    mixed[part] = other.split(b".")[part]
    if part == 0:  # the form, which both have
        assert keyring.decrypt(b".".join(mixed), PLACE) == VALUE
        return
    with pytest.raises(EncryptedValueDamaged):
        keyring.decrypt(b".".join(mixed), PLACE)


@pytest.mark.parametrize(
    "token", [b"", b"k1", b"plain text", b"k1.a.b", b"k2.0a.b.c", b"k1..b.c", "k1.\u00b2.b.c".encode()]
)
def test_foreign_text_is_refused(token: bytes) -> None:
    for use in (lambda: Keyring([OLD]).decrypt(token, PLACE), lambda: key_of(token)):
        with pytest.raises(EncryptedValueDamaged):
            use()


def test_new_key_opens_old_values_and_old_key_names_what_it_lacks() -> None:
    old, rotated = Keyring([OLD]), Keyring([NEW, OLD])
    assert rotated.decrypt(old.encrypt(VALUE, PLACE), PLACE) == VALUE
    with pytest.raises(EncryptionKeyUnknown, match=rotated.fingerprint()):
        old.decrypt(rotated.encrypt(VALUE, PLACE), PLACE)


def test_rewrapped_value_needs_the_new_key_only() -> None:
    token = Keyring([OLD]).encrypt(VALUE, PLACE)
    again = Keyring([NEW, OLD]).rewrap(token)
    assert key_of(again) == Keyring([NEW]).fingerprint() != key_of(token)
    assert again.split(b".")[3] == token.split(b".")[3]
    assert Keyring([NEW]).decrypt(again, PLACE) == VALUE


def test_value_of_an_unknown_key_is_not_rewrapped() -> None:
    with pytest.raises(EncryptionKeyUnknown):
        Keyring([NEW]).rewrap(Keyring([OLD]).encrypt(VALUE, PLACE))


def test_fingerprints_name_the_keys_and_do_not_contain_them() -> None:
    keyring = Keyring([NEW, OLD])
    assert keyring.fingerprints() == (Keyring([NEW]).fingerprint(), Keyring([OLD]).fingerprint())
    assert keyring.fingerprint() == keyring.fingerprints()[0]
    assert not any(each in NEW.get_secret_value() + OLD.get_secret_value() for each in keyring.fingerprints())


def test_digest_depends_on_text_context_and_key() -> None:
    keyring = Keyring([NEW, OLD])
    digests = {
        keyring.digest("name", "login"),
        keyring.digest("Name", "login"),
        keyring.digest("name", "other"),
        Keyring([OLD]).digest("name", "login"),
    }
    assert len(digests) == 4
    assert keyring.digest("name", "login") == Keyring([NEW]).digest("name", "login")


def test_keyring_without_keys_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        Keyring([])
