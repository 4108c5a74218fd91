"""The trial server: commands as root, and requests over HTTPS."""

from __future__ import annotations

import json
import shlex
import ssl
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.host.receiver import PROGRAM
from tools.up import FACTS

_RECEIVER_PORT = 9095  # the channel of the trial server leads there
_MESSAGES = "/run/test-receiver/messages"
_TIMEOUT = 10.0


@dataclass
class Server:
    """The trial server, as its operator and an admin of the API see it."""

    url: str
    ca_file: Path
    username: str
    password: str
    ssh: tuple[str, ...]
    _tls: ssl.SSLContext = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tls = ssl.create_default_context(cafile=str(self.ca_file))

    @classmethod
    def of_trial(cls) -> Self:
        """Return the server that `make up` has made."""
        facts = json.loads(FACTS.read_text())
        return cls(
            facts["url"],
            Path(facts["ca_file"]),
            facts["username"],
            facts["password"],
            tuple(shlex.split(facts["ssh"])),
        )

    def run(self, script: str, *, seconds: float = 60) -> str:
        """Run a shell script as root and return its output. Raises CalledProcessError."""
        command = [*self.ssh, f"sudo bash -euc {shlex.quote(script)}"]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{script}: {done.stdout}{done.stderr}")
        return done.stdout

    def client(self) -> httpx.Client:
        """Return a client that is logged in as the admin."""
        client = httpx.Client(base_url=self.url, verify=self._tls, timeout=_TIMEOUT)
        answer = client.post("/auth/login", json={"username": self.username, "password": self.password})
        answer.raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    def receive_alerts(self) -> None:
        """Start the receiver of alerts on the server."""
        program = shlex.quote(PROGRAM.format(port=_RECEIVER_PORT))
        self.run(
            "systemctl stop test-receiver.service 2>/dev/null || true\n"
            f"install -d {_MESSAGES.rpartition('/')[0]} && rm -f {_MESSAGES}\n"
            f"systemd-run --quiet --collect --unit=test-receiver python3 -c {program}"
        )

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that have arrived at the receiver, each with the time of its arrival."""
        lines = self.run(f"cat {_MESSAGES} 2>/dev/null || true").splitlines()
        messages = [json.loads(line) for line in lines]
        return [{**alert, "received_at": it["received_at"]} for it in messages for alert in it["alerts"]]

    def firing(self) -> set[str]:
        """Return the names of the alerts that are firing, see `names`."""
        answer = json.loads(self.run("curl -sf http://127.0.0.1:9090/api/v1/alerts"))
        alerts = answer["data"]["alerts"]
        return {name for it in alerts if it["state"] == "firing" for name in names(it["labels"])}

    def clock(self) -> float:
        """Return the server's time, in seconds since 1970."""
        return float(self.run("date +%s.%N"))

    def health(self) -> dict[str, Any] | None:
        """Return what /health answers to the server itself, or None."""
        answer = self.run("curl -s --max-time 4 http://127.0.0.1:8080/health || true")
        try:
            found: dict[str, Any] = json.loads(answer)
        except ValueError:
            return None
        return found

    def restarts(self) -> int:
        """Return how often systemd has started the application's services in all."""
        shown = self.run(
            "journalctl --quiet --output=cat _PID=1 -u algosat -u algosat-engine -u algosat-strategies"
            " | grep -c ^Started || true"
        )
        return int(shown)


def names(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return the names of an alert: without the component that it is about, and with it."""
    return labels["alertname"], f"{labels['alertname']}:{labels.get('component', '')}"


def wait_until(condition: Any, seconds: float, *, every: float = 0.5) -> float | None:
    """Return after how many seconds the condition was true, or None if it was not in time."""
    began = time.monotonic()
    while True:
        if condition():
            return time.monotonic() - began
        if time.monotonic() - began > seconds:
            return None
        time.sleep(every)
