"""The inventory of the local server."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tools import containers, local_inventory, ssh, vault
from tools.containers import Machine
from tools.paths import ROOT


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(local_inventory, "DIRECTORY", tmp_path)
    monkeypatch.setattr(containers, "gateway", lambda: "10.0.0.1")
    monkeypatch.setattr(ssh, "public_key", lambda: "ssh-ed25519 AAAA test")
    monkeypatch.setattr(vault, "file_of", lambda _: tmp_path)
    local_inventory.write(Machine("algosat-local", "debian-12", 2222, 8880, 8443))
    return tmp_path


def test_local_server_uses_the_same_vault_secrets_as_staging(written: Path) -> None:
    local = yaml.safe_load((written / "group_vars" / "algosat" / "main.yml").read_text())
    staging = yaml.safe_load((ROOT / "inventories/staging/group_vars/algosat/main.yml").read_text())
    secrets = {name: value for name, value in staging.items() if "vault_" in str(value)}
    assert secrets
    assert {name: local.get(name) for name in secrets} == secrets


def test_login_user_of_the_local_server_is_an_operator(written: Path) -> None:
    hosts = yaml.safe_load((written / "hosts.yml").read_text())["algosat"]["hosts"]
    local = yaml.safe_load((written / "group_vars" / "algosat" / "main.yml").read_text())
    assert hosts["algosat-local"]["ansible_user"] in [person["name"] for person in local["users_operators"]]
