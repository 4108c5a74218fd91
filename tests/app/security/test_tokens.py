from __future__ import annotations

import time
from datetime import timedelta

import jwt
import pytest
from flask import Flask
from pydantic import SecretStr

from algosat.config.settings import Settings
from algosat.errors import Unauthenticated
from algosat.security.tokens import Tokens
from tests.app.builders import SECRET_KEY

MINUTE = timedelta(minutes=1)


class Now:
    """A clock that a test sets ahead of PyJWT's clock."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def tokens(settings: Settings, now: Now) -> Tokens:
    app = Flask("tokens")
    app.app_context().push()
    return Tokens(app, settings.algosat.security, now)


def test_token_contains_its_session(tokens: Tokens) -> None:
    assert tokens.verify_access(tokens.access("ann", "session-1", MINUTE)).session_id == "session-1"


def test_expiry_is_checked_at_every_use_of_a_verified_token(tokens: Tokens, now: Now) -> None:
    token = tokens.access("ann", "session-1", MINUTE)
    tokens.verify_access(token)
    now.ahead = 61
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.verify_access(token)


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "somebody else"},
        {"type": "refresh"},
        {"sid": None},
        {"sid": 7},
        {"exp": 1},
        {"exp": None},
        {"exp": "never"},
        {"nbf": 99999999999},
    ],
)
def test_token_with_wrong_claims_is_refused(tokens: Tokens, changed: dict[str, object]) -> None:
    claims = jwt.decode(tokens.access("ann", "s", MINUTE), SECRET_KEY, algorithms=["HS256"], issuer="algosat")
    forged = jwt.encode({**claims, **changed}, SECRET_KEY, algorithm="HS256")
    with pytest.raises(Unauthenticated):
        tokens.verify_access(forged)


def test_token_without_an_end_is_refused(tokens: Tokens) -> None:
    for token, verify in (
        (tokens.access("ann", "s", MINUTE), tokens.verify_access),
        (tokens.refresh("ann", "s", MINUTE), tokens.verify_refresh),
    ):
        claims = jwt.decode(token, SECRET_KEY, algorithms=["HS256"], issuer="algosat")
        del claims["exp"]
        with pytest.raises(Unauthenticated, match="not a token of this server"):
            verify(jwt.encode(claims, SECRET_KEY, algorithm="HS256"))


@pytest.mark.parametrize(("seconds", "accepted"), [(30, True), (58, True), (120, False)])
def test_token_from_before_the_clock_was_set_back_is_accepted(
    tokens: Tokens, seconds: int, accepted: bool
) -> None:
    claims = jwt.decode(tokens.access("ann", "s", MINUTE), SECRET_KEY, algorithms=["HS256"], issuer="algosat")
    later = {name: claims[name] + seconds for name in ("iat", "nbf", "exp")}
    token = jwt.encode({**claims, **later}, SECRET_KEY, algorithm="HS256")
    if accepted:
        assert tokens.verify_access(token).session_id == "s"
    else:
        with pytest.raises(Unauthenticated):
            tokens.verify_access(token)


def test_token_of_another_key_or_algorithm_is_refused(tokens: Tokens) -> None:
    claims = jwt.decode(tokens.access("ann", "s", MINUTE), SECRET_KEY, algorithms=["HS256"], issuer="algosat")
    for forged in (
        jwt.encode(claims, "another key of thirty-two bytes!!", algorithm="HS256"),
        jwt.encode(claims, SECRET_KEY * 2, algorithm="HS512"),
        jwt.encode(claims, "", algorithm="none"),
    ):
        with pytest.raises(Unauthenticated):
            tokens.verify_access(forged)


def test_deeply_nested_header_is_refused(tokens: Tokens) -> None:
    nested = jwt.utils.base64url_encode(b"[" * 1400).decode()
    with pytest.raises(Unauthenticated):
        tokens.verify_access(f"{nested}.e30.e30")


def rotated(settings: Settings, *previous: str) -> Tokens:
    kept = tuple(SecretStr(key) for key in previous)
    changed = {"secret_key": SecretStr("N3w" + SECRET_KEY), "previous_secret_keys": kept}
    app = Flask("rotated")
    app.app_context().push()
    return Tokens(app, settings.algosat.security.model_copy(update=changed))


def test_token_of_a_previous_key_is_valid_after_rotation(tokens: Tokens, settings: Settings) -> None:
    token, refresh = tokens.access("ann", "session-1", MINUTE), tokens.refresh("ann", "session-1", MINUTE)
    new = rotated(settings, SECRET_KEY)
    assert new.verify_access(token).session_id == "session-1"
    assert new.verify_refresh(refresh).session_id == "session-1"


def test_token_of_a_removed_key_is_refused(tokens: Tokens, settings: Settings) -> None:
    token = tokens.access("ann", "session-1", MINUTE)
    with pytest.raises(Unauthenticated):
        rotated(settings).verify_access(token)


def test_previous_key_signs_no_new_tokens(tokens: Tokens, settings: Settings) -> None:
    token = rotated(settings, SECRET_KEY).access("ann", "session-1", MINUTE)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, SECRET_KEY, algorithms=["HS256"])
