"""Check that the licence of every package in a release is one that the project accepts.

python -m tools.licences
"""

import email
from collections.abc import Iterator, Mapping
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any

from license_expression import ExpressionError, get_spdx_licensing
from packaging.requirements import Requirement

from tools.paths import ROOT
from tools.say import finish, note
from tools.sbom import licence_of

# LGPL and MPL cover their own files only, and a release changes none of them.
ACCEPTED = frozenset(
    {
        *("MIT", "MIT-0", "0BSD", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "PSF-2.0"),
        *("MPL-2.0", "LGPL-3.0-only", "LGPL-3.0-or-later"),
        # Words of packages that state no SPDX expression.
        *("MIT License", "BSD License", "Apache Software License", "ISC License (ISCL)"),
    }
)


def is_accepted(licence: str) -> bool:
    """Return whether an SPDX expression can be satisfied by accepted licences."""
    if licence in ACCEPTED:
        return True
    try:
        return _is_satisfied(get_spdx_licensing().parse(licence, validate=True))
    except ExpressionError:
        return False


def refused(licences: Mapping[str, str]) -> Iterator[str]:
    """Yield each package whose licence is not accepted."""
    yield from (f"{name}: {licence}" for name, licence in licences.items() if not is_accepted(licence))


def shipped(lock: Path) -> dict[str, str]:
    """Return the licences of the packages in a lock file that this machine installs, by name."""
    lines = (it for it in lock.read_text().splitlines() if it[:1].isalnum())
    requirements = (Requirement(line.removesuffix("\\").strip()) for line in lines)
    names = (it.name for it in requirements if it.marker is None or it.marker.evaluate())
    return {name: licence_of(_metadata(name)) for name in names}


def _is_satisfied(expression: Any) -> bool:
    operator = getattr(expression, "operator", None)
    if operator is None:
        return str(expression) in ACCEPTED
    parts = map(_is_satisfied, expression.args)
    return all(parts) if operator.strip() == "AND" else any(parts)


def _metadata(name: str) -> Message:
    return email.message_from_string(metadata.distribution(name).read_text("METADATA") or "")


def _main() -> int:
    found = list(refused(shipped(ROOT / "app" / "requirements.lock")))
    for line in found:
        note(f"not an accepted licence (tools/licences.py): {line}")
    return 1 if found else 0


if __name__ == "__main__":
    finish(_main)
