"""The settings in algosat.yaml and security.yaml.

Ansible renders every key, so none has a default here: a missing key is an error at start, and so is an
unknown one. The names contain the units.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, SecretStr, create_model

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.risk.limits import Limits

Environment = Literal["development", "testing", "staging", "production"]
# Bounded, so that a number of seconds or minutes can be added to a date.
Positive = Annotated[int, Field(gt=0, le=1_000_000_000)]
NotNegative = Annotated[int, Field(ge=0, le=1_000_000_000)]
Percent = Annotated[int, Field(ge=1, le=100)]
# As exact and as large as amounts in API requests; the store holds nine times as much.
Amount = Annotated[Decimal, Field(gt=0, le=10_000_000_000, decimal_places=8)]
Seconds = Annotated[float, Field(gt=0, le=1_000_000_000)]


class _Live:
    """Marks the keys that `PUT /config/update` can change. Their readers ask LiveSettings each time."""


LIVE: Final = _Live()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Range of values that `PUT /config/update` accepts for a security setting. The inventory may exceed it.

    A stolen token must neither disable a limit nor lock the owner out.
    """

    low: int
    high: int


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(Section):
    url: SecretStr  # a PostgreSQL URL carries a password
    pool_size: Positive
    max_overflow: NotNegative
    reserve_megabytes: NotNegative  # kept for exits, halts and logins while the disk is full; SQLite only


class ApiSettings(Section):
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    workers: Positive
    threads: Positive
    reload: bool
    max_body_bytes: Positive
    trusted_proxies: NotNegative  # number of proxies in front whose client address is trusted
    # the wait for orders whose request has no `Prefer: wait`
    order_wait_seconds: Annotated[float, Field(ge=0, le=30), LIVE]


class LoggingSettings(Section):
    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], LIVE]
    format: Literal["json", "text"]
    file: Path | None  # None: standard output only
    # logrotate applies these two; it gets them from the same inventory variables.
    max_size: Annotated[str, Field(pattern=r"^[1-9][0-9]*[kMG]?$")]
    backup_count: NotNegative


class TokenSettings(Section):
    """`security:` of algosat.yaml."""

    secret_key: SecretStr
    previous_secret_keys: tuple[
        SecretStr, ...
    ]  # no longer sign; tokens signed with them stay valid until they expire
    algorithm: Literal["HS256", "HS384", "HS512"]
    access_token_expire_minutes: Annotated[Positive, LIVE, Bounds(1, 1440)]
    refresh_token_expire_days: Annotated[int, Field(gt=0, le=3650), LIVE, Bounds(1, 90)]
    rate_limit_requests: Annotated[Positive, LIVE, Bounds(1, 100_000)]  # per client and window
    rate_limit_window: Annotated[Positive, LIVE, Bounds(1, 3600)]  # seconds
    rate_limit_storage: str  # memory:// for one worker, else redis+unix:///path


class MonitoringSettings(Section):
    metrics_enabled: bool
    health_check_interval: Annotated[Seconds, LIVE]
    performance_monitoring: Annotated[bool, LIVE]


class VpsSettings(Section):
    optimization_enabled: bool
    memory_threshold: Annotated[Percent, LIVE]
    cpu_threshold: Annotated[Percent, LIVE]
    disk_threshold: Annotated[Percent, LIVE]


class EngineSettings(Section):
    # interval of polling, in case a wake-up is lost
    poll_seconds: Annotated[float, Field(gt=0, le=60)]
    reconcile_seconds: Annotated[float, Field(gt=0, le=300)]
    # of searching the broker's book before an order becomes `not_found`
    unknown_window_seconds: Annotated[float, Field(ge=1, le=86_400)]
    orders_per_second: Positive  # outbound, per account, by the calendar second
    orders_per_minute: Positive
    orders_per_day: Positive
    # an order that is not sent by then is rejected; below 2 s, every order that waits for a moment
    send_deadline_seconds: Annotated[float, Field(ge=2, le=3600)]
    # before the close: intraday positions are closed and no new ones opened
    square_off_minutes: Annotated[int, Field(gt=0, le=360)]
    flatten_on_daily_loss: bool  # close what a halt covers whose daily loss limit was reached


class PaperSettings(Section):
    """The generated market of an account at the paper broker."""

    seed: int
    speed: Annotated[float, Field(gt=0, le=1000)]  # market seconds per second
    starting_cash: Amount
    latency_ms: NotNegative
    # Shares and contracts in INR, or currency pairs in USDT that trade round the clock and state their fees.
    listings: Literal["shares", "coins"]


class ChargesSettings(Section):
    """How fills are charged."""

    # The plan in the packaged table of charges; none: the trades themselves state their fees.
    brokerage: Literal["zerodha", "fyers", "none"]
    exchange: Literal["nse", "bse"]  # whose transaction charges apply


# How the value of a limit is written in the file, by its type; True: zero is allowed.
_LIMIT_TYPES: Final[Mapping[tuple[str, bool], Any]] = {
    ("Decimal", False): Amount,
    ("int", False): Positive,
    ("bool", False): bool,
    ("float", False): Seconds,
    ("float", True): Annotated[float, Field(ge=0, le=86_400)],
    ("tuple[str, ...]", False): tuple[str, ...],
}


def _type_of(limit: dataclasses.Field[Any]) -> Any:
    return _LIMIT_TYPES[str(limit.type), limit.metadata["zero_allowed"]]


if TYPE_CHECKING:

    class RiskSettings(Section, Limits): ...

else:
    RiskSettings = create_model(
        "RiskSettings",
        __base__=Section,
        __doc__="The limits the gate applies to the account.",
        **{limit.name: (_type_of(limit), Field()) for limit in fields(Limits)},
    )


if TYPE_CHECKING:

    class AccountLimits(Section): ...

else:
    AccountLimits = create_model(
        "AccountLimits",
        __base__=Section,
        __doc__="The limits of an account that differ from those of `risk`.",
        **{limit.name: (_type_of(limit) | None, None) for limit in fields(Limits)},
    )


class AccountSettings(Section):
    """One account at a broker."""

    # Also the account's name in stored rows, the scope of halts and limits, and part of metrics.
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    broker: Literal["paper"]
    currency: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{2,9}$")]
    calendar: Literal["exchange", "always_open"]  # always_open: trade round the clock, every day
    charges: ChargesSettings
    limits: AccountLimits
    credentials: str | None  # the name of the broker's credentials; None: the broker needs none
    outbound_address: IPvAnyAddress | None  # from which the broker is called; None: any
    paper: PaperSettings

    @property
    def venue(self) -> str:
        """Whose instruments and prices the account trades: its broker's, or its own paper market's."""
        return {"paper": self.name}.get(self.broker, self.broker)

    @property
    def zone(self) -> tzinfo:
        """The time zone of the venue's days."""
        return UTC if self.paper.listings == "coins" else EXCHANGE_TIME

    def limits_over(self, risk: Limits) -> Limits:
        """Return the limits of this account: its own, and those of `risk` for all others."""
        own = self.limits.model_dump(exclude_none=True)
        return Limits(**{name: own.get(name, getattr(risk, name)) for name in Limits.__slots__})


def checked_limits(values: Mapping[str, Any]) -> Limits:
    """Return limits from their written values. Raises pydantic.ValidationError."""
    return Limits(**RiskSettings.model_validate(values).model_dump())


class AlgosatFile(Section):
    """algosat.yaml"""

    environment: Environment
    debug: bool  # whether a server error (5xx) shows its traceback to an admin; never in production
    runtime_directory: Path
    data_directory: Path
    database: DatabaseSettings
    api: ApiSettings
    logging: LoggingSettings
    security: TokenSettings
    monitoring: MonitoringSettings
    vps: VpsSettings
    calendar: str  # YAML text that extends the packaged calendar; empty: nothing
    accounts: tuple[AccountSettings, ...]  # the first one is the default
    engine: EngineSettings
    risk: RiskSettings


class AuthenticationSettings(Section):
    enabled: bool
    # seconds without a request until a session ends
    session_timeout: Annotated[Positive, LIVE, Bounds(60, 2_592_000)]
    max_login_attempts: Annotated[Positive, LIVE, Bounds(3, 100)]
    # seconds, at most 30 days
    lockout_duration: Annotated[int, Field(gt=0, le=2_592_000), LIVE, Bounds(60, 86_400)]


class EncryptionSettings(Section):
    key_rotation_days: Positive
    algorithm: Literal["fernet"]
    keys: Annotated[tuple[SecretStr, ...], Field(min_length=1)]  # newest first; the first one encrypts


class SecurityMonitoringSettings(Section):
    log_failed_attempts: Annotated[bool, LIVE]
    # Failed logins from one address, over all names, within the lockout duration.
    alert_threshold: Annotated[Positive, LIVE, Bounds(1, 1000)]
    block_suspicious_ips: Annotated[bool, LIVE]  # whether logins from the address are then locked out


class AccessControlSettings(Section):
    """Access rules of the inventory. They can raise the access level of a route, never lower it."""

    admin_only_endpoints: tuple[str, ...]  # routes that require an admin in addition to those of the code
    public_endpoints: tuple[str, ...]  # which of the routes marked public in the code are public


class SecurityFile(Section):
    """security.yaml"""

    authentication: AuthenticationSettings
    encryption: EncryptionSettings
    monitoring: SecurityMonitoringSettings
    access_control: AccessControlSettings


class Settings(Section):
    """The settings of both files."""

    algosat: AlgosatFile
    security: SecurityFile
