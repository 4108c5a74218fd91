"""Encryption of what the store holds only for a while: with the Fernet keys of security.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from algosat.errors import ConfigurationError


class Encryption:
    """Encrypts with the first key, and decrypts with any of them."""

    def __init__(self, keys: Iterable[SecretStr]) -> None:
        self._keys = MultiFernet([Fernet(key.get_secret_value()) for key in keys])

    def encrypt(self, data: Any) -> str:
        """Return JSON data as encrypted text."""
        return self._keys.encrypt(orjson.dumps(data)).decode()

    def decrypt(self, text: str) -> Any:
        """Return the JSON data of encrypted text. Raises ConfigurationError if no key fits."""
        try:
            return orjson.loads(self._keys.decrypt(text))
        except InvalidToken:
            raise ConfigurationError(
                "encrypted with a key that is not in encryption.keys of this process: after a rotation, "
                "restart all services"
            ) from None
