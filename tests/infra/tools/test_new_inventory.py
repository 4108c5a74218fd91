"""New inventories: written files, rejected input and the vault identity in ansible.cfg."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tools import new_inventory
from tools.paths import ROOT
from tools.say import Trouble

KEY = "ssh-ed25519 AAAA ann@laptop"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "inventories").mkdir()
    shutil.copy(ROOT / "ansible.cfg", tmp_path)
    return tmp_path


def test_servers_operator_and_vault_are_written(root: Path) -> None:
    new_inventory.write(root, "desk", ["one=192.0.2.1", "two=2001:db8::2"], "ann", KEY, ["198.51.100.7"])
    hosts = yaml.safe_load((root / "inventories/desk/hosts.yml").read_text())["algosat"]["hosts"]
    main = yaml.safe_load((root / "inventories/desk/group_vars/algosat/main.yml").read_text())
    assert hosts == {
        "one": {"ansible_host": "192.0.2.1", "ansible_user": "ann"},
        "two": {"ansible_host": "2001:db8::2", "ansible_user": "ann"},
    }
    assert main["algosat_environment"] == "production"
    assert main["algosat_operator_addresses"] == ["198.51.100.7"]
    assert main["users_operators"] == [{"name": "ann", "keys": [KEY]}]
    assert main["algosat_admin_password"] == "{{ vault_algosat_admin_password }}"
    identities = next(it for it in (root / "ansible.cfg").read_text().splitlines() if "identity_list" in it)
    assert identities.endswith("production@tools/vault-client, desk@tools/vault-client")


def test_names_and_keys_that_need_yaml_quotes_are_kept(root: Path) -> None:
    key = "ssh-ed25519 AAAA ann: work #2"
    new_inventory.write(root, "desk", ["1=192.0.2.1", "on=192.0.2.2"], "no", key)
    hosts = yaml.safe_load((root / "inventories/desk/hosts.yml").read_text())["algosat"]["hosts"]
    main = yaml.safe_load((root / "inventories/desk/group_vars/algosat/main.yml").read_text())
    assert list(hosts) == ["1", "on"]
    assert hosts["on"]["ansible_user"] == "no"
    assert main["users_operators"] == [{"name": "no", "keys": [key]}]


def test_vault_id_is_added_even_if_another_ends_with_its_name(root: Path) -> None:
    for name in ("gold-mine", "mine", "cal"):  # `local` ends with the last name
        new_inventory.write(root, name, ["one=192.0.2.1"], "ann", KEY)
    identities = next(it for it in (root / "ansible.cfg").read_text().splitlines() if "identity_list" in it)
    assert identities.endswith(
        ", gold-mine@tools/vault-client, mine@tools/vault-client, cal@tools/vault-client"
    )


def test_new_inventory_sets_the_secrets_that_the_examples_set(root: Path) -> None:
    new_inventory.write(root, "staging", ["one=192.0.2.1"], "ann", KEY)
    written, example = (
        yaml.safe_load((it / "inventories/staging/group_vars/algosat/main.yml").read_text())
        for it in (root, ROOT)
    )
    assert written["algosat_environment"] == "staging"
    assert {it for it in example if "secret" in it or "key" in it or "password" in it} <= written.keys()


@pytest.mark.parametrize(
    ("environment", "hosts"),
    [
        ("Desk", ["a=192.0.2.1"]),
        ("../x", ["a=192.0.2.1"]),
        ("desk", ["192.0.2.1"]),
        ("desk", ["a=192.0.2.1", "a=192.0.2.2"]),
    ],
)
def test_invalid_name_or_host_writes_nothing(root: Path, environment: str, hosts: list[str]) -> None:
    before = (root / "ansible.cfg").read_text()
    with pytest.raises(Trouble):
        new_inventory.write(root, environment, hosts, "ann", KEY)
    assert list((root / "inventories").iterdir()) == []
    assert (root / "ansible.cfg").read_text() == before


def test_invalid_operator_address_writes_nothing(root: Path) -> None:
    with pytest.raises(Trouble, match="FROM"):
        new_inventory.write(root, "desk", ["a=192.0.2.1"], "ann", KEY, ["home"])
    assert list((root / "inventories").iterdir()) == []


def test_existing_environment_is_not_overwritten(root: Path) -> None:
    (root / "inventories" / "desk").mkdir()
    with pytest.raises(Trouble, match="exists already"):
        new_inventory.write(root, "desk", ["a=192.0.2.1"], "ann", KEY)
