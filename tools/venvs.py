"""Virtual environments of heavy or rarely used tools, each made from its own lock file on first use.

`.config/venvs/NAME.in` lists the packages of NAME, `.config/venvs/NAME.txt` locks them with hashes, and
`ensure("NAME")` installs them into `.local/venvs/NAME`. They stay out of `.venv`, which every verb waits for.

python -m tools.venvs NAME...
"""

import argparse
import hashlib
import shutil
import sys
from pathlib import Path

from tools import locks, shell
from tools.paths import LOCAL, ROOT, VENV_BIN
from tools.say import Trouble, finish, note

LOCKS = ROOT / ".config" / "venvs"
VENVS = LOCAL / "venvs"


def main() -> None:
    """Make each named environment and print its directory of programs."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.venvs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+", choices=names())
    for name in parser.parse_args().names:
        note(str(ensure(name)))


def names() -> list[str]:
    """Return the name of every environment that has a lock file."""
    return sorted(lock.stem for lock in LOCKS.glob("*.txt"))


def ensure(name: str) -> Path:
    """Return the directory of an environment's programs, installed first if its lock file has changed.

    Several processes may ask at once: one installs, the others wait for it.

    Raises:
        Trouble: the environment has no lock file, or a package could not be installed.
    """
    lock = LOCKS / f"{name}.txt"
    if not lock.exists():
        raise Trouble(f"{name} has no lock file {lock.relative_to(ROOT)}", "make lock")
    venv = VENVS / name
    with locks.exclusive(f"venv-{name}"):
        if not _is_current(venv, lock):
            _install(venv, lock)
    return venv / "bin"


def _is_current(venv: Path, lock: Path) -> bool:
    stamp = venv / ".done"
    return stamp.exists() and stamp.read_text() == _fingerprint(lock)


def _fingerprint(lock: Path) -> str:
    return f"Python {sys.version}\n{hashlib.sha256(lock.read_bytes()).hexdigest()}\n"


def _install(venv: Path, lock: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    remedy = "check that uv reaches its package index on this machine, then repeat the command"
    uv = str(VENV_BIN / "uv")
    shell.output([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], remedy=remedy)
    shell.output(
        [
            uv,
            "pip",
            "sync",
            "--quiet",
            "--require-hashes",
            "--python",
            str(venv / "bin" / "python"),
            str(lock),
        ],
        remedy=remedy,
    )
    (venv / ".done").write_text(_fingerprint(lock))


if __name__ == "__main__":
    finish(main)
