"""SSH: keys and modern algorithms only."""

import re
import subprocess

import pytest
from testinfra.host import Host

from tests.host.outside import Outside

pytestmark = pytest.mark.unit("ssh")


def login(outside: Outside, user: str, *options: str) -> str:
    """What sshd answers somebody who has no key."""
    done = subprocess.run(
        [
            "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-o", "IdentityFile=/dev/null",
            "-o", "IdentityAgent=none", *options, f"{user}@{outside.address}", "true",
        ],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 255
    return done.stderr


@pytest.mark.parametrize("user", ["root", "operator", "nobody"])
def test_only_keys_are_accepted(outside: Outside, user: str) -> None:
    assert "Permission denied (publickey)." in login(outside, user)


@pytest.mark.parametrize(
    "weak",
    ["KexAlgorithms=diffie-hellman-group14-sha256", "Ciphers=aes128-cbc", "MACs=hmac-sha1"],
)
def test_weak_algorithm_is_not_agreed_to(outside: Outside, weak: str) -> None:
    assert "no matching" in login(
        outside, "operator", "-o", weak, "-o", "Ciphers=aes256-ctr" if "MACs" in weak else weak
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
    ],
)
def test_sshd_obeys(host: Host, rule: str) -> None:
    assert rule in host.check_output("sshd -T -C user=root,host=a,addr=203.0.113.9").splitlines()


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
