"""Builders of valid configurations and orders; a test names only the values that matter to it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from algosat.config.loader import ALGOSAT_FILE, SECURITY_FILE
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.orders import EventKind, Order, OrderEvent, OrderTerms, OrderType, Side, apply, create

SECRET_KEY = "kV9wq2Zb7RtYx4Lm8NcD3fGhJ5sPaQ1e"
NOW = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)
LIMIT = OrderTerms("paper", "ALPHA-EQ", Side.BUY, Decimal(10), OrderType.LIMIT, limit_price=Decimal(100))
FERNET_KEY = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k="


def exchange(day: str, clock: str = "12:00") -> datetime:
    """Return a date and time given in exchange time, converted to UTC."""
    local = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock), EXCHANGE_TIME)
    return local.astimezone(UTC)


def account_data(**differences: Any) -> dict[str, Any]:
    """Return an account of algosat.yaml; `section__key=value` changes one value."""
    return _changed(
        {
            "name": "paper",
            "broker": "paper",
            "currency": "INR",
            "calendar": "always_open",
            "charges": {"brokerage": "zerodha", "exchange": "nse"},
            "limits": {},
            "credentials": None,
            "outbound_address": None,
            "paper": {
                "seed": 7,
                "speed": 1,
                "starting_cash": "1000000",
                "latency_ms": 0,
                "listings": "shares",
            },
        },
        differences,
    )


def algosat_data(directory: Path, **differences: Any) -> dict[str, Any]:
    """Return algosat.yaml for a server under `directory`; `section__key=value` changes one value."""
    return _changed(
        {
            "environment": "testing",
            "debug": False,
            "runtime_directory": str(directory / "run"),
            "data_directory": str(directory / "data"),
            "calendar": "",
            "database": {
                "url": f"sqlite:///{directory / 'data' / 'algosat.db'}",
                "pool_size": 5,
                "max_overflow": 5,
                "reserve_megabytes": 1,
            },
            "api": {
                "host": "127.0.0.1",
                "port": 8080,
                "workers": 1,
                "threads": 24,
                "reload": False,
                "max_body_bytes": 1_048_576,
                "trusted_proxies": 0,
                "order_wait_seconds": 1,
            },
            "logging": {
                "level": "INFO",
                "format": "json",
                "file": None,
                "max_size": "50M",
                "backup_count": 7,
            },
            "security": {
                "secret_key": SECRET_KEY,
                "previous_secret_keys": [],
                "algorithm": "HS256",
                "access_token_expire_minutes": 30,
                "refresh_token_expire_days": 7,
                "rate_limit_requests": 1000,
                "rate_limit_window": 60,
                "rate_limit_storage": "memory://",
            },
            "monitoring": {
                "metrics_enabled": True,
                "health_check_interval": 30,
                "performance_monitoring": True,
            },
            "vps": {
                "optimization_enabled": True,
                "memory_threshold": 85,
                "cpu_threshold": 90,
                "disk_threshold": 90,
            },
            "accounts": [account_data()],
            "engine": {
                "poll_seconds": 0.5,
                "reconcile_seconds": 5,
                "unknown_window_seconds": 60,
                "orders_per_second": 9,
                "orders_per_minute": 200,
                "orders_per_day": 5000,
                "send_deadline_seconds": 10,
                "square_off_minutes": 15,
                "flatten_on_daily_loss": False,
            },
            "risk": {
                "price_band_percent": "5",
                "max_order_quantity": "10000",
                "max_order_value": "1000000",
                "max_position_value": "5000000",
                "max_gross_exposure": "10000000",
                "max_order_lots": 100,
                "max_position_margin": "1000000",
                "max_gross_margin": "2000000",
                "option_writing": False,
                "max_open_orders": 100,
                "max_orders_per_second": 50,
                "max_orders_per_day": 5000,
                "max_daily_loss": "100000",
                "duplicate_window_seconds": 0,
                "stale_quote_seconds": 10,
                "allowed_symbols": [],
            },
        },
        differences,
    )


def security_data(**differences: Any) -> dict[str, Any]:
    """Return security.yaml; `section__key=value` changes one value."""
    return _changed(
        {
            "authentication": {
                "enabled": True,
                "session_timeout": 3600,
                "max_login_attempts": 5,
                "lockout_duration": 900,
            },
            "encryption": {"key_rotation_days": 90, "algorithm": "fernet", "keys": [FERNET_KEY]},
            "monitoring": {
                "log_failed_attempts": True,
                "alert_threshold": 10,
                "block_suspicious_ips": True,
            },
            "access_control": {
                "admin_only_endpoints": [],
                "public_endpoints": ["/", "/health", "/metrics", "/docs", "/openapi.json"],
            },
        },
        differences,
    )


def write_configuration(
    directory: Path, algosat: dict[str, Any] | None = None, security: dict[str, Any] | None = None
) -> Path:
    """Write both files to `directory` with the mode that Ansible gives them. Returns the directory."""
    for name in ("run", "data"):
        (directory / name).mkdir(exist_ok=True)
    for name, data in (
        (ALGOSAT_FILE, algosat or algosat_data(directory)),
        (SECURITY_FILE, security or security_data()),
    ):
        path = directory / name
        path.write_text(yaml.safe_dump(data))
        path.chmod(0o640)
    return directory


def order_after(*events: OrderEvent | EventKind, terms: OrderTerms = LIMIT) -> Order:
    """Return a new order after these events; a kind stands for an event without further fields."""
    order = create("a" + "0" * 17, terms, NOW)
    for each in events:
        order = apply(order, OrderEvent(each, NOW) if isinstance(each, EventKind) else each)
    return order


def _changed(data: dict[str, Any], differences: dict[str, Any]) -> dict[str, Any]:
    for dotted, value in differences.items():
        *sections, key = dotted.split("__")
        target: Any = data
        for section in sections:
            target = target[int(section) if isinstance(target, list) else section]
        target[key] = value
    return data
