"""testssl.sh: the grade that SSL Labs would give, with the machine's own authority known."""

from __future__ import annotations

import json

from tools.audit.scanners import HOME, on, read


def grade_and_score(machine: str) -> tuple[str, int]:
    """Scan https://localhost on the machine, which no rate limit is for."""
    options = "--quiet --color 0 --warnings off --add-ca /etc/ssl/algosat/ca.pem --jsonfile tls.json"
    on(
        machine,
        f"cd {HOME} && rm -f tls.json; export TESTSSL_INSTALL_DIR={HOME}/etc/testssl;"
        f" usr/bin/testssl {options} https://localhost >/dev/null 2>&1; test -s tls.json",
    )
    return parsed(read(machine, f"{HOME}/tls.json"))


def parsed(report: str) -> tuple[str, int]:
    """The same, from testssl's report."""
    found = {entry["id"]: entry["finding"] for entry in json.loads(report)}
    return found["overall_grade"], int(found["final_score"])
