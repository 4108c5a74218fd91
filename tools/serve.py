"""`make serve`: API, engine and strategies on this machine: SQLite, the paper broker, no container."""

import json
import signal
import subprocess
import time
from contextlib import suppress
from typing import Self

import httpx
import yaml

from tools import shell
from tools.containers import free_port
from tools.paths import LOCAL, VENV_BIN
from tools.playbook import play
from tools.say import Trouble, finish, note, step

HOME = LOCAL / "serve"
CONFIGURATION = HOME / "etc"
SECRETS = HOME / "secrets.yml"
ALGOSAT = str(VENV_BIN / "algosat")
ADMIN = "admin"
WISHED_PORT = 8080
# The longest name a Unix socket may have is 107 characters; the engine's and the workers' need some of them.
LONGEST_RUNTIME_DIRECTORY = 85
READY_SECONDS = 30
STOP_SECONDS = 20


def main() -> None:
    """Prepare what the processes need, run them until Ctrl-C, and leave the book for the next time."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    port = free_port(WISHED_PORT)
    with step("writing settings and the store below .local/serve"):
        given = _secrets()
        _write_settings(port, given)
        _prepare_store(given["vault_algosat_admin_password"])
    with _Children() as children:
        children.start("engine", "engine", "run")
        children.start("strategies", "strategy", "supervise")
        children.start("api", "serve")
        children.wait_for(f"http://127.0.0.1:{port}/health/ready")
        _say_where(port, given["vault_algosat_admin_password"])
        with suppress(KeyboardInterrupt):
            children.watch()


def _secrets() -> dict[str, str]:
    """This machine's own secrets, made once: the store is encrypted with them."""
    if not SECRETS.exists():
        HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
        SECRETS.touch(mode=0o600)
        SECRETS.write_text(shell.output([ALGOSAT, "credentials", "generate"]))
    loaded: dict[str, str] = yaml.safe_load(SECRETS.read_text())
    return loaded


def _write_settings(port: int, given: dict[str, str]) -> None:
    runtime = HOME / "run"
    if len(str(runtime)) > LONGEST_RUNTIME_DIRECTORY:
        raise Trouble(f"{runtime} is too long for Unix sockets", "clone the repository to a shorter path")
    data = HOME / "data"
    for directory in (CONFIGURATION, runtime, *(data / name for name in ("database", "backups", "security"))):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    variables = {
        "algosat_environment": "development",
        "algosat_config_directory": str(CONFIGURATION),
        "algosat_runtime_directory": str(runtime),
        "algosat_data_directory": str(data),
        "algosat_api_port": port,
        "algosat_api_workers": 1,
        "algosat_api_reload": True,
        "algosat_api_trusted_proxies": 0,
        "algosat_logging_file": None,
        "algosat_logging_format": "text",
        "algosat_security_rate_limit_storage": "memory://",
        "algosat_paper_always_open": True,
        "algosat_security_secret_key": given["vault_algosat_security_secret_key"],
        "algosat_encryption_keys": given["vault_algosat_encryption_keys"],
    }
    file = HOME / "variables.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(variables))
    play("serve.yml", "localhost,", "serve", "--extra-vars", f"@{file}")


def _prepare_store(password: str) -> None:
    configured = ("--config-dir", str(CONFIGURATION))
    shell.output([ALGOSAT, *configured, "db", "upgrade"])
    add = ("user", "add", ADMIN, "--role", "admin", "--password-stdin", "--if-missing")
    shell.output([ALGOSAT, *configured, *add], stdin=f"{password}\n")


class _Children:
    """The processes of one run; all of them are stopped together."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for name, process in self._processes.items():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                note(f"{name} did not stop within {STOP_SECONDS} s and was killed")
                process.kill()

    def start(self, name: str, *arguments: str) -> None:
        # In a session of its own: Ctrl-C reaches this process alone, which then stops them in order.
        command = [ALGOSAT, "--config-dir", str(CONFIGURATION), *arguments]
        self._processes[name] = subprocess.Popen(command, start_new_session=True)

    def wait_for(self, url: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(url):
            self._insist_on_life()
            if time.monotonic() > deadline:
                raise Trouble(
                    f"{url} does not answer with 200 after {READY_SECONDS} s", "read the lines above"
                )
            time.sleep(0.2)

    def watch(self) -> None:
        while True:
            self._insist_on_life()
            time.sleep(0.5)

    def _insist_on_life(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise Trouble(f"the {name} stopped with code {process.returncode}", "read the lines above")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False


def _say_where(port: int, password: str) -> None:
    note(f"""
Algosat runs on this machine; Ctrl-C stops it, the book stays in .local/serve.
  address  http://127.0.0.1:{port}  (every route: http://127.0.0.1:{port}/docs)
  login    {ADMIN}  {password}
  by hand  .venv/bin/algosat --config-dir .local/serve/etc risk status
""")


if __name__ == "__main__":
    finish(main)
