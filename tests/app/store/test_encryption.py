from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from algosat.errors import ConfigurationError
from algosat.store.encryption import Encryption

OLD, NEW = (SecretStr(Fernet.generate_key().decode()) for _ in range(2))


def test_encrypted_data_comes_back_and_does_not_show_the_value() -> None:
    encrypted = Encryption([OLD]).encrypt({"token": "s3cret-of-the-broker"})
    assert "s3cret" not in encrypted
    assert Encryption([OLD]).decrypt(encrypted) == {"token": "s3cret-of-the-broker"}


def test_after_a_rotation_old_data_is_readable_and_new_data_needs_the_new_key() -> None:
    old, rotated = Encryption([OLD]), Encryption([NEW, OLD])
    assert rotated.decrypt(old.encrypt("before")) == "before"
    with pytest.raises(ConfigurationError, match="restart all services"):
        old.decrypt(rotated.encrypt("after"))
