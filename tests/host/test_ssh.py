"""sshd: public keys only, modern algorithms only, settings of the inventory."""

import re
import subprocess

import pytest
from testinfra.host import Host

from tests.host.client import Client
from tests.host.variables import Variables

pytestmark = pytest.mark.unit("ssh")


def login(client: Client, variables: Variables, user: str, *options: str) -> str:
    """Try to log in without a key and return the error message of ssh."""
    result = subprocess.run(
        [
            "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-o", "IdentityFile=/dev/null",
            "-o", "IdentityAgent=none", "-p", str(variables["ssh_ports"][-1]), *options,
            f"{user}@{client.address}", "true",
        ],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert result.returncode == 255
    return result.stderr


@pytest.mark.parametrize("user", ["root", "{login_user}", "nobody"])
def test_only_keys_are_accepted(client: Client, variables: Variables, login_user: str, user: str) -> None:
    assert "Permission denied (publickey)." in login(client, variables, user.format(login_user=login_user))


@pytest.mark.parametrize(
    "weak",
    ["KexAlgorithms=diffie-hellman-group14-sha256", "Ciphers=aes128-cbc", "MACs=hmac-sha1"],
)
def test_weak_algorithm_is_rejected(client: Client, variables: Variables, login_user: str, weak: str) -> None:
    assert "no matching" in login(
        client, variables, login_user, "-o", weak, "-o", "Ciphers=aes256-ctr" if "MACs" in weak else weak
    )


@pytest.mark.parametrize(
    "rule",
    [
        "permitrootlogin no",
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "authenticationmethods publickey",
        "x11forwarding no",
        "allowagentforwarding no",
        "permitemptypasswords no",
        "authorizedkeysfile .ssh/authorized_keys",
    ],
)
def test_hardening_rule_is_in_effect(host: Host, rule: str) -> None:
    assert rule in host.check_output("sshd -T -C user=root,host=a,addr=203.0.113.9").splitlines()


@pytest.mark.parametrize(
    ("keyword", "variable"),
    [
        ("maxauthtries", "ssh_max_auth_tries"),
        ("logingracetime", "ssh_login_grace_time"),
        ("persourcemaxstartups", "ssh_per_source_max_startups"),
        ("maxsessions", "ssh_max_sessions"),
        ("clientaliveinterval", "ssh_client_alive_interval"),
        ("allowtcpforwarding", "ssh_allow_tcp_forwarding"),
    ],
)
def test_sshd_uses_the_settings_of_the_inventory(
    host: Host, variables: Variables, keyword: str, variable: str
) -> None:
    assert f"{keyword} {variables[variable]}" in host.check_output("sshd -T").splitlines()


def test_sshd_has_the_configured_ports_and_users(host: Host, variables: Variables) -> None:
    settings = host.check_output("sshd -T").splitlines()
    assert {it for it in settings if it.startswith("port ")} == {
        f"port {it}" for it in variables["ssh_ports"]
    }
    allowed = {it.split()[1] for it in settings if it.startswith("allowusers ")}
    assert allowed == (set(variables["ssh_allow_users"]) if variables.has("users_operators") else allowed)


def test_drop_in_file_cannot_weaken_the_configuration(host: Host) -> None:
    drop_in = "/etc/ssh/sshd_config.d/50-of-test.conf"
    try:
        host.check_output(f"printf 'PasswordAuthentication yes\\nPermitRootLogin yes\\n' > {drop_in}")
        settings = host.check_output("sshd -T -C user=root,host=a,addr=203.0.113.9").splitlines()
    finally:
        host.run(f"rm -f {drop_in}")
    assert {"passwordauthentication no", "permitrootlogin no"} <= set(settings)


def test_private_host_keys_are_readable_only_by_root(host: Host) -> None:
    keys = re.findall(r"^hostkey (\S+)$", host.check_output("sshd -T"), re.MULTILINE)
    assert len(keys) == 2
    assert all((host.file(key).user, host.file(key).mode) == ("root", 0o600) for key in keys)
