"""ssh-audit: algorithms it rejects, and its hardened policy for the machine's distribution."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools import shell
from tools.paths import VENV_BIN
from tools.say import Trouble

_COMMAND: Final = (str(VENV_BIN / "ssh-audit"), "--no-colors")
# Exit codes for success, warnings and failures; others mean that there is no result.
_WITH_RESULT: Final = (0, 2, 3)


def objections(port: int) -> tuple[int, int]:
    """Return the number of failures and of warnings for the server on that port of this machine."""
    said = _said("--port", str(port), "127.0.0.1")
    return len(re.findall(r"\[fail\]", said)), len(re.findall(r"\[warn\]", said))


def policy_passes(port: int, distribution: str) -> tuple[bool, str]:
    """Return whether the newest hardened policy for the distribution passes, and its name."""
    name = newest_policy(_said("--list-policies"), distribution)
    if "Passed" in _said("--port", str(port), "--policy", name, "127.0.0.1"):
        return True, name
    return _subset_passes(port, name), f"{name}, fewer algorithms than it allows"


def newest_policy(listed: str, distribution: str) -> str:
    """Return the name of the newest policy for servers of the distribution."""
    server = re.escape(distribution.replace("Ubuntu", "Ubuntu Server"))
    found = re.findall(rf'"(Hardened {server}\b[^"]*\(version (\d+)\))"', listed)
    if not found:
        raise Trouble(f"ssh-audit has no hardened policy for {distribution}")
    return str(max(found, key=lambda policy: int(policy[1]))[0])


def _subset_passes(port: int, name: str) -> bool:
    """Return whether the server offers a subset of the policy's algorithms, which is stricter."""
    from ssh_audit.builtin_policies import BUILTIN_POLICIES  # type: ignore[import-untyped,unused-ignore]

    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(as_subset(name, BUILTIN_POLICIES[name]))
        file.flush()
        return "Passed" in _said("--port", str(port), "--policy", file.name, "127.0.0.1")


def as_subset(name: str, policy: Mapping[str, object]) -> str:
    """Return the text of a policy file that allows any subset of a built-in policy's algorithms."""
    lists = {"host keys": "host_keys", "key exchanges": "kex", "ciphers": "ciphers", "macs": "macs"}
    lines = [f'name = "{name}"', "version = 1", "allow_algorithm_subset_and_reordering = true"]
    for title, key in lists.items():
        value = policy[key]
        assert isinstance(value, list)
        lines.append(f"{title} = {', '.join(value)}")
    return "\n".join(lines) + "\n"


def _said(*arguments: str) -> str:
    if not Path(_COMMAND[0]).exists():
        raise Trouble("ssh-audit is not installed", "make deps")
    done = shell.attempt([*_COMMAND, *arguments])
    if done.returncode not in _WITH_RESULT:
        raise Trouble(
            f"ssh-audit gave no result\n{shell.tail(done)}", "check that this machine is not banned"
        )
    return done.stdout
