"""`make audit`: every figure of docs/hardening.md, measured on the server of `make up`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from tools import containers
from tools.audit import cis, lynis, scanners, secure_shell, tls
from tools.bench.report import Figure, published, table
from tools.containers import Machine
from tools.paths import ROOT
from tools.say import Trouble, finish, note, step
from tools.up import NAME

_PAGE: Final = ROOT / "docs" / "hardening.md"
_EXPOSURE: Final = {
    "nginx": 3.0,
    "algosat": 1.5,
    "algosat-engine": 1.5,
    "fail2ban": 4.0,
    "redis-server": 2.5,
    "prometheus": 1.5,
    "prometheus-alertmanager": 1.5,
    "prometheus-node-exporter": 2.0,  # on a real machine it reads the clock
}


def main() -> int:
    """Measure, print, and with `--save` write docs/hardening.md. Returns 1 if a figure is not met."""
    machine = containers.find(NAME)
    if machine is None:
        raise Trouble("there is no server to audit", "make up")
    system = scanners.on(NAME, '. /etc/os-release && printf "%s %s" "$ID" "$VERSION_ID"').title()
    figures = _measure(machine, system)
    run = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {system} in a container\n\n{table(figures)}"
    note(f"\n{run}")
    if "--save" in sys.argv[1:]:
        _PAGE.write_text(published(_PAGE.read_text(), run, verb=verb(machine.distro)))
        note(f"\nwritten to {_PAGE.relative_to(ROOT)}")
    return int(any(figure.met is False for figure in figures))


def verb(distro: str) -> str:
    """Return the goals of `make` that measure the distribution; the page names its table by them."""
    return f"up audit DISTRO={distro}"


def _measure(machine: Machine, system: str) -> list[Figure]:
    found: list[Figure] = []
    _part(found, "units", lambda: [_exposure(unit, wanted) for unit, wanted in _EXPOSURE.items()])
    _part(found, "ssh-audit", lambda: _secure_shell(machine, system))
    with step("installing lynis, openscap and testssl.sh on the machine"):
        scanners.bring(NAME)
    _part(found, "lynis", _lynis)
    _part(found, "CIS level 1", _cis)
    _part(found, "testssl.sh: some minutes", _tls)
    return found


def _part(found: list[Figure], name: str, measure: Callable[[], Sequence[Figure]]) -> None:
    with step(name):
        for figure in measure():
            found.append(figure)
            note(f"    {figure.work}: {figure.measured}")


def _exposure(unit: str, wanted: float) -> Figure:
    said = scanners.on(NAME, f"systemd-analyze security --no-pager {unit}.service | tail -1")
    level = exposure(said)
    return Figure(f"`systemd-analyze security {unit}`", f"{level}", f"≤ {wanted}", level <= wanted)


def exposure(said: str) -> float:
    """Return the exposure level from the last line of systemd-analyze."""
    return float(said.rpartition("Overall exposure level for")[2].split(":")[1].split()[0])


def _secure_shell(machine: Machine, system: str) -> list[Figure]:
    fails, warnings = secure_shell.objections(machine.ssh_port)
    passes, policy = secure_shell.policy_passes(machine.ssh_port, system)
    return [
        Figure("ssh-audit: fails / warnings", f"{fails} / {warnings}", "0 / 0", fails + warnings == 0),
        Figure(f"ssh-audit: {policy}", "passes" if passes else "fails", "passes", passes),
    ]


def _lynis() -> list[Figure]:
    index, suggestions = lynis.index_and_suggestions(NAME)
    return [
        Figure("lynis: hardening index", str(index), "≥ 88", index >= 88),
        _answered("lynis: suggestions left that are answered below", suggestions),
    ]


def _cis() -> list[Figure]:
    result = cis.scan(NAME)
    counted = f"{result.percent:.1f} % ({len(result.passed)} of {len(result.passed | result.failed)})"
    return [
        Figure("CIS level 1 server: rules that pass (openscap)", counted, "≥ 90 %", result.percent >= 90),
        _answered("CIS: rules that fail and are answered below", result.failed),
    ]


def _tls() -> list[Figure]:
    grade, score = tls.grade_and_score(NAME)
    return [
        Figure("testssl.sh: grade and score", f"{grade}, {score}", "A+, ≥ 95", grade == "A+" and score >= 95)
    ]


def _answered(work: str, found: Iterable[str]) -> Figure:
    names = set(found)
    silent = sorted(names - answered(_PAGE.read_text()))
    measured = f"{len(names) - len(silent)} of {len(names)}"
    return Figure(work, f"{measured}; not: {', '.join(silent)}" if silent else measured, "all", not silent)


def answered(page: str) -> set[str]:
    """Return the names in the first column of the page's tables."""
    rows = re.findall(r"^\| (`[^|]+`) \| \S", page, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


if __name__ == "__main__":
    finish(main)
