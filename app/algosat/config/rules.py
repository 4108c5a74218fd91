"""Rules for well-formed configurations. Production has the strictest."""

from __future__ import annotations

import base64
import binascii
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from algosat.config import calendar_file
from algosat.config.guessing import is_published
from algosat.config.problems import Problem
from algosat.config.settings import AccountSettings, AlgosatFile, SecurityFile
from algosat.domain import market_phases
from algosat.domain.risk.limits import too_low
from algosat.domain.scope import RESERVED_NAMES

STRICT: Final = frozenset({"staging", "production"})
_KEY_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518 §3.2: as long as the hash
# Long enough that fewer than one random secret in a million contains one by chance.
_PLACEHOLDERS: Final = (
    "change", "example", "placeholder", "secret", "password", "default", "throwaway", "throw-away",
    "insecure", "your-", "xxxxx", "12345", "abcdef",
)  # fmt: skip
_COINS_CURRENCY: Final = "USDT"
_SQLITE: Final = frozenset({"sqlite", "sqlite+pysqlite"})
_POSTGRESQL: Final = "postgresql+psycopg"  # the driver that a release contains
_DATABASE_FORMS: Final = f"sqlite:////path/to/file or {_POSTGRESQL}://user@host/name"
_FEWEST_CHARACTERS: Final = 12  # distinct ones; 32 random characters of base64 have about 25


def of_algosat(file: str, settings: AlgosatFile) -> Iterator[Problem]:
    def problem(key: str, text: str) -> Problem:
        return Problem(file, key, text)

    tokens = settings.security
    keys = {"security.secret_key": tokens.secret_key} | {
        f"security.previous_secret_keys.{number}": key
        for number, key in enumerate(tokens.previous_secret_keys)
    }
    for name, key in keys.items():
        length = len(key.get_secret_value().encode())
        if length < _KEY_BYTES[tokens.algorithm]:
            yield problem(
                name,
                f"has {length} bytes, {tokens.algorithm} needs {_KEY_BYTES[tokens.algorithm]}; "
                "make one with `algosat credentials generate`",
            )
    yield from (
        problem("security.rate_limit_storage", text)
        for text in _of_storage(tokens.rate_limit_storage, settings.api.workers)
    )
    yield from (problem("database.url", text) for text in _of_database(settings.database.url))
    low = too_low(settings.risk.model_dump())
    yield from (problem(f"risk.{name}", text) for name, text in low)
    _, wrong = calendar_file.read(market_phases.packaged(), settings.calendar)
    for place, text in wrong:
        yield problem("calendar", f"{place}: {text}" if place else text)
    yield from (problem(key, text) for key, text in _of_accounts(settings.accounts))
    if settings.environment not in STRICT:
        return
    if settings.debug:
        yield problem("debug", f"must be off in {settings.environment}")
    if settings.api.reload:
        yield problem("api.reload", f"must be off in {settings.environment}")
    yield from (problem(name, WEAK) for name, key in keys.items() if _is_weak(key))


def _of_database(url: SecretStr) -> Iterator[str]:
    """Yield the problems of the store's URL. No text repeats it, since it may contain a password."""
    try:
        parsed = make_url(url.get_secret_value())
    except (ArgumentError, ValueError):
        yield f"is not the URL of a database: write {_DATABASE_FORMS}"
        return
    if parsed.drivername == _POSTGRESQL:
        return
    if parsed.drivername not in _SQLITE:
        yield f"names a database or a driver that a release does not contain: write {_DATABASE_FORMS}"
    elif not parsed.database or ":memory:" in parsed.database:
        yield "a database in memory loses every order; name a file"
    elif not Path(parsed.database).is_absolute():
        yield f"must have an absolute path, which needs four slashes: {_DATABASE_FORMS}"


def _of_storage(storage: str, workers: int) -> Iterator[str]:
    scheme, separator, rest = storage.partition("://")
    if scheme == "memory" and separator:
        if workers > 1:
            yield "memory:// counts per worker: set one worker, or name a Redis socket"
    elif scheme not in ("redis+unix", "redis", "rediss") or not rest:
        yield "must be redis+unix:///path/to/socket, or memory:// for one worker"
    elif scheme == "redis+unix" and not rest.rpartition("@")[2].startswith("/"):
        yield "must name a socket by its absolute path: redis+unix:///path/to/socket"


def _of_accounts(accounts: Sequence[AccountSettings]) -> Iterator[tuple[str, str]]:
    """Yield the key and the text of each problem."""
    if not accounts:
        yield "accounts", "is empty: name at least one account"
    names: set[str] = set()
    logins: dict[tuple[str, str], str] = {}
    for number, account in enumerate(accounts):
        key, name, brokerage = f"accounts.{number}", account.name, account.charges.brokerage
        if name in names:
            yield f"{key}.name", f"{name!r} is the name of an earlier account: give each its own"
        if name in RESERVED_NAMES:
            yield f"{key}.name", f"{name!r} is a scope of halts and limits: use another name"
        names.add(name)
        low = too_low(account.limits.model_dump())
        yield from ((f"{key}.limits.{limit}", text) for limit, text in low)
        if account.currency != "INR" and brokerage != "none":
            text = f"charges of {brokerage} are in INR, but the account is in {account.currency}: use none"
            yield f"{key}.charges.brokerage", text
        if account.broker == "paper":
            yield from ((f"{key}.{place}", text) for place, text in _of_listings(account))
        if account.credentials is not None:
            other = logins.setdefault((account.broker, account.credentials), name)
            if other != name:
                yield f"{key}.credentials", f"account {other!r} has the same login at the broker"


def _of_listings(account: AccountSettings) -> Iterator[tuple[str, str]]:
    """Yield the problems of an account whose settings do not fit what its paper market lists."""
    if account.paper.listings != "coins":
        return
    if account.currency != _COINS_CURRENCY:
        yield "currency", f"the paper market's coins are priced in {_COINS_CURRENCY}: use it"
    if account.calendar != "always_open":
        yield "calendar", "the paper market's coins trade round the clock: use always_open"


def of_security(file: str, settings: SecurityFile, environment: str) -> Iterator[Problem]:
    for number, key in enumerate(settings.encryption.keys):
        if not _is_fernet_key(key):
            yield Problem(
                file,
                f"encryption.keys.{number}",
                "is not a Fernet key (32 bytes in base64); make one with `algosat credentials generate`",
            )
        elif environment in STRICT and _is_weak(key):
            yield Problem(file, f"encryption.keys.{number}", WEAK)
    if "/health" not in settings.access_control.public_endpoints:
        yield Problem(
            file,
            "access_control.public_endpoints",
            "must name /health: releases and restores ask it whether all is well, without a login",
        )
    if environment in STRICT and not settings.authentication.enabled:
        yield Problem(file, "authentication.enabled", f"must be on in {environment}")


def of_file(path: Path, environment: str) -> Iterator[Problem]:
    if environment not in STRICT or not path.exists():
        return
    mode = path.stat().st_mode
    if mode & stat.S_IRWXO:
        yield Problem(
            path.name, "", f"is open to every user (mode {stat.S_IMODE(mode):04o}); run: chmod o-rwx {path}"
        )


WEAK: Final = "is a placeholder or too easy to guess; make one with `algosat credentials generate`"


def _is_weak(secret: SecretStr) -> bool:
    value = secret.get_secret_value()
    is_placeholder = any(word in value.lower() for word in _PLACEHOLDERS)
    return is_placeholder or len(set(value)) < _FEWEST_CHARACTERS or is_published(value)


def _is_fernet_key(secret: SecretStr) -> bool:
    try:
        return len(base64.urlsafe_b64decode(secret.get_secret_value())) == 32
    except (ValueError, binascii.Error):
        return False
