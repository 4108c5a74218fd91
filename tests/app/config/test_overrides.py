from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from algosat.config.loader import load
from algosat.config.overrides import KEYS, Override, applied
from algosat.config.settings import Settings
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
