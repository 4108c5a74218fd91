"""lynis: the machine's hardening index, and the suggestions that are left."""

from __future__ import annotations

import re

from tools.audit.scanners import HOME, on, read

REPORT = "/var/log/lynis-report.dat"


def index_and_suggestions(machine: str) -> tuple[int, set[str]]:
    """Return the hardening index and the tests with suggestions or warnings."""
    # lynis finds its files in the current directory.
    on(
        machine,
        f"cd {HOME}/usr/share/lynis && cp ../../sbin/lynis ../../../etc/lynis/default.prf . &&"
        " mkdir -p plugins"
        " && chown -R root:root . && ./lynis audit system --quick >/dev/null 2>&1",
    )
    return parsed(read(machine, REPORT))


def parsed(report: str) -> tuple[int, set[str]]:
    """Return index and suggestions from lynis' report."""
    index = re.search(r"^hardening_index=(\d+)$", report, re.MULTILINE)
    if index is None:
        raise ValueError("lynis' report has no hardening index")
    return int(index[1]), set(
        re.findall(r"^(?:suggestion|warning)\[\]=([A-Z]+(?:-\d+)?)\|", report, re.MULTILINE)
    )
