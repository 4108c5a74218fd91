"""testssl.sh: the grade of SSL Labs, with the machine's certificate authority trusted."""

from __future__ import annotations

import json

from tools.audit.scanners import HOME, on, read


def grade_and_score(machine: str) -> tuple[str, int]:
    """Scan https://localhost on the machine, which nginx does not limit."""
    options = "--quiet --color 0 --warnings off --add-ca /etc/ssl/algosat/ca.pem --jsonfile tls.json"
    on(
        machine,
        f"cd {HOME} && rm -f tls.json; export TESTSSL_INSTALL_DIR={HOME}/etc/testssl;"
        f" usr/bin/testssl {options} https://localhost >/dev/null 2>&1; test -s tls.json",
    )
    return parsed(read(machine, f"{HOME}/tls.json"))


def parsed(report: str) -> tuple[str, int]:
    """Return grade and score from testssl's report."""
    found = {entry["id"]: entry["finding"] for entry in json.loads(report)}
    return found["overall_grade"], int(found["final_score"])
