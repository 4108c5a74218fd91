"""Tests of an installed server, on the server and over the network.

    pytest --hosts=ssh://operator@203.0.113.5 tests/host        any server, through its operator's login
    pytest --hosts=… -m 'not untrusted' tests/host              without the tests that attack the server

The tests that trade, kill processes or restore backups run only if ALGOSAT_ADMIN_PASSWORD_FILE names a file
with the admin's password.

Every test runs as root through sudo. The report of a failed test includes the journals of its units.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from testinfra.backend.ssh import SshBackend
from testinfra.host import Host

from tests.host.client import Client, UntrustedClient
from tests.host.trader import Trader
from tests.host.variables import Variables

# Environment variable: path of the admin's password file. Set it only for a server that tests may damage.
DISPOSABLE = "ALGOSAT_ADMIN_PASSWORD_FILE"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unit(*names): the systemd units that a test exercises")
    config.addinivalue_line("markers", "untrusted: attacks the server from an address of its own")
    config.addinivalue_line(
        "markers", "disposable: trades, kills processes, restores; needs the admin password"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and isinstance(host, Host):
        for unit in (name for marker in item.iter_markers("unit") for name in marker.args):
            # If the server refuses the connection, report the original failure.
            with host.sudo(), suppress(RuntimeError):
                output = host.run("journalctl --no-pager --lines=40 --unit=%s", unit)
                report.sections.append((f"journal of {unit}", output.stdout))
    return report


@pytest.fixture(scope="session")
def ssh_sockets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory for the control sockets of the SSH connections."""
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module", autouse=True)
def shared_connection(host: Host, ssh_sockets: Path) -> None:
    """Share one SSH connection: Testinfra opens one per command, which the firewall's rate limit rejects."""
    if isinstance(host.backend, SshBackend) and not host.backend.controlpath:
        host.backend.controlpath = f"{ssh_sockets}/%%C"


@pytest.fixture(autouse=True)
def as_root(host: Host, shared_connection: None) -> Iterator[None]:
    with host.sudo():
        yield


@pytest.fixture(scope="module")
def variables(host: Host, request: pytest.FixtureRequest, shared_connection: None) -> Variables:
    """Inventory variables of the server."""
    return Variables.of(host, request.config)


@pytest.fixture(scope="module")
def api(variables: Variables) -> str:
    """Base URL of the application on the server itself."""
    return variables.expand("http://{algosat_api_host}:{algosat_api_port}")


@pytest.fixture(scope="module")
def client(host: Host, variables: Variables, shared_connection: None) -> Client:
    """HTTPS client on this machine."""
    return Client.of(host, variables["tls_directory"])


@pytest.fixture
def login_user(host: Host) -> str:
    """Name of the operator that the tests are logged in as."""
    name = str(host.check_output("echo $SUDO_USER"))
    assert name
    return name


@pytest.fixture
def untrusted(host: Host) -> Iterator[UntrustedClient]:
    """Client on another network, at an address that belongs to no operator."""
    untrusted = UntrustedClient(host)
    untrusted.create()
    yield untrusted
    untrusted.remove()


@pytest.fixture(scope="module")
def credentials(variables: Variables) -> tuple[str, str]:
    """Name and password of the admin."""
    file = os.environ.get(DISPOSABLE)
    if file is None:
        pytest.skip(f"{DISPOSABLE} is not set: this server is not disposable")
    return variables["algosat_admin_name"], Path(file).read_text().strip()


@pytest.fixture
def trader(client: Client, credentials: tuple[str, str]) -> Trader:
    """API client that is logged in as the admin."""
    return Trader.log_in(client, *credentials)
