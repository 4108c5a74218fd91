"""`make drill`: see tests/drill/__init__.py."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Final

import httpx

import tests.drill
from tests.drill.faults import DISK, FAKETIME, FAULTS, FAULTS_FILE, Fault
from tests.drill.judge import Record, findings
from tests.drill.server import Server, names, wait_until
from tests.drill.traffic import Answer, Traffic, ask
from tools.local_inventory import DIRECTORY
from tools.playbook import play
from tools.say import Trouble, finish, note, step
from tools.up import FACTS

_HELD: Final = "BRAVO-EQ"  # the position that is closed during each fault
_RECOVERY: Final = 90.0  # seconds within which the server must be healthy by itself
_SETTLED: Final = 90.0  # seconds within which alerts must end
# Limits that the drill's orders must not meet.
_VARIABLES: Final = {
    "algosat_environment": "testing",
    "algosat_accounts": [{"name": "paper", "calendar": "always_open", "paper": {"starting_cash": 10**9}}],
    "algosat_security_rate_limit_requests": 100_000,
    "algosat_security_access_token_expire_minutes": 240,
    "algosat_engine_orders_per_second": 100,
    "algosat_engine_orders_per_minute": 6000,
    "algosat_engine_orders_per_day": 10**6,
    "algosat_risk_max_order_value": 10**9,
    "algosat_risk_max_position_value": 10**9,
    "algosat_risk_max_gross_exposure": 10**9,
    "algosat_risk_max_orders_per_second": 100,
    "algosat_risk_max_orders_per_day": 10**6,
    "algosat_risk_max_daily_loss": 10**9,
    "algosat_risk_max_open_orders": 10**4,
}
_DRILL: Final = FAULTS_FILE.rpartition("/")[0]
# libfaketime takes the end of a sleep for a time of day, as which it is refused.
_SLEEP: Final = (
    "import select, time; time.sleep = lambda seconds: select.select([], [], [], seconds) and None"
)
# The store on a disk of its own that can be filled, the clock and the broker under the drill's control.
_PREPARE: Final = f"""
systemctl stop algosat.socket algosat algosat-engine algosat-strategies
install -d -m 755 {_DRILL}
echo {shlex.quote(_SLEEP)} >{_DRILL}/sitecustomize.py
rm -f {FAULTS_FILE}
echo '+0' >{FAKETIME}
if ! mountpoint --quiet {DISK}; then
    cp --archive {DISK} /var/tmp/store
    options=$(stat --format=mode=%a,uid=%u,gid=%g {DISK})
    mount -t tmpfs -o size=700m,$options store {DISK}
    cp --archive /var/tmp/store/. {DISK}
fi
library=$(dpkg -L libfaketime | grep 'libfaketimeMT.so.1$')
for unit in algosat algosat-engine; do
    install -d /run/systemd/system/$unit.service.d
    cat >/run/systemd/system/$unit.service.d/drill.conf <<END
[Service]
Environment=ALGOSAT_PAPER_FAULTS={FAULTS_FILE} PYTHONPATH={_DRILL} LD_PRELOAD=$library
Environment=FAKETIME_TIMESTAMP_FILE={FAKETIME} FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_CACHE_DURATION=1
END
done
systemctl daemon-reload
systemctl reset-failed
systemctl start algosat.socket algosat algosat-engine algosat-strategies
"""
_REPAIR: Final = "systemctl restart algosat algosat-engine algosat-strategies"
_AS_BEFORE: Final = f"""
rm -f /run/systemd/system/algosat*.service.d/drill.conf {FAULTS_FILE}
systemctl daemon-reload
systemctl reset-failed
systemctl restart algosat.socket algosat algosat-engine
"""


def main() -> int:
    """Run the drill, or the named faults of it. 1 if there are findings."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill",
        description=tests.drill.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="; ".join(it.name for it in FAULTS))
    parser.add_argument("--again", action="store_true", help="the server is prepared by an earlier drill")
    asked = parser.parse_args()
    if unknown := set(asked.faults) - {it.name for it in FAULTS}:
        raise Trouble(f"there is no fault {', '.join(sorted(unknown))}", "python -m tests.drill --help")
    if not FACTS.exists():
        raise Trouble("the drill needs the trial server, and there is none", "make up")
    server = Server.of_trial()
    if not asked.again:
        _prepare(server)
    chosen = [it for it in FAULTS if not asked.faults or it.name in asked.faults]
    found = [(fault, _findings(server, fault)) for fault in chosen]
    note("")
    for fault, wrong in found:
        note(f"  {fault.name}: {'; '.join(wrong) or 'passed'}")
    total = sum(len(wrong) for _, wrong in found)
    note(f"findings: {total} in {len(found)} faults")
    note("The trial server keeps wide limits and a store in memory: `make down` removes it.")
    return 1 if total else 0


def _prepare(server: Server) -> None:
    server.run(_AS_BEFORE)
    with step("widening the limits of the trial server"):
        play("site.yml", DIRECTORY, "drill-site", "--extra-vars", json.dumps(_VARIABLES))
    with step("moving its store to a small disk, and installing the fault file and the clock"):
        server.run("apt-get install --yes -qq libfaketime sqlite3 >/dev/null 2>&1", seconds=180)
        server.run(_PREPARE, seconds=180)
        server.receive_alerts()


def _await_quiet(server: Server, fault: Fault) -> None:
    """Wait until the server is healthy, and no alert that names the fault is left of an earlier one."""
    if wait_until(lambda: _is_healthy(server), _RECOVERY) is None:
        raise Trouble(f"the trial server is not healthy: {server.health()}", "make down up")
    wait_until(lambda: not server.firing() & fault.alerts, _SETTLED, every=2)


def _is_healthy(server: Server) -> bool:
    """Return whether every component is healthy; the drill itself may keep the processor busy."""
    health = server.health()
    return health is not None and all(ok for name, ok in health["components"].items() if name != "vps")


def _findings(server: Server, fault: Fault) -> list[str]:
    """Return what was wrong. A server that does not recover is repaired for the faults that follow."""
    try:
        return list(findings(_drilled(server, fault)))
    except (Trouble, RuntimeError, httpx.HTTPError) as error:
        note(f"    FOUND {error}")
        server.run(_REPAIR, seconds=180)
        return [f"the drill could not go on: {error}"]


def _drilled(server: Server, fault: Fault) -> Record:
    with step(fault.name):
        _await_quiet(server, fault)
        with closing(server.client()) as client, Traffic(server) as traffic:
            return _observed(server, fault, client, traffic)


def _observed(server: Server, fault: Fault, client: httpx.Client, traffic: Traffic) -> Record:
    _hold_a_position(client)
    time.sleep(2)  # orders flow
    before, starts, since = _stored(client), server.restarts(), server.clock()
    answers: list[Answer] = []
    exit_key, halt_key = str(uuid.uuid4()), str(uuid.uuid4())
    try:
        fault.inject(server)
        told_after, told_by = _told(server, fault, since)
        closed = _close(client, exit_key)
        halted = _halt(client, halt_key)
    finally:
        fault.lift(server)
    answers += [closed, halted]
    healthy_after = wait_until(lambda: _is_healthy(server), _RECOVERY)
    if closed.status >= 500 or closed.status == 0:
        answers.append(_close(client, exit_key))
    if halted.status >= 500 or halted.status == 0:
        answers.append(_halt(client, halt_key))
    is_halted = bool(ask(client, "GET", "/risk").body.get("halted"))
    exit_after = wait_until(lambda: _held(client) == 0, _RECOVERY)
    ask(client, "POST", "/risk/resume", {})
    time.sleep(2)
    traffic.stop()
    traffic.repeat_open()
    traffic.repeat_some()
    proof = server.run("algosat store verify >/tmp/proof 2>&1 && exit 0; tail -3 /tmp/proof")
    record = Record(
        name=fault.name,
        told_within=fault.told_within,
        told_after=told_after,
        told_by=told_by,
        answers=[*traffic.answers, *answers],
        acknowledged=frozenset(traffic.acknowledged.values()),
        stored=frozenset(_stored(client) - before) | frozenset(traffic.acknowledged.values()) & before,
        changed_keys=len(traffic.changed),
        exit_after=exit_after,
        is_halted=is_halted,
        healthy_after=healthy_after,
        starts=server.restarts() - starts,
        proof=proof.strip(),
    )
    _say(record, closed, halted)
    return record


def _say(record: Record, closed: Answer, halted: Answer) -> None:
    told = "never" if record.told_after is None else f"after {record.told_after:.1f} s by {record.told_by}"
    health = "never" if record.healthy_after is None else f"after {record.healthy_after:.1f} s"
    flat = "never" if record.exit_after is None else f"after {record.exit_after:.1f} s"
    note(
        f"    told {told}, at most {record.told_within:.0f} s;"
        f" close {closed.status} in {closed.seconds:.1f} s,"
        f" halt {halted.status} in {halted.seconds:.1f} s;"
        f" then healthy {health}, flat {flat}; {record.starts} starts;"
        f" {len(record.acknowledged)} orders; answers: {_counts(record.answers)}"
    )
    for wrong in findings(record):
        note(f"    FOUND {wrong}")


def _counts(answers: Sequence[Answer]) -> str:
    """Return how many answers had each status and code."""
    counts = Counter(f"{it.status} {it.body.get('code') or ''}".strip() for it in answers)
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(counts.items()))


def _told(server: Server, fault: Fault, since: float) -> tuple[float | None, str]:
    """Wait until an alert that names the fault has arrived. Returns after how many seconds, and its name."""
    told: list[tuple[float, str]] = []

    def has_arrived() -> bool:
        for alert in server.alerts():
            named = fault.alerts.intersection(names(alert["labels"]))
            if named and alert["status"] == "firing" and alert["received_at"] >= since:
                told.append((alert["received_at"] - since, min(named)))
        return bool(told)

    wait_until(has_arrived, fault.told_within + 20, every=1)
    return min(told) if told else (None, "")


def _hold_a_position(client: httpx.Client) -> None:
    ask(client, "POST", "/risk/resume", {})  # an interrupted drill may have left a halt
    body = {"symbol": _HELD, "side": "buy", "quantity": "5", "type": "market", "product": "intraday"}
    placed = ask(client, "POST", "/orders", body, Idempotency_Key=str(uuid.uuid4()), Prefer="wait=5")
    if placed.order is None or wait_until(lambda: _held(client) != 0, 20) is None:
        raise Trouble(f"no position could be taken: {placed.body}", "make down up")


def _held(client: httpx.Client) -> float | None:
    """Return the quantity of the position, or None if it is not known."""
    answer = ask(client, "GET", f"/positions?symbol={_HELD}")
    if answer.status != 200:
        return None
    return sum(float(it["quantity"]) for it in answer.body["items"] if it["symbol"] == _HELD)


def _close(client: httpx.Client, key: str) -> Answer:
    return ask(client, "POST", f"/positions/{_HELD}/close", {}, Idempotency_Key=key, Prefer="wait=0")


def _halt(client: httpx.Client, key: str) -> Answer:
    return ask(client, "POST", "/risk/halt", {"reason": "drill"}, Idempotency_Key=key)


def _stored(client: httpx.Client) -> frozenset[str]:
    """Return the ids of the orders that the server has accepted in the symbol of the traffic."""
    return frozenset(
        it["id"] for it in _pages(client, "/orders?symbol=ALPHA-EQ&limit=1000") if it["status"] != "denied"
    )


def _pages(client: httpx.Client, path: str) -> Iterator[dict[str, Any]]:
    after = ""
    while True:
        answer = client.get(f"{path}{after}")
        answer.raise_for_status()
        found = answer.json()
        yield from found["items"]
        if not found["next_cursor"]:
            return
        after = f"&cursor={found['next_cursor']}"


if __name__ == "__main__":
    finish(lambda: sys.exit(main()))
