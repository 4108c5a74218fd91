"""Signed tokens: flask-jwt-extended makes and verifies them; verified claims are cached.

A token names a session and carries no rights: the store holds these. It also names the key that signed it, so
that a new key ends no session as long as the old one is kept.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

import jwt
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException

from algosat.config.settings import TokenSettings
from algosat.errors import Unauthenticated

Kind = Literal["access", "refresh"]

_LONGEST: Final = 2048  # ours have about 330 characters
_CACHED: Final = 4096  # verified tokens; the oldest is removed first
_ISSUER: Final = "algosat"
_LEEWAY: Final = 60  # seconds


@dataclass(frozen=True, slots=True)
class Claims:
    session_id: str
    expires_at: float  # seconds since 1970


class Tokens:
    def __init__(self, app: Flask, settings: TokenSettings, clock: Callable[[], float] = time.time) -> None:
        key = settings.secret_key.get_secret_value()
        kept = (key, *(each.get_secret_value() for each in settings.previous_secret_keys))
        keys = {_name(each): each for each in kept}
        self._key_name = {"kid": _name(key)}
        app.config.update(
            JWT_SECRET_KEY=key,
            JWT_ALGORITHM=settings.algorithm,
            JWT_ENCODE_ISSUER=_ISSUER,
            JWT_DECODE_ISSUER=_ISSUER,
            # For a clock that was set back since a token was made. Its end is checked without it.
            JWT_DECODE_LEEWAY=_LEEWAY,
        )
        # A token that names no key, or an unknown one, is verified with the key in force.
        JWTManager(app).decode_key_loader(lambda header, _claims: keys.get(str(header.get("kid")), key))
        self._clock = clock
        self._verified: dict[bytes, Claims] = {}

    def access(self, username: str, session_id: str, lifetime: timedelta) -> str:
        return self._make(create_access_token, username, session_id, lifetime)

    def refresh(self, username: str, session_id: str, lifetime: timedelta) -> str:
        return self._make(create_refresh_token, username, session_id, lifetime)

    def verify_access(self, token: str) -> Claims:
        """Return the claims of an access token. Raises Unauthenticated.

        The signature is verified once for each token, its expiry every time.
        """
        key = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        claims = self._verified.get(key)
        if claims is None:
            claims = _verify(token, "access")
            self._cache(key, claims)
        if claims.expires_at <= self._clock():
            raise refused("The token has expired")
        return claims

    def verify_refresh(self, token: str) -> Claims:
        """Return the claims of a refresh token. Raises Unauthenticated."""
        return _verify(token, "refresh")

    def _make(self, make: Callable[..., str], username: str, session_id: str, lifetime: timedelta) -> str:
        return make(
            username,
            expires_delta=lifetime,
            additional_claims={"sid": session_id},
            additional_headers=self._key_name,
        )

    def _cache(self, key: bytes, claims: Claims) -> None:
        while len(self._verified) >= _CACHED:
            self._verified.pop(next(iter(self._verified)), None)
        self._verified[key] = claims


def refused(detail: str) -> Unauthenticated:
    return Unauthenticated(
        f"{detail}: log in again", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
    )


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _verify(token: str, kind: Kind) -> Claims:
    if len(token) > _LONGEST or not token.isascii():
        raise refused("This is not a token of this server")
    try:
        claims: dict[str, Any] = decode_token(token)
    except jwt.ExpiredSignatureError:
        raise refused("The token has expired") from None
    except (jwt.PyJWTError, JWTExtendedException, ValueError, RecursionError):
        raise refused("This is not a token of this server") from None
    if not isinstance(claims.get("exp"), int | float):
        raise refused("This is not a token of this server")
    if claims["type"] != kind or not isinstance(claims.get("sid"), str):
        raise refused(f"This is not an {kind} token" if kind == "access" else "This is not a refresh token")
    return Claims(claims["sid"], float(claims["exp"]))
