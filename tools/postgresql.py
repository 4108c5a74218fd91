"""PostgreSQL's own programs, for tests that start a server of their own."""

from pathlib import Path

from tools import apt, shell
from tools.say import Trouble

_DEBIAN = Path("/usr/lib/postgresql")
# The distribution starts a server for everybody with the package, unless it is told not to.
_NO_SERVER = "create_main_cluster = false\n"
_SETTINGS = Path("/etc/postgresql-common/createcluster.conf")


def programs() -> Path:
    """The directory of initdb and pg_ctl, the newest there is. Raises Trouble when there is none."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if not found:
        raise Trouble("this machine has no PostgreSQL", "sudo apt-get install -y postgresql")
    return found[-1].parent


def ensure() -> None:
    """Install it where it is missing, without a server that would run from then on."""
    try:
        programs()
    except Trouble:
        apt.ensure("postgresql-common")
        shell.output([*shell.as_root(), "tee", "--append", str(_SETTINGS)], stdin=_NO_SERVER)
        apt.ensure("postgresql")
