"""`make audit-deps`: report known vulnerabilities of the locked packages. A finding fails no build.

A build must give the same result tomorrow, and a vulnerability needs a person who decides.
"""

import json
from collections.abc import Iterator
from typing import Any

from tools import shell, venvs
from tools.paths import ROOT
from tools.say import finish, note

# The first goes onto servers; the others stay on the controller.
LOCKS = ("app/requirements.lock", "requirements-ops.lock", "requirements-dev.lock")


def report(lock: str, packages: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines about a lock file, from the packages as pip-audit describes them."""
    skipped = [it["skip_reason"] for it in packages if "skip_reason" in it]
    found = [(it, each) for it in packages for each in it.get("vulns", ())]
    yield f"{lock}: {len(packages)} packages, {len(found)} known vulnerabilities"
    for package, vulnerability in found:
        fixed = ", ".join(vulnerability["fix_versions"]) or "none yet"
        yield f"  {package['name']} {package['version']}: {vulnerability['id']}, fixed in: {fixed}"
    if skipped:
        yield f"  {len(skipped)} of them were not looked up: {skipped[0]}"


def _main() -> int:
    program = str(venvs.ensure("vulnerabilities") / "pip-audit")
    for lock in LOCKS:
        answer = shell.attempt(
            [program, "--format=json", "--require-hashes", "--disable-pip", "--requirement", str(ROOT / lock)]
        )
        try:
            packages = json.loads(answer.stdout)["dependencies"]
        except ValueError:
            note(f"{lock}: not looked up: {answer.stderr.strip()[-200:]}")
        else:
            note("\n".join(report(lock, packages)))
    return 0


if __name__ == "__main__":
    finish(_main)
