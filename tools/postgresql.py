"""PostgreSQL's programs, for tests that start a server."""

from pathlib import Path

from tools import apt, shell
from tools.say import Trouble

_DEBIAN = Path("/usr/lib/postgresql")
# Without this the package starts a server.
_NO_SERVER = "create_main_cluster = false\n"
_SETTINGS = Path("/etc/postgresql-common/createcluster.conf")


def programs() -> Path:
    """Return the directory of the newest initdb and pg_ctl.

    Raises:
        Trouble: PostgreSQL is not installed.
    """
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if not found:
        raise Trouble("this machine has no PostgreSQL", "sudo apt-get install -y postgresql")
    return found[-1].parent


def ensure() -> None:
    """Install PostgreSQL if it is missing, without starting a server."""
    try:
        programs()
    except Trouble:
        apt.ensure("postgresql-common")
        shell.output([*shell.as_root(), "tee", "--append", str(_SETTINGS)], stdin=_NO_SERVER)
        apt.ensure("postgresql")
