from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from algosat.config.loader import load
from algosat.errors import ConfigurationError
from tests.app.builders import SECRET_KEY, account_data, algosat_data, security_data, write_configuration


def problems_of(directory: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        load(directory)
    return [(e["file"], e["key"], e["detail"]) for e in caught.value.errors]


def test_valid_files_become_typed_settings(tmp_path: Path) -> None:
    settings = load(write_configuration(tmp_path))
    assert settings.algosat.api.port == 8080
    assert settings.algosat.risk.max_order_value == Decimal(1000000)
    assert settings.algosat.risk.allowed_symbols == ()
    assert settings.security.authentication.max_login_attempts == 5


def test_all_problems_of_both_files_are_in_one_error(tmp_path: Path) -> None:
    algosat = algosat_data(tmp_path, api__port="8080", debug="no", databse={})
    del algosat["risk"]["max_open_orders"]
    security = security_data(authentication__session_timeout=0)
    write_configuration(tmp_path, algosat, security)
    assert problems_of(tmp_path) == [
        ("algosat.yaml", "debug", "input should be a valid boolean"),
        ("algosat.yaml", "api.port", "input should be a valid integer"),
        ("algosat.yaml", "risk.max_open_orders", "is missing"),
        ("algosat.yaml", "databse", "is not a known setting; did you mean database?"),
        ("security.yaml", "authentication.session_timeout", "input should be greater than 0"),
    ]


def test_message_has_one_line_per_problem(tmp_path: Path) -> None:
    write_configuration(tmp_path, algosat_data(tmp_path, api__workers=0, api__threads=0))
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert str(caught.value).splitlines() == [
        "2 problems in the configuration:",
        "  - algosat.yaml: api.workers: input should be greater than 0",
        "  - algosat.yaml: api.threads: input should be greater than 0",
    ]


def test_both_missing_files_are_reported(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == [
        ("algosat.yaml", "", f"there is no such file in {tmp_path}"),
        ("security.yaml", "", f"there is no such file in {tmp_path}"),
    ]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a: [1", "line 2: did not find expected ',' or ']'"),
        ("debug: true\ndebug: false", "line 2: the key debug is written twice"),
        ("- a list", "is not a mapping of sections"),
        ("", "is not a mapping of sections"),
    ],
)
def test_malformed_yaml_is_reported_with_its_line(tmp_path: Path, text: str, finding: str) -> None:
    write_configuration(tmp_path)
    (tmp_path / "algosat.yaml").write_text(text)
    assert problems_of(tmp_path) == [("algosat.yaml", "", finding)]


def test_file_that_is_not_text_is_reported(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    (tmp_path / "security.yaml").write_bytes(b"\xff\xfe\x00")
    assert problems_of(tmp_path) == [("security.yaml", "", "is not UTF-8 text")]


def test_secret_of_the_wrong_type_is_not_in_the_message(tmp_path: Path) -> None:
    write_configuration(tmp_path, algosat_data(tmp_path, security__secret_key=[SECRET_KEY]))
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert SECRET_KEY not in str(caught.value)
    assert "security.secret_key" in str(caught.value)


PRODUCTION_RULES = [
    ({"debug": True}, {}, "debug"),
    ({"api__reload": True}, {}, "api.reload"),
    ({"security__secret_key": "change-me-" + SECRET_KEY}, {}, "security.secret_key"),
    ({"security__secret_key": "ab" * 20}, {}, "security.secret_key"),
    ({"security__secret_key": "short"}, {}, "security.secret_key"),
    ({}, {"authentication__enabled": False}, "authentication.enabled"),
    ({}, {"encryption__keys": ["A" * 43 + "="]}, "encryption.keys.0"),
    ({}, {"encryption__keys": ["not a key"]}, "encryption.keys.0"),
]


@pytest.mark.parametrize(("algosat", "security", "key"), PRODUCTION_RULES)
def test_setting_is_refused_in_production(
    tmp_path: Path, algosat: dict[str, Any], security: dict[str, Any], key: str
) -> None:
    write_configuration(
        tmp_path,
        algosat_data(tmp_path, environment="production", **algosat),
        security_data(**security),
    )
    assert {found for _, found, _ in problems_of(tmp_path)} == {key}


def test_files_readable_by_everyone_are_refused_in_production(tmp_path: Path) -> None:
    write_configuration(tmp_path, algosat_data(tmp_path, environment="production"))
    (tmp_path / "security.yaml").chmod(0o644)
    assert problems_of(tmp_path) == [
        ("security.yaml", "", f"is open to every user (mode 0644); run: chmod o-rwx {tmp_path}/security.yaml")
    ]


def test_development_accepts_what_production_refuses(tmp_path: Path) -> None:
    write_configuration(
        tmp_path,
        algosat_data(
            tmp_path, environment="development", debug=True, security__secret_key="change-me-" + SECRET_KEY
        ),
        security_data(authentication__enabled=False),
    )
    (tmp_path / "security.yaml").chmod(0o644)
    assert load(tmp_path).algosat.debug is True


def test_health_must_be_a_public_endpoint(tmp_path: Path) -> None:
    write_configuration(tmp_path, security=security_data(access_control__public_endpoints=["/"]))
    assert {found for _, found, _ in problems_of(tmp_path)} == {"access_control.public_endpoints"}


@pytest.mark.parametrize(
    ("differences", "key"),
    [
        ({"security__secret_key": "short"}, "security.secret_key"),
        ({"security__algorithm": "HS512"}, "security.secret_key"),
        ({"api__workers": 2}, "security.rate_limit_storage"),
        *(
            ({"database__url": url}, "database.url")
            for url in (
                "sqlite:///:memory:",
                "sqlite://",
                "sqlite:///store.db",
                "mysql://x",
                "postgresql://algosat@/book",  # the driver psycopg2
                "postgresql+psycopg://algosat@host:port/book",
                "a path",
            )
        ),
        *(
            ({"security__rate_limit_storage": storage}, "security.rate_limit_storage")
            for storage in ("redsi+unix:///x", "redis+unix://x.sock", "redis+unix://", "memory", "/run/redis")
        ),
        ({"logging__max_size": "lots"}, "logging.max_size"),
        ({"logging__max_size": "0"}, "logging.max_size"),
        ({"risk__stale_quote_seconds": 0.001}, "risk.stale_quote_seconds"),
        ({"accounts__0__limits": {"stale_quote_seconds": 0.5}}, "accounts.0.limits.stale_quote_seconds"),
        ({"engine__send_deadline_seconds": 0.0001}, "engine.send_deadline_seconds"),
        ({"engine__unknown_window_seconds": 0.1}, "engine.unknown_window_seconds"),
        ({"engine__reconcile_seconds": 86_400}, "engine.reconcile_seconds"),
        ({"engine__poll_seconds": 3600}, "engine.poll_seconds"),
        ({"engine__square_off_minutes": 1_000_000}, "engine.square_off_minutes"),
        # more than the store can hold
        ({"accounts__0__paper__starting_cash": 1_000_000_000_000}, "accounts.0.paper.starting_cash"),
        ({"accounts__0__charges__exchange": "mcx"}, "accounts.0.charges.exchange"),
        ({"accounts__0__charges__brokerage": "nobody"}, "accounts.0.charges.brokerage"),
        ({"accounts__0__currency": "usd"}, "accounts.0.currency"),
        ({"accounts__0__currency": "USD"}, "accounts.0.charges.brokerage"),  # charges in rupees
        ({"accounts__0__paper__listings": "coins"}, "accounts.0.currency"),
        ({"accounts__0__paper__listings": "gold"}, "accounts.0.paper.listings"),
        ({"accounts__0__calendar": "lunar"}, "accounts.0.calendar"),
        ({"accounts__0__broker": "nobody"}, "accounts.0.broker"),
        ({"accounts__0__name": "Paper"}, "accounts.0.name"),
        ({"accounts__0__name": "total"}, "accounts.0.name"),  # a scope
        ({"accounts__0__limits": {"max_daily_loss": 0}}, "accounts.0.limits.max_daily_loss"),
        ({"accounts__0__limits": {"max_loss": 1}}, "accounts.0.limits.max_loss"),
        ({"accounts__0__outbound_address": "10.0.0"}, "accounts.0.outbound_address"),
        ({"accounts": []}, "accounts"),
        ({"accounts": [account_data(), account_data()]}, "accounts.1.name"),
        ({"risk__max_order_value": "0.000000001"}, "risk.max_order_value"),
        ({"risk__duplicate_window_seconds": 1e12}, "risk.duplicate_window_seconds"),
        ({"engine__poll_seconds": float("inf")}, "engine.poll_seconds"),
        ({"security__refresh_token_expire_days": 10_000_000}, "security.refresh_token_expire_days"),
    ],
)
def test_setting_is_refused_in_every_environment(
    tmp_path: Path, differences: dict[str, Any], key: str
) -> None:
    write_configuration(tmp_path, algosat_data(tmp_path, **differences))
    assert {found for _, found, _ in problems_of(tmp_path)} == {key}


@pytest.mark.parametrize(
    "differences",
    [
        {"database__url": "sqlite+pysqlite:////var/lib/algosat/algosat.db"},
        {"database__url": "postgresql+psycopg://algosat@/book?host=/run/postgresql"},
        {"security__rate_limit_storage": "redis+unix:///run/redis/redis.sock"},
        {"security__rate_limit_storage": "redis+unix://:a-password@/run/redis/redis.sock"},
        {"security__rate_limit_storage": "redis://10.0.0.1:6379"},
        {"logging__max_size": "100k"},
    ],
)
def test_setting_is_accepted(tmp_path: Path, differences: dict[str, Any]) -> None:
    load(write_configuration(tmp_path, algosat_data(tmp_path, **differences)))


def test_password_in_the_url_of_the_database_is_not_in_the_message(tmp_path: Path) -> None:
    url = "postgresql+psycopg2://desk:swordfish@host/book"
    write_configuration(tmp_path, algosat_data(tmp_path, database__url=url))
    assert "swordfish" not in str(problems_of(tmp_path))


def test_rules_of_one_file_are_checked_if_the_other_is_invalid(tmp_path: Path) -> None:
    write_configuration(
        tmp_path,
        algosat_data(tmp_path, environment="production", api__port=0),
        security_data(authentication__enabled=False),
    )
    assert {key for _, key, _ in problems_of(tmp_path)} == {"api.port", "authentication.enabled"}


def test_yaml_tags_of_python_objects_are_refused(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    (tmp_path / "algosat.yaml").write_text("debug: !!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigurationError, match="could not determine a constructor"):
        load(tmp_path)


def test_value_that_looks_like_a_date_stays_text(tmp_path: Path) -> None:
    data = algosat_data(tmp_path)
    text = yaml.safe_dump(data).replace("host: 127.0.0.1", "host: 2026-01-01")
    write_configuration(tmp_path)
    (tmp_path / "algosat.yaml").write_text(text)
    assert load(tmp_path).algosat.api.host == "2026-01-01"


def test_date_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    write_configuration(tmp_path, algosat_data(tmp_path))
    (tmp_path / "algosat.yaml").write_text("debug: 2027-13-01")
    ((file, key, text),) = problems_of(tmp_path)
    assert (file, key) == ("algosat.yaml", "")
    assert "a date that does not exist" in text
