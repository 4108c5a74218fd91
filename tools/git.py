"""Git configuration of this checkout: its hooks, and how git shows an encrypted inventory."""

import shutil

from tools import shell
from tools.paths import ROOT

SETTINGS = {
    "core.hooksPath": "tools/hooks",
    # Never cached: git would keep the decrypted secrets in its object store.
    "diff.ansible-vault.textconv": "tools/vault-textconv",
    "diff.ansible-vault.cachetextconv": "false",
}


def configure() -> None:
    """Set git's configuration, unless this is an unpacked archive instead of a checkout."""
    if shutil.which("git") and (ROOT / ".git").exists():
        for name, value in SETTINGS.items():
            shell.output(["git", "-C", str(ROOT), "config", name, value])


if __name__ == "__main__":
    configure()
