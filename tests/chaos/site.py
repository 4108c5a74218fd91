"""A server for the chaos test: configuration, store, two engines of which one leads, and the API."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from algosat.clock import now
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.store.database import Database
from tests.app.builders import algosat_data, write_configuration
from tools.containers import free_port

ENGINES: Final = 2
FIRST: Final = "paper"
SECOND: Final = "global"  # an account with another currency and calendar
PASSWORD: Final = "a password for chaos only"
# The number of steps within which a process kills itself; 0: never.
STEPS: Final = {"engine": 200, "api": 100}
LIMITS: Final[dict[str, Any]] = {
    "max_order_quantity": "500",
    "max_order_value": "2000000",
    "max_position_value": "200000",
    "max_gross_exposure": "4000000",
    "max_open_orders": 60,
    "max_orders_per_second": 40,
    "max_orders_per_day": 100_000,
    "max_daily_loss": "100000000",
    "stale_quote_seconds": 60,  # restarting engines write no prices, for long on a busy machine
}


class Site:
    """Starts the processes, replaces those that die, and counts the deaths."""

    def __init__(self, directory: Path, seed: int, accounts: int = 1) -> None:
        self.directory = directory
        self.accounts = (FIRST, SECOND)[:accounts]
        self.steps = STEPS
        self.port = free_port(18080)
        self._client = httpx.Client(base_url=self.url, timeout=2)
        self.notes = directory / "deaths"
        self.faults = directory / "faults.json"
        self.log = (directory / "log").open("ab")
        self._configure(seed)
        self._engines: list[subprocess.Popen[bytes]] = []
        self._api: subprocess.Popen[bytes] | None = None
        self.kills: dict[str, int] = {"engine": 0, "worker": 0, "api": 0}
        self._workers: set[int] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._engines = [self._process("engine") for _ in range(ENGINES)]
        self._api = self._process("api")
        self._wait_until_ready()

    def tend(self) -> None:
        """Replace and count the processes that have died since the last call."""
        for index, engine in enumerate(self._engines):
            if engine.poll() is not None:
                self._count("engine", engine.returncode)
                self._engines[index] = self._process("engine")
        if self._api is not None and self._api.poll() is not None:
            self._count("api", self._api.returncode)
            self._api = self._process("api")
            self._workers = set()
        alive = self._living_workers()
        self.kills["worker"] += len(self._workers - alive)
        self._workers = alive

    def kill(self, name: str) -> None:
        """Kill an engine, a worker or the whole API from outside, at any moment."""
        if name == "engine":
            self._engines[0].kill()
            self._engines[0].wait()
        elif name == "worker":
            for pid in list(self._workers)[:1]:
                with suppress(ProcessLookupError):  # it may have just killed itself
                    os.kill(pid, signal.SIGKILL)
        elif self._api is not None:
            self._kill_api(self._api)

    def answers(self) -> bool:
        """Return whether the API answers: killing it earlier proves nothing."""
        try:
            return self._client.get("/health/live").status_code == 200
        except httpx.HTTPError:
            return False

    def inject(self, seed: int, rates: Mapping[str, float]) -> None:
        """Set the rates of faults of the first account's broker; no rates, no faults."""
        plan = {"seed": seed, "rates": dict(rates), "delay_seconds": 0.3, "accounts": [FIRST]}
        partial = self.faults.with_suffix(".new")
        partial.write_text(json.dumps(plan))
        partial.rename(self.faults)

    def calm_down(self) -> None:
        """End all faults and kills, and start one engine and one API."""
        self.steps = dict.fromkeys(STEPS, 0)
        self.inject(0, {})
        self.stop()
        self._engines = [self._process("engine")]
        self._api = self._process("api")
        self._wait_until_ready()

    def stop(self) -> None:
        if self._api is not None and self._api.poll() is None:
            self._kill_api(self._api)
        for engine in self._engines:
            engine.kill()
            engine.wait()

    def close(self) -> None:
        """Stop all processes and close all files."""
        self.stop()
        self._client.close()
        self.log.close()

    def database(self) -> Database:
        return Database(self._url)

    def token(self, seconds: float = 60) -> str:
        """Log in, repeatedly if necessary: the worker may kill itself at its first steps."""
        credentials = {"username": "trader", "password": PASSWORD}
        until = time.monotonic() + seconds
        while True:
            try:
                answer = self._client.post("/auth/login", json=credentials, timeout=30)
                return str(answer.raise_for_status().json()["access_token"])
            except httpx.TransportError:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.1)

    def _configure(self, seed: int) -> None:
        data = algosat_data(
            self.directory,
            api__port=self.port,
            api__workers=2,
            api__threads=8,
            api__order_wait_seconds=0.2,
            security__rate_limit_requests=10_000_000,
            # No Redis listens there: each worker counts for itself, as when Redis is down.
            security__rate_limit_storage=f"redis+unix://{self.directory}/no-redis.sock",
            security__access_token_expire_minutes=600,
            accounts__0__paper__seed=seed,
            accounts__0__paper__speed=20,
            accounts__0__paper__starting_cash="100000000",
            engine__orders_per_second=100,
            engine__orders_per_minute=10_000,
            engine__orders_per_day=1_000_000,
            engine__reconcile_seconds=1,
            engine__unknown_window_seconds=3,
            engine__send_deadline_seconds=15,
            risk={**algosat_data(self.directory)["risk"], **LIMITS},
        )
        if len(self.accounts) > 1:
            data = self._with_second_account(data, seed)
        self._url = data["database"]["url"]
        write_configuration(self.directory, data)
        self._run("db", "upgrade")
        self._run("user", "add", "trader", "--role", "trader", "--password-stdin", stdin=PASSWORD.encode())

    def _with_second_account(self, data: dict[str, Any], seed: int) -> dict[str, Any]:
        """Return the data with a second account, which trades round the clock in dollars without charges.

        The first trades by the exchange's calendar, in a special session that lasts the whole day.
        """
        first = data["accounts"][0]
        second = {
            **first,
            "name": SECOND,
            "currency": "USD",
            "charges": {**first["charges"], "brokerage": "none"},
            "paper": {**first["paper"], "seed": seed + 1},
        }
        today = now().astimezone(EXCHANGE_TIME).date()
        sessions = "".join(
            f"  {today + timedelta(days=days)}: {{name: Chaos, day: [whole_day]}}\n" for days in (0, 1)
        )
        calendar = (
            f"covers: {{valid_through: {today + timedelta(days=400)}}}\n"
            "pieces: {whole_day: [{phase: continuous, from: '00:00', until: '23:59:59'}]}\n"
            f"special_sessions:\n{sessions}"
        )
        accounts = [{**first, "calendar": "exchange"}, second]
        engine = {**data["engine"], "square_off_minutes": 1}
        return {**data, "accounts": accounts, "calendar": calendar, "engine": engine}

    def _run(self, *command: str, stdin: bytes = b"") -> None:
        whole = (sys.executable, "-m", "algosat", "--config-dir", str(self.directory), *command)
        subprocess.run(whole, check=True, input=stdin, stdout=self.log, stderr=self.log)

    def _process(self, role: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "tests.chaos.doomed",
            str(self.directory),
            str(self.steps[role]),
            str(self.notes),
            role,
        ]
        env = {**os.environ, "ALGOSAT_PAPER_FAULTS": str(self.faults)}
        return subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log)

    def _kill_api(self, api: subprocess.Popen[bytes]) -> None:
        for worker in psutil.Process(api.pid).children():
            with suppress(psutil.NoSuchProcess):  # it may have just killed itself
                worker.kill()
        api.kill()
        api.wait()

    def _count(self, name: str, code: int) -> None:
        if code != -signal.SIGKILL:
            raise RuntimeError(f"the {name} exited with {code}: see {self.log.name}")
        self.kills[name] += 1

    def _living_workers(self) -> set[int]:
        if self._api is None:
            return set()
        try:
            return {each.pid for each in psutil.Process(self._api.pid).children() if _is_alive(each)}
        except psutil.NoSuchProcess:
            return set()

    def _wait_until_ready(self, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.answers():
                return
            time.sleep(0.1)
        raise TimeoutError(f"the API is not ready after {seconds:g} s: see {self.log.name}")


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def summary_of_deaths(notes: Path) -> dict[str, int]:
    """Return how often a process killed itself at each step."""
    counted: dict[str, int] = {}
    for name in notes.read_text().splitlines() if notes.exists() else ():
        counted[name] = counted.get(name, 0) + 1
    return counted
