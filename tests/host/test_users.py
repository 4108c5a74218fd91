"""Operators: a key and sudo each, no password, nobody else."""

import pytest
from testinfra.host import Host


@pytest.fixture
def me(host: Host) -> str:
    name = str(host.check_output("echo $SUDO_USER"))
    assert name
    return name


def test_operator_has_no_password_and_is_not_locked(host: Host, me: str) -> None:
    assert host.check_output("getent shadow %s", me).split(":")[1] == "*"


def test_operators_keys_are_his_alone(host: Host, me: str) -> None:
    keys = host.file(f"/home/{me}/.ssh/authorized_keys")
    assert (keys.user, keys.mode) == (me, 0o600)
    assert host.file(f"/home/{me}/.ssh").mode == 0o700


def test_sudo_rules_are_valid_and_name_the_operator(host: Host, me: str) -> None:
    assert host.run("visudo --check --quiet").rc == 0
    assert "NOPASSWD: ALL" in host.check_output("sudo --list --other-user=%s", me)


def test_nobody_but_root_is_root(host: Host) -> None:
    assert host.check_output("awk -F: '$3 == 0 {print $1}' /etc/passwd") == "root"


def test_no_account_has_a_password(host: Host) -> None:
    assert host.check_output("awk -F: '$2 ~ /^\\$/ {print $1}' /etc/shadow") == ""
