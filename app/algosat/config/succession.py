"""Succession of configurations: a new one must not undo a rotation of keys.

An inventory from before a rotation would end every session, make data encrypted since unreadable, and
restore a key that was retired because it may have leaked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from algosat.config.loader import ALGOSAT_FILE, SECURITY_FILE
from algosat.config.problems import Problem, as_error
from algosat.config.settings import Settings

REMEDY: Final = (
    "pull the newest vault.yml of the environment (to go back all the same: -e algosat_forget_keys=true)"
)


def require_newer_keys(settings: Settings, in_force: Path) -> None:
    """Check that the keys of the directory `in_force` are not newer. Raises ConfigurationError."""
    problems = list(_superseded_keys(settings, in_force))
    if problems:
        raise as_error(problems)


def _superseded_keys(settings: Settings, in_force: Path) -> Iterator[Problem]:
    signing = settings.algosat.security.secret_key.get_secret_value()
    if signing in _keys(in_force / ALGOSAT_FILE, "security", "previous_secret_keys"):
        yield Problem(ALGOSAT_FILE, "security.secret_key", f"a newer key is in use on this server: {REMEDY}")
    held = {it.get_secret_value() for it in settings.security.encryption.keys}
    # The first key encrypts; old keys at the end may be dropped.
    if not held.issuperset(_keys(in_force / SECURITY_FILE, "encryption", "keys")[:1]):
        yield Problem(
            SECURITY_FILE, "encryption.keys", f"the key that encrypts on this server is missing: {REMEDY}"
        )


def _keys(file: Path, section: str, name: str) -> list[Any]:
    """Return keys from a file that may be another release's, with settings unknown to this one."""
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []  # there is no readable configuration in use
    found = data.get(section) if isinstance(data, dict) else None
    keys = found.get(name) if isinstance(found, dict) else None
    return keys if isinstance(keys, list) else []
