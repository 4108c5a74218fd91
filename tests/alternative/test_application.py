"""The application goes by the values it was told: settings, store, workers, accounts, limits, places."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from testinfra.host import Host

from algosat.config.overrides import KEYS
from tests.host.outside import Outside
from tests.host.told import Told
from tests.host.trader import Trader

pytestmark = pytest.mark.unit("algosat", "algosat-engine", "algosat-strategies")

PASSWORD = "Gr8-helper-of-the-desk"
MASKED = {"secret_key", "previous_secret_keys", "keys", "url"}


@pytest.fixture
def somebody(host: Host) -> str:
    """Another one who may trade."""
    name = f"helper-{uuid.uuid4().hex[:8]}"
    host.check_output("echo %s | algosat user add %s --role trader --password-stdin", PASSWORD, name)
    return name


def as_told(value: Any) -> Any:
    """Amounts are strings in JSON: numbers are compared as numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return value


def test_every_setting_in_force_is_the_inventorys(trader: Trader, told: Told) -> None:
    shown = trader.read("/config/summary")["settings"]
    found = {(section, name): it for section, items in shown.items() for name, it in items.items()}
    assert len(found) == len(KEYS)
    wrong = {
        it["inventory_variable"]: it["value"]
        for (_, name), it in found.items()
        if name not in MASKED and as_told(it["value"]) != as_told(told[it["inventory_variable"]])
    }
    assert wrong == {}


def test_secrets_are_not_shown(trader: Trader, told: Told) -> None:
    text = trader.ask("GET", "/config/summary").text
    assert told["algosat_security_secret_key"] not in text
    assert told["machine_database_password"] not in text


def test_store_is_on_postgresql_and_nowhere_else(host: Host, told: Told, trader: Trader) -> None:
    order = json.loads(trader.buy(trader.instrument()["symbol"], 7).text)["id"]
    url = told["algosat_database_url"].replace("+psycopg", "")
    ask = f"runuser -u {told['algosat_user']} -- psql --no-psqlrc --tuples-only --no-align"
    query = f"SELECT id FROM orders WHERE id = '{order}'"
    assert host.check_output(f'cd / && {ask} --dbname="{url}" --command="{query}"') == order
    assert host.check_output("find %s -name '*.db*'", told["algosat_data_directory"]) == ""


def test_so_many_workers_serve_as_were_told(host: Host, told: Told) -> None:
    master = host.check_output("systemctl show --property=MainPID --value algosat.service")
    workers = host.check_output("cat /proc/%s/task/%s/children", master, master).split()
    assert len(workers) == told["algosat_api_workers"]


def test_application_listens_where_it_was_told(host: Host, told: Told) -> None:
    listening = host.check_output("ss --listening --tcp --numeric --no-header")
    assert told(" {algosat_api_host}:{algosat_api_port} ") in listening
    assert ":8080 " not in listening


def test_nothing_lies_where_the_defaults_would_have_put_it(host: Host, told: Told) -> None:
    default = {
        "/opt/algosat": "algosat_home",
        "/etc/algosat": "algosat_config_directory",
        "/var/lib/algosat": "algosat_data_directory",
        "/var/log/algosat": "algosat_log_directory",
        "/run/algosat": "algosat_runtime_directory",
        "/etc/ssl/algosat": "algosat_tls_directory",
    }
    stray = [path for path, name in default.items() if told[name] != path and host.file(path).exists]
    assert stray == []
    assert host.user("algosat").exists == (told["algosat_user"] == "algosat")


def test_order_beyond_the_limit_of_the_inventory_is_denied(trader: Trader, told: Told) -> None:
    largest = told["algosat_risk_max_order_quantity"]
    assert trader.buy(trader.instrument()["symbol"], largest + 1).status == 422


def test_symbol_that_the_inventory_does_not_allow_is_denied(trader: Trader, told: Told) -> None:
    allowed = told["algosat_risk_allowed_symbols"]
    others = [it["symbol"] for it in trader.read("/instruments")["items"] if it["symbol"] not in allowed]
    answer = trader.buy(others[0], 1)
    assert answer.status == (422 if allowed else 201), answer.text


def test_route_that_is_not_public_any_more_asks_who_you_are(outside: Outside) -> None:
    assert outside.get("/docs").status == 401
    assert outside.get("/openapi.json").status == 200


def test_route_for_admins_alone_is_refused_to_a_trader(
    outside: Outside, told: Told, trader: Trader, somebody: str
) -> None:
    assert told["algosat_access_control_admin_only_endpoints"] == ["/instruments"]
    helper = Trader.logged_in(outside, somebody, PASSWORD)
    assert helper.ask("GET", "/instruments").status == 403
    assert helper.ask("GET", "/orders").status == 200
    assert trader.ask("GET", "/instruments").status == 200


def test_account_is_locked_after_as_many_failures_as_were_told(
    outside: Outside, told: Told, somebody: str
) -> None:
    wrong = json.dumps({"username": somebody, "password": "none of these"}).encode()
    answers = [
        outside.ask("POST", "/auth/login", wrong, {"Content-Type": "application/json"})
        for _ in range(told["algosat_authentication_max_login_attempts"] + 1)
    ]
    *failures, locked = answers
    assert [it.status for it in failures] == [401] * len(failures)
    assert (locked.status, locked.problem["code"]) == (429, "locked_out")


def test_token_lives_as_long_as_was_told(outside: Outside, told: Told, credentials: tuple[str, str]) -> None:
    body = json.dumps(dict(zip(("username", "password"), credentials, strict=True))).encode()
    answer = outside.ask("POST", "/auth/login", body, {"Content-Type": "application/json"})
    assert json.loads(answer.text)["expires_in"] == told["algosat_security_access_token_expire_minutes"] * 60


def test_releases_are_kept_for_as_many_as_were_told(host: Host, told: Told) -> None:
    assert json.loads(host.file(told("{algosat_home}/release.json")).content_string)["kept"] == 2
    assert host.run(told("{algosat_home}/bin/release list")).rc == 0


def test_log_is_written_where_and_as_it_was_told(host: Host, told: Told) -> None:
    last = host.check_output("tail --lines=1 %s", told["algosat_logging_file"])
    assert last.startswith("{") == (told["algosat_logging_format"] == "json")
