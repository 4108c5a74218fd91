"""Tests of a finished server, from within and from outside.

    pytest --hosts=ssh://operator@203.0.113.5 tests/host        any server, reached as its operator
    pytest --hosts=… -m 'not stranger' tests/host               without the tests that misbehave on purpose

Trading, killing and restoring is done only where ALGOSAT_ADMIN_PASSWORD_FILE names a file with the admin's
password.

Every test runs as root through sudo. When one fails, the journals of the units it is about are shown with it.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from testinfra.backend.ssh import SshBackend
from testinfra.host import Host

from tests.host.outside import Outside, Stranger
from tests.host.told import Told
from tests.host.trader import Trader

# Names a file with the admin's password, where a server may be traded on, broken and restored at will.
DISPOSABLE = "ALGOSAT_ADMIN_PASSWORD_FILE"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unit(*names): the systemd units a test is about")
    config.addinivalue_line("markers", "stranger: misbehaves on purpose, from an address made up for it")
    config.addinivalue_line("markers", "disposable: trades, kills and restores; needs the admin's password")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and isinstance(host, Host):
        for unit in (name for marker in item.iter_markers("unit") for name in marker.args):
            # A server that lets nobody in any more does not hide what failed.
            with host.sudo(), suppress(RuntimeError):
                said = host.run("journalctl --no-pager --lines=40 --unit=%s", unit)
                report.sections.append((f"journal of {unit}", said.stdout))
    return report


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where connections to servers are kept open."""
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module", autouse=True)
def one_connection(host: Host, lines: Path) -> None:
    """Testinfra opens a connection for each command, which a server that counts them takes for an attack."""
    if isinstance(host.backend, SshBackend) and not host.backend.controlpath:
        host.backend.controlpath = f"{lines}/%%C"


@pytest.fixture(autouse=True)
def as_root(host: Host, one_connection: None) -> Iterator[None]:
    with host.sudo():
        yield


@pytest.fixture(scope="module")
def told(host: Host, request: pytest.FixtureRequest) -> Told:
    """What the server was told."""
    return Told.of(host, request.config)


@pytest.fixture(scope="module")
def api(told: Told) -> str:
    """Where the application answers on the server itself."""
    return told("http://{algosat_api_host}:{algosat_api_port}")


@pytest.fixture(scope="module")
def outside(host: Host, told: Told, one_connection: None) -> Outside:
    """The server as this machine sees it."""
    return Outside.of(host, told["tls_directory"])


@pytest.fixture
def me(host: Host) -> str:
    """The operator these tests came in as."""
    name = str(host.check_output("echo $SUDO_USER"))
    assert name
    return name


@pytest.fixture
def stranger(host: Host) -> Iterator[Stranger]:
    """Somebody on another network, who is no operator."""
    stranger = Stranger(host)
    stranger.arrive()
    yield stranger
    stranger.leave()


@pytest.fixture(scope="module")
def credentials(told: Told) -> tuple[str, str]:
    """The admin's name and password."""
    file = os.environ.get(DISPOSABLE)
    if file is None:
        pytest.skip(f"{DISPOSABLE} names no password, so this server is not to be traded on")
    return told["algosat_admin_name"], Path(file).read_text().strip()


@pytest.fixture
def trader(outside: Outside, credentials: tuple[str, str]) -> Trader:
    """Somebody who is logged in and may trade."""
    return Trader.logged_in(outside, *credentials)
