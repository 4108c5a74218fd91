"""Bans, by their packets."""

import json
import subprocess
import time
from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.host.outside import Outside, Stranger
from tests.host.told import Told

pytestmark = pytest.mark.unit("fail2ban")


@pytest.fixture(autouse=True)
def switched_on(told: Told) -> None:
    if not told["fail2ban_enabled"]:
        pytest.skip("fail2ban_enabled is off here")


# More than any jail bears.
FAILURES = 10
# A client without a key that anybody knows.
STRANGE = (
    *("-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"),
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
)


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def test_every_jail_watches(host: Host, told: Told) -> None:
    listed = host.check_output("fail2ban-client status").partition("Jail list:")[2]
    assert {name.strip() for name in listed.split(",")} == {jail["name"] for jail in told["fail2ban_jails"]}


def test_bans_grow(host: Host) -> None:
    settings = host.file("/etc/fail2ban/jail.local").content_string
    assert "bantime.increment = true" in settings


@pytest.mark.parametrize(
    ("asked", "variable"),
    [
        ("bantime", "fail2ban_bantime"),
        ("findtime", "fail2ban_findtime"),
        ("bantime.maxtime", "fail2ban_bantime_maximum"),
        ("maxretry", "fail2ban_maxretry"),
    ],
)
def test_fail2ban_goes_by_the_times_it_was_told(host: Host, told: Told, asked: str, variable: str) -> None:
    wanted = host.check_output("fail2ban-client --str2sec %s", str(told[variable]))
    assert host.check_output("fail2ban-client get sshd %s", asked) == wanted


@pytest.mark.stranger
def test_stranger_with_wrong_keys_loses_every_port(told: Told, stranger: Stranger) -> None:
    login = f"ssh -p {told['ssh_ports'][0]} {' '.join(STRANGE)}"
    for _ in range(6):
        stranger.does(f"timeout 5 {login} intruder@{stranger.server} true")
    assert eventually(lambda: not stranger.reaches(443))


@pytest.mark.stranger
def test_stranger_who_guesses_passwords_loses_every_port(host: Host, stranger: Stranger) -> None:
    if not host.service("algosat.service").is_running:
        pytest.skip("the application is not deployed on this server")
    guess = (
        f"curl --silent --insecure --max-time 5 --header content-type:application/json "
        f"""--data '{{"username": "admin-of-nothing", "password": "guess"}}' https://{stranger.server}/auth/login"""
    )
    for _ in range(FAILURES):
        stranger.does(guess)
    assert eventually(lambda: not stranger.reaches(443))


def test_operator_is_spared_however_often_he_fails(host: Host, told: Told, outside: Outside) -> None:
    if f"{outside.seen_from}/32" not in told["fail2ban_ignoreip"]:
        pytest.skip("these tests come from an address that is not spared: they would ban themselves")
    ssh_port, began = told["ssh_ports"][0], host.check_output("date +@%s")
    wrong = json.dumps({"username": "operator-of-nothing", "password": "guess"}).encode()
    for _ in range(FAILURES):
        guess = outside.ask("POST", "/auth/login", wrong, {"content-type": "application/json"})
        assert guess.status in (401, 429), guess.text
        login = ["ssh", *STRANGE, "-p", str(ssh_port), f"intruder@{outside.address}", "true"]
        refused = subprocess.run(login, capture_output=True, text=True, check=False)
        assert "Permission denied" in refused.stderr
    ignored = f"journalctl --unit=fail2ban --since={began} --grep='Ignore {outside.seen_from} ' --output=cat"

    def is_seen_by(jail: str) -> bool:
        said: str = host.run(ignored).stdout
        return said.count(f"[{jail}]") >= FAILURES

    assert eventually(lambda: is_seen_by("sshd"))
    assert eventually(lambda: is_seen_by("algosat-login"))
    assert outside.seen_from not in host.check_output("fail2ban-client banned")
    assert outside.open_ports([ssh_port, 443]) == {ssh_port, 443}
