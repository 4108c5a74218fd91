"""The application uses the values of the inventory: settings, store, workers, limits and paths."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from testinfra.host import Host

from algosat.config.overrides import KEYS
from tests.host.client import Client
from tests.host.trader import Trader
from tests.host.variables import Variables

pytestmark = pytest.mark.unit("algosat", "algosat-engine", "algosat-strategies")

PASSWORD = "Gr8-helper-of-the-desk"
MASKED = {"secret_key", "previous_secret_keys", "keys", "url"}
COMBINED = {"accounts"}  # from two variables
PARTS = ("charges", "limits", "paper")  # of an account, combined key by key


@pytest.fixture
def second_trader(host: Host) -> str:
    """Create another user with the role trader."""
    name = f"helper-{uuid.uuid4().hex[:8]}"
    host.check_output("echo %s | algosat user add %s --role trader --password-stdin", PASSWORD, name)
    return name


def comparable(value: Any) -> Any:
    """Convert numbers and numeric strings to Decimal: amounts are strings in JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return value


def test_every_setting_has_the_value_of_the_inventory(trader: Trader, variables: Variables) -> None:
    shown = trader.get_json("/config/summary")["settings"]
    found = {(section, name): it for section, items in shown.items() for name, it in items.items()}
    assert len(found) == len(KEYS)
    wrong = {
        it["inventory_variable"]: it["value"]
        for (_, name), it in found.items()
        if name not in MASKED | COMBINED
        and comparable(it["value"]) != comparable(variables[it["inventory_variable"]])
    }
    assert wrong == {}


def test_accounts_have_the_values_of_the_inventory_and_else_the_defaults(
    trader: Trader, variables: Variables
) -> None:
    shown = trader.get_json("/config/summary")["settings"]["general"]["accounts"]["value"]
    defaults = variables["algosat_account_defaults"]
    for account, given in zip(shown, variables["algosat_accounts"], strict=True):
        parts = {name: {**defaults[name], **given.get(name, {})} for name in PARTS}
        assert lacking(account, {**defaults, **given, **parts}) == {}


def lacking(shown: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is expected and not shown."""
    return {
        name: value
        for name, value in expected.items()
        if (
            lacking(shown[name], value)
            if isinstance(value, Mapping)
            else comparable(shown[name]) != comparable(value)
        )
    }


def test_secrets_are_not_shown(trader: Trader, variables: Variables) -> None:
    text = trader.request("GET", "/config/summary").text
    assert variables["algosat_security_secret_key"] not in text
    assert variables["machine_database_password"] not in text


def test_order_is_stored_in_postgresql_only(host: Host, variables: Variables, trader: Trader) -> None:
    order = json.loads(trader.buy(trader.instrument()["symbol"], 7).text)["id"]
    url = variables["algosat_database_url"].replace("+psycopg", "")
    psql = f"runuser -u {variables['algosat_user']} -- psql --no-psqlrc --tuples-only --no-align"
    query = f"SELECT id FROM orders WHERE id = '{order}'"
    assert host.check_output(f'cd / && {psql} --dbname="{url}" --command="{query}"') == order
    assert host.check_output("find %s -name '*.db*'", variables["algosat_data_directory"]) == ""


def test_api_has_the_configured_number_of_workers(host: Host, variables: Variables) -> None:
    master = host.check_output("systemctl show --property=MainPID --value algosat.service")
    workers = host.check_output("cat /proc/%s/task/%s/children", master, master).split()
    assert len(workers) == variables["algosat_api_workers"]


def test_api_listens_only_on_the_configured_address(host: Host, variables: Variables) -> None:
    listening = host.check_output("ss --listening --tcp --numeric --no-header")
    assert variables.expand(" {algosat_api_host}:{algosat_api_port} ") in listening
    assert ":8080 " not in listening


def test_default_paths_and_account_do_not_exist(host: Host, variables: Variables) -> None:
    default = {
        "/opt/algosat": "algosat_home",
        "/etc/algosat": "algosat_config_directory",
        "/var/lib/algosat": "algosat_data_directory",
        "/var/log/algosat": "algosat_log_directory",
        "/run/algosat": "algosat_runtime_directory",
        "/etc/ssl/algosat": "algosat_tls_directory",
    }
    stray = [path for path, name in default.items() if variables[name] != path and host.file(path).exists]
    assert stray == []
    assert host.user("algosat").exists == (variables["algosat_user"] == "algosat")


def test_order_above_the_configured_quantity_limit_is_denied(trader: Trader, variables: Variables) -> None:
    largest = variables["algosat_risk_max_order_quantity"]
    assert trader.buy(trader.instrument()["symbol"], largest + 1).status == 422


def test_order_for_a_symbol_that_is_not_allowed_is_denied(trader: Trader, variables: Variables) -> None:
    allowed = variables["algosat_risk_allowed_symbols"]
    others = [it["symbol"] for it in trader.get_json("/instruments")["items"] if it["symbol"] not in allowed]
    response = trader.buy(others[0], 1)
    assert response.status == (422 if allowed else 201), response.text


def test_route_removed_from_the_public_ones_requires_a_login(client: Client) -> None:
    assert client.get("/docs").status == 401
    assert client.get("/openapi.json").status == 200


def test_admin_only_route_is_forbidden_for_a_trader(
    client: Client, variables: Variables, trader: Trader, second_trader: str
) -> None:
    assert variables["algosat_access_control_admin_only_endpoints"] == ["/instruments"]
    helper = Trader.log_in(client, second_trader, PASSWORD)
    assert helper.request("GET", "/instruments").status == 403
    assert helper.request("GET", "/orders").status == 200
    assert trader.request("GET", "/instruments").status == 200


def test_account_is_locked_after_the_configured_failures(
    client: Client, variables: Variables, second_trader: str
) -> None:
    wrong = json.dumps({"username": second_trader, "password": "wrong password"}).encode()
    responses = [
        client.request("POST", "/auth/login", wrong, {"Content-Type": "application/json"})
        for _ in range(variables["algosat_authentication_max_login_attempts"] + 1)
    ]
    *failures, locked = responses
    assert [it.status for it in failures] == [401] * len(failures)
    assert (locked.status, locked.problem["code"]) == (429, "locked_out")


def test_access_token_has_the_configured_lifetime(
    client: Client, variables: Variables, credentials: tuple[str, str]
) -> None:
    body = json.dumps(dict(zip(("username", "password"), credentials, strict=True))).encode()
    response = client.request("POST", "/auth/login", body, {"Content-Type": "application/json"})
    assert (
        json.loads(response.text)["expires_in"]
        == variables["algosat_security_access_token_expire_minutes"] * 60
    )


def test_configured_number_of_releases_is_kept(host: Host, variables: Variables) -> None:
    assert json.loads(host.file(variables.expand("{algosat_home}/release.json")).content_string)["kept"] == 2
    assert host.run(variables.expand("{algosat_home}/bin/release list")).rc == 0


def test_log_has_the_configured_file_and_format(host: Host, variables: Variables) -> None:
    last = host.check_output("tail --lines=1 %s", variables["algosat_logging_file"])
    assert last.startswith("{") == (variables["algosat_logging_format"] == "json")
