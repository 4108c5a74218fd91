"""Put the developer's tools and the app into .venv, every file checked against a hash in a lock file.

Runs on a bare Python of the machine: nothing but the standard library may be imported here.
"""

import importlib.util
import shutil
import sys

from tools import apt, git, shell
from tools.paths import ROOT, VENV_BIN
from tools.say import Trouble, finish, step

LOWEST = (3, 11)
VENV = VENV_BIN.parent
STAMP = VENV / ".done"


def main() -> None:
    """Make .venv what the lock files say, and mark it done."""
    _require_python()
    STAMP.unlink(missing_ok=True)
    if not _usable_venv():
        _make_venv()
    with step("installing the developer's tools and the app from the lock files"):
        _install_uv()
        _install_locked()
        _install_app()
    git.configure()
    STAMP.touch()


def _require_python() -> None:
    if sys.version_info < LOWEST:
        have = ".".join(map(str, sys.version_info[:2]))
        raise Trouble(
            f"Python {have} is too old, 3.11 or newer is needed",
            "sudo apt-get install -y python3.12 python3.12-venv && make PYTHON=python3.12 deps"
            " (or use Debian 12, Ubuntu 24.04 or newer)",
        )


def _usable_venv() -> bool:
    python = VENV_BIN / "python"
    same = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    return python.exists() and shell.attempt([str(python), "-c", same]).returncode == 0


def _make_venv() -> None:
    if importlib.util.find_spec("ensurepip") is None:
        apt.ensure(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")
    shutil.rmtree(VENV, ignore_errors=True)
    with step(f"making {VENV.name} with Python {sys.version.split()[0]}"):
        shell.output([sys.executable, "-m", "venv", str(VENV)], remedy="sudo apt-get install -y python3-venv")


def _install_uv() -> None:
    shell.output(
        [str(VENV_BIN / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps",
         "--disable-pip-version-check", "--requirement", str(ROOT / ".config" / "uv.lock.txt")],
        remedy="check that pip reaches its package index on this machine, then repeat `make deps`",
    )  # fmt: skip


def _install_locked() -> None:
    locks = (ROOT / "requirements-dev.lock", ROOT / "app" / "requirements.lock")
    _uv("sync", "--require-hashes", *map(str, locks))


def _install_app() -> None:
    _uv("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT / "app"))


def _uv(verb: str, *arguments: str) -> None:
    shell.output(
        [str(VENV_BIN / "uv"), "pip", verb, "--quiet", "--python", str(VENV_BIN / "python"), *arguments],
        remedy="check that uv reaches its package index on this machine, then repeat `make deps`",
    )


if __name__ == "__main__":
    finish(main)
