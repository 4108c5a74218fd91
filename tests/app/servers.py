"""The processes of a server: gunicorn on a socket passed as systemd passes it, and the engine."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.app.client import PASSWORD
from tests.app.events import PATIENCE
from tools.sockets import listen, passing, port_of


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    port: int

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        status, data = self.ask_raw(method, path, body, **headers)
        return status, json.loads(data)

    def ask_raw(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        assert answer.headers["Server"] == "algosat"
        data = answer.read()
        connection.close()
        return answer.status, data

    def log_in(self, username: str) -> dict[str, str]:
        """Log in, and return the header that authenticates this user's requests."""
        answer = self.ask("POST", "/auth/login", {"username": username, "password": PASSWORD})[1]
        return {"Authorization": f"Bearer {answer['access_token']}"}

    def send_raw(self, raw: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
            client.sendall(raw)
            received = b""
            while chunk := client.recv(65536):
                received += chunk
        return received

    @property
    def workers(self) -> set[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in listed.split()}


@contextmanager
def serving(directory: Path, **environment: str) -> Iterator[Running]:
    """Run `algosat serve` with the configuration in a directory."""
    with listen(0) as listener:
        process = subprocess.Popen(
            passing([sys.executable, "-m", "algosat", "serve"]),
            stdin=listener.fileno(),
            stdout=subprocess.DEVNULL,
            env={**os.environ, "ALGOSAT_CONFIG_DIR": str(directory), **environment},
        )
        running = Running(process, port_of(listener))
        try:
            assert running.ask("GET", "/health/live")[0] == 200  # queued until the server is up
            yield running
        finally:
            process.terminate()
            process.wait(PATIENCE)


@contextmanager
def engine(directory: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `algosat engine run` with the configuration in a directory."""
    command = [sys.executable, "-m", "algosat", "--config-dir", str(directory), "engine", "run"]
    with (directory / "engine.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
        try:
            yield process
        finally:
            process.kill()
            process.wait()
