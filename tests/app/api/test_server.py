"""The API as it runs on a server: gunicorn, two workers, a socket passed as systemd does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.app.builders import algosat_data, write_configuration
from tests.app.events import PATIENCE, wait_for
from tests.app.servers import Running, serving
from tools.containers import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory, fresh_store: Path) -> tuple[Path, dict[str, Any]]:
    """Write the configuration of a server, and return its directory and its algosat.yaml."""
    directory = tmp_path_factory.mktemp("server")
    # The Redis socket does not exist: each worker must then count requests on its own.
    storage = f"redis+unix://{directory}/no-redis.sock"
    data = algosat_data(
        directory, api__workers=2, security__rate_limit_storage=storage, monitoring__health_check_interval=0.1
    )
    write_configuration(directory, data)
    shutil.copy(fresh_store, directory / "data" / "algosat.db")
    return directory, data


@pytest.fixture(scope="module")
def server(configured: tuple[Path, dict[str, Any]]) -> Iterator[Running]:
    with serving(configured[0]) as running:
        yield running


def test_socket_of_systemd_is_served_by_all_workers(server: Running) -> None:
    assert server.ask("GET", "/health/ready")[0] == 200
    wait_for(lambda: len(server.workers) == 2)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: 1\r\n" * 60 + b"\r\n", 431),
    ],
)
def test_malformed_http_gets_a_problem(server: Running, raw: bytes, status: int) -> None:
    head, _, body = server.send_raw(raw).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status}".encode())
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status


def test_logout_in_one_worker_applies_in_the_other(server: Running) -> None:
    bearer = server.log_in("trader")
    assert {server.ask("GET", "/funds", **bearer)[0] for _ in range(10)} == {200}
    assert server.ask("POST", "/auth/logout", **bearer)[0] == 200
    assert {server.ask("GET", "/funds", **bearer)[0] for _ in range(10)} == {401}


def test_killed_worker_is_replaced_without_a_refused_request(server: Running) -> None:
    wait_for(lambda: len(server.workers) == 2)
    victim = min(server.workers)
    os.kill(victim, signal.SIGKILL)
    assert {server.ask("GET", "/health/ready")[0] for _ in range(20)} == {200}
    wait_for(lambda: len(server.workers - {victim}) == 2)


def test_counters_outlive_killed_workers_in_few_files(server: Running, configured: tuple[Path, Any]) -> None:
    directory = configured[0] / "run" / "metrics"
    before, exits = requests_counted(server), worker_exits(server)
    for _ in range(3):
        victim = min(server.workers)
        server.ask("GET", "/health/live")
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda victim=victim: victim not in server.workers and len(server.workers) == 2)  # type: ignore[misc]
        wait_for(lambda victim=victim: not list(directory.glob(f"*_{victim}.db")))  # type: ignore[misc]
    assert requests_counted(server) == before + 3
    assert worker_exits(server) == exits + 3
    assert (directory / "counter_folded.db").exists()


def worker_exits(server: Running) -> float:
    text = server.ask_raw("GET", "/metrics")[1].decode()
    (line,) = [line for line in text.splitlines() if line.startswith("algosat_worker_exits_total ")]
    return float(line.rpartition(" ")[2])


def requests_counted(server: Running) -> float:
    """Return how many requests of /health/live all processes have counted."""
    text = server.ask_raw("GET", "/metrics")[1].decode()
    lines = (line for line in text.splitlines() if line.startswith("algosat_requests_total{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'endpoint="/health/live"' in line)


@pytest.mark.parametrize(("error", "code"), [("TypeError('a mistake')", 78), ("OSError(28, 'disk full')", 3)])
def test_server_whose_workers_cannot_start_ends_with_78_unless_a_restart_may_help(
    tmp_path: Path, error: str, code: int
) -> None:
    write_configuration(tmp_path, algosat_data(tmp_path, api__port=free_port(0)))
    program = f"""
from pathlib import Path
from algosat.api.server import Server
from algosat.config.live import LiveSettings
from algosat.config.loader import load

def fail():
    raise {error}

Server(LiveSettings(load(Path({str(tmp_path)!r})), tuple), fail).run()
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == code


def test_master_process_feeds_the_watchdog(tmp_path: Path, fresh_store: Path) -> None:
    write_configuration(tmp_path, algosat_data(tmp_path))
    shutil.copy(fresh_store, tmp_path / "data" / "algosat.db")
    path = str(tmp_path / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(PATIENCE)
        with serving(tmp_path, NOTIFY_SOCKET=path) as server:
            assert b"READY=1" in systemd.recv(200)
            wait_for(lambda: systemd.recv(200) == b"WATCHDOG=1")
            wait_for(lambda: systemd.recv(200) == b"WATCHDOG=1")
            server.process.terminate()
            wait_for(lambda: systemd.recv(200) == b"STOPPING=1")


def test_reload_reaches_every_worker_and_those_that_start_later(
    server: Running, configured: tuple[Path, dict[str, Any]]
) -> None:
    bearer = server.log_in("admin")

    def shown() -> set[tuple[float, int]]:
        """Return the order wait and the port that the workers show."""
        answers = [server.ask("GET", "/config/summary", **bearer)[1] for _ in range(10)]
        apis = [answer["settings"]["api"] for answer in answers]
        return {(api["order_wait_seconds"]["value"], api["port"]["value"]) for api in apis}

    wait_for(lambda: len(server.workers) == 2)
    before = server.workers
    directory, data = configured
    write_configuration(directory, {**data, "api": {**data["api"], "order_wait_seconds": 3, "port": 9}})
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: shown() == {(3, 8080)})
    assert server.workers == before
    wait_for(lambda: server.ask("GET", "/health")[1]["details"]["config"].endswith("1 need a restart"))
    os.kill(min(before), signal.SIGKILL)
    wait_for(lambda: len(server.workers - {min(before)}) == 2)
    assert shown() == {(3, 8080)}


def test_server_exits_with_0_on_sigterm(server: Running) -> None:
    server.process.terminate()
    assert server.process.wait(PATIENCE) == 0


@pytest.fixture(scope="module")
def small_server(
    tmp_path_factory: pytest.TempPathFactory, fresh_store: Path
) -> Iterator[tuple[Running, Path]]:
    """Yield a server with four threads, and its store."""
    directory = tmp_path_factory.mktemp("small")
    write_configuration(directory, algosat_data(directory, api__workers=1, api__threads=4))
    store = shutil.copy(fresh_store, directory / "data" / "algosat.db")
    with serving(directory) as running:
        yield running, Path(store)


def test_connections_that_send_nothing_take_no_thread(small_server: tuple[Running, Path]) -> None:
    running, _ = small_server
    with ExitStack() as stack:
        where = ("127.0.0.1", running.port)
        idle = [stack.enter_context(socket.create_connection(where)) for _ in range(100)]
        assert running.ask("GET", "/health/live")[0] == 200  # or after two minutes
        idle[0].sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert idle[0].recv(65536).startswith(b"HTTP/1.1 200")


def test_probes_and_reads_answer_while_another_program_locks_the_store(
    small_server: tuple[Running, Path],
) -> None:
    running, store = small_server
    order = {"symbol": "ALPHA-EQ", "side": "buy", "quantity": "1", "type": "market"}
    with ThreadPoolExecutor(12) as clients:
        bearer = running.log_in("trader")

        def place(number: int) -> tuple[int, str]:
            headers = {**bearer, "Idempotency-Key": f"locked-store-{number:04}"}
            status, answer = running.ask("POST", "/orders", order, **headers)
            return status, answer["code"]

        with closing(sqlite3.connect(store, isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            placed = [clients.submit(place, number) for number in range(12)]
            wait_for(lambda: any(each.done() and each.result() == (503, "overloaded") for each in placed))
            assert running.ask("GET", "/health/live")[0] == 200
            assert running.ask("GET", "/orders", **bearer)[0] == 200
            assert not all(each.done() for each in placed)  # one waits for the store
            foreign.execute("ROLLBACK")
        outcomes = {each.result() for each in placed}
    assert (503, "overloaded") in outcomes
    assert outcomes <= {(503, "overloaded"), (503, "store_busy"), (422, "unknown_symbol")}
