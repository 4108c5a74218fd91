"""fail2ban: settings, bans and exempt addresses."""

import json
import subprocess
import time
from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.host.client import Client, UntrustedClient
from tests.host.variables import Variables

pytestmark = pytest.mark.unit("fail2ban")


@pytest.fixture(autouse=True)
def require_fail2ban(variables: Variables) -> None:
    if not variables["fail2ban_enabled"]:
        pytest.skip("fail2ban_enabled is off here")


# More than the maxretry of any jail.
FAILURES = 10
# An SSH client without an authorized key.
WITHOUT_KEY = (
    *("-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"),
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
)


def eventually(condition: Callable[[], bool], seconds: float = 90) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def test_every_jail_is_active(host: Host, variables: Variables) -> None:
    listed = host.check_output("fail2ban-client status").partition("Jail list:")[2]
    assert {name.strip() for name in listed.split(",")} == {
        jail["name"] for jail in variables["fail2ban_jails"]
    }


def test_ban_time_increases(host: Host) -> None:
    settings = host.file("/etc/fail2ban/jail.local").content_string
    assert "bantime.increment = true" in settings


@pytest.mark.parametrize(
    ("setting", "variable"),
    [
        ("bantime", "fail2ban_bantime"),
        ("findtime", "fail2ban_findtime"),
        ("bantime.maxtime", "fail2ban_bantime_maximum"),
        ("maxretry", "fail2ban_maxretry"),
    ],
)
def test_fail2ban_uses_the_settings_of_the_inventory(
    host: Host, variables: Variables, setting: str, variable: str
) -> None:
    wanted = host.check_output("fail2ban-client --str2sec %s", str(variables[variable]))
    assert host.check_output("fail2ban-client get sshd %s", setting) == wanted


@pytest.mark.untrusted
def test_client_with_wrong_keys_is_banned_from_every_port(
    variables: Variables, untrusted: UntrustedClient
) -> None:
    login = f"ssh -p {variables['ssh_ports'][0]} {' '.join(WITHOUT_KEY)}"
    for _ in range(6):
        untrusted.run(f"timeout 30 {login} intruder@{untrusted.server} true")
    assert eventually(lambda: not untrusted.can_connect(443))


@pytest.mark.untrusted
def test_client_that_guesses_passwords_is_banned_from_every_port(
    host: Host, untrusted: UntrustedClient
) -> None:
    if not host.service("algosat.service").is_running:
        pytest.skip("the application is not deployed on this server")
    guess = (
        f"curl --silent --insecure --max-time 30 --header content-type:application/json "
        f"""--data '{{"username": "admin-of-nothing", "password": "guess"}}' https://{untrusted.server}/auth/login"""
    )
    for _ in range(FAILURES):
        untrusted.run(guess)
    assert eventually(lambda: not untrusted.can_connect(443))


def test_exempt_address_is_never_banned(host: Host, variables: Variables, client: Client) -> None:
    if f"{client.source_address}/32" not in variables["fail2ban_ignoreip"]:
        pytest.skip("the address of these tests is not exempt: they would ban themselves")
    ssh_port, began = variables["ssh_ports"][0], host.check_output("date +@%s")
    wrong = json.dumps({"username": "operator-of-nothing", "password": "guess"}).encode()
    for _ in range(FAILURES):
        guess = client.request("POST", "/auth/login", wrong, {"content-type": "application/json"})
        assert guess.status in (401, 429), guess.text
        login = ["ssh", *WITHOUT_KEY, "-p", str(ssh_port), f"intruder@{client.address}", "true"]
        refused = subprocess.run(login, capture_output=True, text=True, check=False)
        assert "Permission denied" in refused.stderr
    ignored = (
        f"journalctl --unit=fail2ban --since={began} --grep='Ignore {client.source_address} ' --output=cat"
    )

    def is_ignored_by(jail: str) -> bool:
        output: str = host.run(ignored).stdout
        return output.count(f"[{jail}]") >= FAILURES

    assert eventually(lambda: is_ignored_by("sshd"))
    assert eventually(lambda: is_ignored_by("algosat-login"))
    assert client.source_address not in host.check_output("fail2ban-client banned")
    assert client.open_ports([ssh_port, 443]) == {ssh_port, 443}
