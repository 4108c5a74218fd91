"""SSH: keys and modern algorithms only."""

import re
import subprocess

import pytest
from testinfra.host import Host

from tests.host.outside import Outside
from tests.host.told import Told

pytestmark = pytest.mark.unit("ssh")


def login(outside: Outside, told: Told, user: str, *options: str) -> str:
    """What sshd answers somebody who has no key."""
    done = subprocess.run(
        [
            "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-o", "IdentityFile=/dev/null",
            "-o", "IdentityAgent=none", "-p", str(told["ssh_ports"][-1]), *options,
            f"{user}@{outside.address}", "true",
        ],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 255
    return done.stderr


@pytest.mark.parametrize("user", ["root", "{me}", "nobody"])
def test_only_keys_are_accepted(outside: Outside, told: Told, me: str, user: str) -> None:
    assert "Permission denied (publickey)." in login(outside, told, user.format(me=me))


@pytest.mark.parametrize(
    "weak",
    ["KexAlgorithms=diffie-hellman-group14-sha256", "Ciphers=aes128-cbc", "MACs=hmac-sha1"],
)
def test_weak_algorithm_is_not_agreed_to(outside: Outside, told: Told, me: str, weak: str) -> None:
    assert "no matching" in login(
        outside, told, me, "-o", weak, "-o", "Ciphers=aes256-ctr" if "MACs" in weak else weak
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
def test_sshd_obeys(host: Host, rule: str) -> None:
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
def test_sshd_goes_by_what_it_was_told(host: Host, told: Told, keyword: str, variable: str) -> None:
    assert f"{keyword} {told[variable]}" in host.check_output("sshd -T").splitlines()


def test_sshd_listens_where_it_was_told_and_for_whom(host: Host, told: Told) -> None:
    obeyed = host.check_output("sshd -T").splitlines()
    assert {it for it in obeyed if it.startswith("port ")} == {f"port {it}" for it in told["ssh_ports"]}
    allowed = {it.split()[1] for it in obeyed if it.startswith("allowusers ")}
    assert allowed == (set(told["ssh_allow_users"]) if told.has("users_operators") else allowed)


def test_file_beside_the_configuration_cannot_loosen_it(host: Host) -> None:
    loose = "/etc/ssh/sshd_config.d/50-of-test.conf"
    try:
        host.check_output(f"printf 'PasswordAuthentication yes\\nPermitRootLogin yes\\n' > {loose}")
        obeyed = host.check_output("sshd -T -C user=root,host=a,addr=203.0.113.9").splitlines()
    finally:
        host.run(f"rm -f {loose}")
    assert {"passwordauthentication no", "permitrootlogin no"} <= set(obeyed)


def test_private_host_keys_are_roots_alone(host: Host) -> None:
    keys = re.findall(r"^hostkey (\S+)$", host.check_output("sshd -T"), re.MULTILINE)
    assert len(keys) == 2
    assert all((host.file(key).user, host.file(key).mode) == ("root", 0o600) for key in keys)
