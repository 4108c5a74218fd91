from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from algosat.config.loader import load
from algosat.config.overrides import KEYS, Override, applied
from algosat.config.settings import Bounds, Settings
from tests.app.builders import write_configuration


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(write_configuration(tmp_path))


def test_override_replaces_one_value_in_a_copy_of_the_settings(settings: Settings) -> None:
    changed = applied(settings, [Override("security", "rate_limit_requests", 5)])
    assert changed.algosat.security.rate_limit_requests == 5
    assert settings.algosat.security.rate_limit_requests == 1000
    assert changed.algosat.security.secret_key == settings.algosat.security.secret_key


def test_settings_of_the_security_file_can_be_overridden(settings: Settings) -> None:
    changed = applied(
        settings,
        [
            Override("authentication", "max_login_attempts", 3),
            Override("security_monitoring", "alert_threshold", 2),
        ],
    )
    assert changed.security.authentication.max_login_attempts == 3
    assert changed.security.monitoring.alert_threshold == 2


@pytest.mark.parametrize(
    "stale",
    [
        Override("api", "order_wait_seconds", "soon"),
        Override("api", "gone_since_the_upgrade", 1),
        Override("api", "port", 1),
    ],
)
def test_invalid_stored_override_is_ignored(settings: Settings, stale: Override) -> None:
    assert applied(settings, [stale]) == settings


@pytest.mark.parametrize("value", ["5", 0, -1, True, 1.5, None, [5], 10**400])
def test_value_of_the_wrong_type_is_refused(value: object) -> None:
    with pytest.raises((ValidationError, TypeError)):
        KEYS["security", "rate_limit_requests"].parse(value)


PROTECTION = {
    *(("security", name) for name in ("access_token_expire_minutes", "refresh_token_expire_days")),
    *(("security", name) for name in ("rate_limit_requests", "rate_limit_window")),
    *(("authentication", name) for name in ("session_timeout", "max_login_attempts", "lockout_duration")),
    ("security_monitoring", "alert_threshold"),
}


@pytest.mark.parametrize(("section", "name"), sorted(PROTECTION))
def test_protection_is_changed_within_bounds_only(settings: Settings, section: str, name: str) -> None:
    """A stolen token must neither switch a protection off nor lock the owner out with it."""
    key = KEYS[section, name]
    (bounds,) = (each for each in key.field.metadata if isinstance(each, Bounds))
    assert bounds.low <= key.value_in(settings) <= bounds.high
    for value in (bounds.low, bounds.high):
        assert key.parse(value) == value
    for value in (bounds.low - 1, bounds.high + 1, 1_000_000_000):
        with pytest.raises(ValidationError):
            key.parse(value)
        assert applied(settings, [Override(section, name, value)]) == settings


def test_every_live_number_that_protects_has_bounds() -> None:
    sections = {section for section, _ in PROTECTION}
    numbers = {
        at for at, key in KEYS.items() if key.is_live and at[0] in sections and key.field.annotation is int
    }
    assert numbers == PROTECTION


def test_integer_is_accepted_for_a_decimal() -> None:
    assert KEYS["api", "order_wait_seconds"].parse(2) == Decimal(2)


def test_no_secret_can_be_overridden() -> None:
    live = {key for key in KEYS.values() if key.is_live}
    assert live
    assert not [key for key in live if "Secret" in str(key.field.annotation)]


def test_inventory_variable_is_named_after_section_and_key() -> None:
    assert KEYS["api", "workers"].inventory_variable == "algosat_api_workers"
    assert KEYS["", "debug"].inventory_variable == "algosat_debug"
    assert (
        KEYS["security_monitoring", "alert_threshold"].inventory_variable
        == "algosat_security_monitoring_alert_threshold"
    )
