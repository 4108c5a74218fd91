"""The keyring: encrypts secrets that the store keeps, and names the key that opens each of them.

Every value has a data key of its own. The vault keys are in the vault and in security.yaml, and never in the
store or in a backup. They encrypt ("wrap") only the data keys, so a rotation wraps the data keys again and
leaves the values as they are. A stored value has the form `k1.FINGERPRINT.WRAPPED.VALUE`, with the
fingerprint of the vault key. It opens only in the context for which it was encrypted: a value that was moved
to another row or column is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from algosat.errors import ConfigurationError, EncryptedValueDamaged, EncryptionKeyUnknown

_FORM: Final = b"k1"
_DATA_KEY_BYTES: Final = 32
_FINGERPRINT_BYTES: Final = 8


class Keyring:
    """Encrypts with the first key, and decrypts with any of them.

    Args:
        keys: Fernet keys, the newest first, as in `encryption.keys` of security.yaml.
    """

    def __init__(self, keys: Iterable[SecretStr]) -> None:
        raw = [urlsafe_b64decode(key.get_secret_value()) for key in keys]
        if not raw:
            raise ConfigurationError("encryption.keys is empty: there is no key to encrypt with")
        self._by_fingerprint = {_fingerprint(key): Fernet(urlsafe_b64encode(key)) for key in raw}
        self._all = MultiFernet(list(self._by_fingerprint.values()))
        self._digest_key = _derived(raw[0], b"digest")

    def encrypt(self, data: bytes, context: str) -> bytes:
        """Return encrypted data as ASCII text. It opens only in the same context."""
        data_key = os.urandom(_DATA_KEY_BYTES)
        wrapped = self._all.encrypt(data_key + _bound(context))
        return b".".join((_FORM, self.fingerprint().encode(), wrapped, _fernet(data_key).encrypt(data)))

    def decrypt(self, token: bytes, context: str) -> bytes:
        """Return the data of a token that was encrypted in this context.

        Raises EncryptionKeyUnknown, or EncryptedValueDamaged for a token that was changed or moved.
        """
        fingerprint, wrapped, value = _parts(token)
        try:
            opened = self._key(fingerprint).decrypt(wrapped)
            data_key, bound = opened[:_DATA_KEY_BYTES], opened[_DATA_KEY_BYTES:]
            if not hmac.compare_digest(bound, _bound(context)):
                raise _damaged("it was encrypted for another place")
            return _fernet(data_key).decrypt(value)
        except InvalidToken:
            raise _damaged("it was changed") from None

    def rewrap(self, token: bytes) -> bytes:
        """Return the token with its data key encrypted by the first key. The value itself stays as it is.

        Raises EncryptionKeyUnknown or EncryptedValueDamaged.
        """
        fingerprint, wrapped, value = _parts(token)
        self._key(fingerprint)
        try:
            again = self._all.rotate(wrapped)
        except InvalidToken:
            raise _damaged("it was changed") from None
        return b".".join((_FORM, self.fingerprint().encode(), again, value))

    def fingerprint(self) -> str:
        """Return the fingerprint of the key that encrypts. It reveals nothing about the key."""
        return next(iter(self._by_fingerprint))

    def fingerprints(self) -> tuple[str, ...]:
        """Return the fingerprints of all keys, the newest first."""
        return tuple(self._by_fingerprint)

    def digest(self, text: str, context: str) -> str:
        """Return a keyed hash: equal texts have equal hashes, and nobody can try texts without the key.

        It changes with the first key, so it suits what is forgotten within days.
        """
        return hmac.new(self._digest_key, f"{context}\0{text}".encode(), hashlib.sha256).hexdigest()

    def _key(self, fingerprint: str) -> Fernet:
        found = self._by_fingerprint.get(fingerprint)
        if found is None:
            raise EncryptionKeyUnknown(
                f"encrypted with the key {fingerprint}, and encryption.keys of this process has "
                f"{', '.join(self._by_fingerprint)}: after a rotation restart all services; after a restore "
                "put that key back into the vault, behind the others, and deploy"
            )
        return found


def key_of(token: bytes) -> str:
    """Return the fingerprint of the key that opens a token. Raises EncryptedValueDamaged."""
    return _parts(token)[0]


def _parts(token: bytes) -> tuple[str, bytes, bytes]:
    parts = token.split(b".")
    if len(parts) != 4 or parts[0] != _FORM or not parts[1].isalnum():
        raise _damaged("it does not have the form of an encrypted value")
    return parts[1].decode("ascii"), parts[2], parts[3]


def _damaged(reason: str) -> EncryptedValueDamaged:
    return EncryptedValueDamaged(f"an encrypted value cannot be opened: {reason}; set it again")


def _fernet(key: bytes) -> Fernet:
    return Fernet(urlsafe_b64encode(key))


def _bound(context: str) -> bytes:
    return hashlib.sha256(context.encode()).digest()


def _fingerprint(key: bytes) -> str:
    return _derived(key, b"fingerprint")[:_FINGERPRINT_BYTES].hex()


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.new(key, b"algosat " + purpose, hashlib.sha256).digest()
