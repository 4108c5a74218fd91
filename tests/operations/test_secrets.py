"""Rotation of secrets under load."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from testinfra.host import Host

from tests.host.load import Load
from tests.host.trader import Trader
from tests.operations.controller import Controller
from tools import shell

pytestmark = pytest.mark.unit("algosat", "algosat-engine", "nginx")

# Added to the settings of this scenario: secrets from a vault, as in a real environment.
MAPPED = """
algosat_security_secret_key: "{{ vault_algosat_security_secret_key }}"
algosat_security_previous_secret_keys: "{{ vault_algosat_security_previous_secret_keys | default([]) }}"
algosat_encryption_keys: "{{ vault_algosat_encryption_keys }}"
algosat_admin_password: "{{ vault_algosat_admin_password }}"
"""


@pytest.fixture(scope="module")
def with_vault(controller: Controller, host: Host, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """Checkout whose environment `staging` is this server, with its current secrets in a vault."""
    copy = controller.copy(tmp_path_factory.mktemp("vault"))
    environment = copy.root / "inventories" / "staging"
    shutil.rmtree(environment / "group_vars")
    shutil.copytree(controller.inventory, environment, dirs_exist_ok=True)
    settings = environment / "group_vars" / "algosat" / "main.yml"
    kept = [it for it in settings.read_text().splitlines() if "machine_secrets" not in it]
    settings.write_text("\n".join(kept) + MAPPED)
    with host.sudo():
        etc = {
            name: yaml.safe_load(host.file(f"/etc/algosat/{name}.yaml").content)
            for name in ("algosat", "security")
        }
    secrets = {
        "vault_algosat_security_secret_key": etc["algosat"]["security"]["secret_key"],
        "vault_algosat_encryption_keys": etc["security"]["encryption"]["keys"],
        "vault_algosat_admin_password": "unused, because the admin exists",
    }
    vault = settings.with_name("vault.yml")
    vault.write_text(yaml.safe_dump(secrets))
    program = str(Path(sys.executable).with_name("ansible-vault"))
    identity = f"staging@{copy.root}/tools/vault-client"
    shell.output([program, "encrypt", f"--vault-id={identity}", "--encrypt-vault-id=staging", str(vault)])
    return replace(copy, inventory=environment)


def current_keys(host: Host) -> tuple[str, int]:
    """Return the key that signs tokens and the number of encryption keys."""
    algosat = yaml.safe_load(host.file("/etc/algosat/algosat.yaml").content)
    security = yaml.safe_load(host.file("/etc/algosat/security.yaml").content)
    return algosat["security"]["secret_key"], len(security["encryption"]["keys"])


def test_rotation_fails_no_request_and_ends_no_login_session(
    host: Host, with_vault: Controller, load: Load
) -> None:
    (key, count), serial = current_keys(host), host.file("/etc/ssl/algosat/fullchain.pem").sha256sum
    host.check_output('echo \'{"api_key": "a-secret-of-the-broker"}\' | algosat credentials set --stdin')
    with load:
        with_vault.play("rotate_secrets.yml")
    new_key, new_count = current_keys(host)
    assert new_key != key
    assert new_count == count + 1
    assert host.file("/etc/ssl/algosat/fullchain.pem").sha256sum != serial
    newest, *older = [line.split("\t") for line in host.check_output("algosat keyring status").splitlines()]
    assert (newest[1], newest[3]) == ("1", "encrypts")
    assert {line[1] for line in older} == {"0"}
    assert host.check_output("algosat credentials show") == "api_key\ta-****er"
    host.check_output("algosat credentials delete")
    assert load.failures == []
    assert load.not_filled() == {}
    assert load.trader.request("GET", "/orders").status == 200


def test_inventory_with_keys_from_before_the_rotation_is_refused(host: Host, controller: Controller) -> None:
    before = current_keys(host)
    refused = controller.attempt("deploy.yml")
    assert refused.returncode != 0
    output = " ".join(refused.stdout.split())
    assert "security.secret_key: a newer key is in use on this server: pull the newest vault.yml" in output
    assert current_keys(host) == before


def test_rotation_is_refused_with_a_pending_order_and_keeps_the_vault(
    with_vault: Controller, pending_order: str
) -> None:
    vault = with_vault.inventory / "group_vars" / "algosat" / "vault.yml"
    before = vault.read_bytes()
    refused = with_vault.attempt("rotate_secrets.yml")
    assert refused.returncode != 0
    assert f"order {pending_order} is created" in refused.stdout
    assert vault.read_bytes() == before


def test_revoked_key_ends_every_login_session(
    with_vault: Controller, trader: Trader, credentials: tuple[str, str]
) -> None:
    with_vault.play("rotate_secrets.yml", "--extra-vars=revoke=true")
    assert trader.request("GET", "/orders").status == 401
    again = Trader.log_in(trader.client, *credentials)
    assert json.loads(again.request("GET", "/funds").text)["account"] == "paper"


def test_old_keys_are_installed_if_forced(host: Host, controller: Controller) -> None:
    """Also restores the keys of the inventory for the next test file."""
    controller.play("deploy.yml", "--extra-vars=algosat_forget_keys=true")
    assert current_keys(host)[1] == 1
