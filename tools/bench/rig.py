"""A complete Algosat in its own directory: the processes of a server's units, and the bare application."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import yaml

from algosat.store.tables import WORKING_STATUS
from tools import shell
from tools.bench.load import Connection, request
from tools.containers import free_port
from tools.paths import CACHE, ROOT, VENV_BIN
from tools.playbook import play

# Installed as on a server: with the developer's tools every process is larger and starts later.
_INSTALLED: Final = CACHE / "bench"
_PYTHON: Final = str(_INSTALLED / "bin" / "python")
_ALGOSAT: Final = str(_INSTALLED / "bin" / "algosat")
USER: Final = "bench"
PASSWORD: Final = "correct horse battery staple"  # noqa: S105 - of a server that lives for minutes
_READY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0
_LOOK: Final = 0.005
_DECIDED_SECONDS: Final = 180.0  # longer than an order may wait to be sent
_UNSENT: Final = "status IN ('created', 'submitting')"

# No order is denied for its number or value: the cost of a check does not depend on its result.
_WIDE: Final[dict[str, Any]] = {
    "algosat_security_rate_limit_requests": 1_000_000_000,
    "algosat_engine_orders_per_second": 1_000_000,
    "algosat_engine_orders_per_minute": 1_000_000,
    "algosat_engine_orders_per_day": 1_000_000_000,
    "algosat_engine_send_deadline_seconds": 120,
    "algosat_accounts": [
        {
            "name": "paper",
            "calendar": "always_open",
            "paper": {"starting_cash": 10_000_000_000, "latency_ms": 0},
        }
    ],
    "algosat_risk_max_order_value": 1_000_000_000,
    "algosat_risk_max_position_value": 10_000_000_000,
    "algosat_risk_max_gross_exposure": 10_000_000_000,
    "algosat_risk_max_open_orders": 1_000_000,
    "algosat_risk_max_orders_per_second": 1_000_000,
    "algosat_risk_max_orders_per_day": 1_000_000_000,
    "algosat_risk_max_daily_loss": 10_000_000_000,
    "algosat_risk_duplicate_window_seconds": 0,
}


class Process:
    """A process whose output goes to a file beside the configuration."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        with log.open("ab") as words:
            self._popen = subprocess.Popen(command, cwd=ROOT, stdout=words, stderr=words)
        self.name, self._log = log.stem, log

    @property
    def pid(self) -> int:
        return self._popen.pid

    def listens_on(self, port: int) -> bool:
        """Return whether the process or a child of it listens on the port."""
        own = psutil.Process(self.pid)
        return any(
            used.status == psutil.CONN_LISTEN and used.laddr.port == port
            for process in (own, *own.children(recursive=True))
            for used in process.net_connections("tcp")
        )

    def require_alive(self) -> None:
        if self._popen.poll() is not None:
            tail = "\n".join(self._log.read_text().splitlines()[-20:])
            raise SystemExit(f"{self.name} ended with code {self._popen.returncode}\n{tail}")

    def stop(self) -> None:
        self._popen.terminate()
        try:
            self._popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


@dataclass(frozen=True, slots=True)
class Rig:
    """The directory of its configuration, and the ports of the API and the bare application."""

    directory: Path
    port: int
    bare_port: int

    @property
    def configuration(self) -> Path:
        return self.directory / "etc"

    @contextlib.contextmanager
    def running(self, *names: str) -> Iterator[dict[str, Process]]:
        """Run the named processes of `api`, `engine` and `bare` until the block is left."""
        started: dict[str, Process] = {}
        try:
            for name in names:
                started[name] = Process(self._command(name), self.directory / f"{name}.log")
            yield started
        finally:
            for process in reversed(started.values()):
                process.stop()

    def await_answer(self, port: int, path: str, process: Process) -> None:
        """Wait until a GET of `path` is answered with 200."""
        deadline = time.monotonic() + _READY_SECONDS
        while not _is_ok(port, path):
            process.require_alive()
            if time.monotonic() > deadline:
                raise SystemExit(f"{path} of {process.name} is not answered after {_READY_SECONDS:g} s")
            time.sleep(_LOOK)
        if not process.listens_on(port):
            raise SystemExit(f"another program answers on port {port}, not {process.name}: stop that program")

    def await_sent(self) -> None:
        """Wait until the engine has sent every order."""
        self._await_none(_UNSENT)

    def await_idle(self) -> None:
        """Wait until no order is working."""
        self._await_none(WORKING_STATUS)

    def at_work(self) -> int:
        """Return the number of working orders."""
        return self._number(WORKING_STATUS)

    def token(self) -> str:
        """Return an access token of a trader."""
        with Connection(self.port) as connection:
            login = {"username": USER, "password": PASSWORD}
            answer = connection.ask(request("POST", "/auth/login", login))
        return str(answer.json["access_token"])

    def _await_none(self, which: str) -> None:
        deadline = time.monotonic() + _DECIDED_SECONDS
        while number := self._number(which):
            if time.monotonic() > deadline:
                raise SystemExit(f"{number} orders still have {which} after {_DECIDED_SECONDS:g} s")
            time.sleep(_LOOK)

    def _number(self, which: str) -> int:
        (store,) = (self.directory / "data" / "database").glob("*.db")
        with contextlib.closing(sqlite3.connect(store)) as connection:
            query = f"SELECT count(*) FROM orders WHERE {which}"  # noqa: S608 - words of our own  # nosec B608
            (number,) = connection.execute(query).fetchone()
        return int(number)

    def _command(self, name: str) -> list[str]:
        configured = [_ALGOSAT, "--config-dir", str(self.configuration)]
        bare = [
            _PYTHON,
            "-m",
            "tools.bench.bare",
            str(self.configuration),
            str(self.bare_port),
        ]
        return {"api": [*configured, "serve"], "engine": [*configured, "engine", "run"], "bare": bare}[name]


def prepare(directory: Path, **differences: Any) -> Rig:
    """Install the app with a server's settings, except for these and wide limits, and create a trader."""
    _install()
    directory.mkdir(parents=True, exist_ok=True)
    rig = Rig(directory, free_port(18080), free_port(28080))
    for name in ("etc", "run", "data/database", "data/backups", "data/security"):
        (directory / name).mkdir(mode=0o700, parents=True)
    secrets = yaml.safe_load(shell.output([_ALGOSAT, "credentials", "generate"]))
    variables = {
        "algosat_environment": "testing",
        "algosat_config_directory": str(rig.configuration),
        "algosat_runtime_directory": str(directory / "run"),
        "algosat_data_directory": str(directory / "data"),
        "algosat_api_port": rig.port,
        "algosat_api_workers": 1,
        "algosat_api_trusted_proxies": 0,
        "algosat_logging_file": None,
        "algosat_security_rate_limit_storage": "memory://",
        "algosat_security_secret_key": secrets["vault_algosat_security_secret_key"],
        "algosat_encryption_keys": secrets["vault_algosat_encryption_keys"],
        **_WIDE,
        **differences,
    }
    file = directory / "variables.json"
    file.write_text(json.dumps(variables))
    play("serve.yml", "localhost,", "bench", "--extra-vars", f"@{file}")
    configured = (_ALGOSAT, "--config-dir", str(rig.configuration))
    shell.output([*configured, "db", "upgrade"])
    shell.output(
        [*configured, "user", "add", USER, "--role", "trader", "--password-stdin"], stdin=f"{PASSWORD}\n"
    )
    return rig


def _install() -> None:
    uv, python = str(VENV_BIN / "uv"), ["--python", _PYTHON]
    shell.output([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(_INSTALLED)])
    lock, app = str(ROOT / "app" / "requirements.lock"), str(ROOT / "app")
    shell.output([uv, "pip", "sync", "--quiet", "--compile-bytecode", *python, "--require-hashes", lock])
    shell.output([uv, "pip", "install", "--quiet", "--compile-bytecode", *python, "--no-deps", app])


def _is_ok(port: int, path: str) -> bool:
    try:
        with Connection(port) as connection:
            return connection.ask(request("GET", path)).status == 200
    except OSError:
        return False
