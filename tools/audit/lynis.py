"""lynis: an index of how hardened the machine is, and what it would have done otherwise."""

from __future__ import annotations

import re

from tools.audit.scanners import HOME, on, read

REPORT = "/var/log/lynis-report.dat"


def index_and_suggestions(machine: str) -> tuple[int, set[str]]:
    """The hardening index, and the tests of which suggestions or warnings are left."""
    # It looks for its parts beside itself.
    on(
        machine,
        f"cd {HOME}/usr/share/lynis && cp ../../sbin/lynis ../../../etc/lynis/default.prf . &&"
        " mkdir -p plugins"
        " && chown -R root:root . && ./lynis audit system --quick >/dev/null 2>&1",
    )
    return parsed(read(machine, REPORT))


def parsed(report: str) -> tuple[int, set[str]]:
    """The same, from lynis' own report."""
    index = re.search(r"^hardening_index=(\d+)$", report, re.MULTILINE)
    if index is None:
        raise ValueError("lynis' report has no hardening index")
    return int(index[1]), set(
        re.findall(r"^(?:suggestion|warning)\[\]=([A-Z]+(?:-\d+)?)\|", report, re.MULTILINE)
    )
