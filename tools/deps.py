"""Install the app and the tools around it into .venv, every file checked against a hash in a lock file.

Runs on a bare Python of the machine: nothing but the standard library may be imported here.

python -m tools.deps          everything, for tests and development
python -m tools.deps ops      only what provisions and operates servers; what is installed already stays
"""

import importlib.util
import shutil
import sys

from tools import apt, git, shell
from tools.paths import ROOT, VENV_BIN
from tools.say import Trouble, finish, step

LOWEST = (3, 11)
VENV = VENV_BIN.parent
# The Makefile compares these with the lock files.
DONE, OPS_DONE = VENV / ".done", VENV / ".ops-done"
OPS = (ROOT / "requirements-ops.lock", ROOT / "app" / "requirements.lock")
EVERYTHING = (ROOT / "requirements-dev.lock", *OPS)


def main() -> None:
    """Install what the lock files list, and mark it done."""
    _require_python()
    everything = sys.argv[1:] != ["ops"] or DONE.exists()
    for stamp in (DONE, OPS_DONE):
        stamp.unlink(missing_ok=True)
    if not _usable_venv():
        _make_venv()
    with step("installing the app and its tools from the lock files"):
        _install_uv()
        _uv("sync", "--require-hashes", *map(str, EVERYTHING if everything else OPS))
        _install_app()
    git.configure()
    OPS_DONE.touch()
    if everything:
        DONE.touch()


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


def _install_app() -> None:
    _uv("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT / "app"))


def _uv(verb: str, *arguments: str) -> None:
    shell.output(
        [str(VENV_BIN / "uv"), "pip", verb, "--quiet", "--python", str(VENV_BIN / "python"), *arguments],
        remedy="check that uv reaches its package index on this machine, then repeat `make deps`",
    )


if __name__ == "__main__":
    finish(main)
