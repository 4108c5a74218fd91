"""Recovery after a reboot, and after a power failure during a burst of orders."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from typing import Any

import pytest
from testinfra.host import Host

from tests.host.client import Client
from tests.host.trader import STABLE, Trader
from tests.vm.burst import Burst
from tests.vm.power import Power

pytestmark = pytest.mark.unit("algosat", "algosat-engine")

ORDERS_BEFORE_THE_CUT = 12
FINISHED = STABLE | {"denied"}
BANNED = "198.51.100.99"
# Commands that print the runtime state of the machine.
STATE = {
    "firewall": "iptables --list-rules; ip6tables --list-rules",
    "audit rules": "auditctl -l",
    "swap": "swapon --show=NAME,SIZE --noheadings",
    "mounts": "grep --extended-regexp ' (/dev/shm|/proc) ' /proc/mounts",
    "profiles": "cat /sys/kernel/security/apparmor/profiles",
    "listening ports": "ss --listening --tcp --numeric --no-header | awk '{print $4}'",
    "jails": "fail2ban-client status",
    "units": "systemctl list-units --state=active --plain --no-legend '*.service' '*.socket' '*.timer'"
    " | sed 's/ .*//'",
}
# Transient units: logins, finished jobs, and services that systemd starts on demand.
TRANSIENT = re.compile(r"(user|session|modprobe|systemd-(fsck|tmpfiles|hostnamed|timedated))\b")
# Tags under which the exchange accepted more than one order, from its own table.
SENT_TWICE = """/opt/algosat/current/bin/python -c '
import sqlite3
book = sqlite3.connect("file:/var/lib/algosat/database/algosat.db?mode=ro", uri=True)
print(book.execute("SELECT tag FROM paper_orders GROUP BY tag HAVING count(*) > 1").fetchall())'"""


def state(host: Host) -> dict[str, set[str]]:
    """Return the output lines of each command in STATE."""
    found = {}
    for name, command in STATE.items():
        lines = host.check_output(command).splitlines()
        found[name] = {line for line in lines if not TRANSIENT.match(line) and "f2b-" not in line}
    return found


def kernel_settings(host: Host) -> dict[str, str]:
    """Return the current value of each setting that the role manages."""
    names = "sed -n 's/^\\([^# ]*\\) = .*/\\1/p' /etc/sysctl.d/zz-hardening.conf"
    lines = host.check_output(f"sysctl --ignore $({names})").splitlines()
    return dict(line.split(" = ", 1) for line in lines)


def test_state_after_a_reboot_is_the_state_before(host: Host, power: Power, trader: Trader) -> None:
    _fill(trader)
    host.check_output(f"fail2ban-client set sshd banip {BANNED}")
    orders, before, settings = _finished_orders(trader), state(host), kernel_settings(host)
    try:
        power.reboot()
        assert host.run("systemctl is-system-running").stdout.strip() == "running"
        after = state(host)
        assert {name: gone for name in before if (gone := before[name] - after[name])} == {}
        assert {
            name: new for name in ("firewall", "listening ports") if (new := after[name] - before[name])
        } == {}
        assert kernel_settings(host) == settings
        assert host.check_output("fail2ban-client get sshd banip").split() == [BANNED]
    finally:
        host.run(f"fail2ban-client set sshd unbanip {BANNED}")
    # The login session is still valid, and the orders are unchanged.
    assert _finished_orders(trader) == orders
    _fill(trader)


def test_power_failure_loses_and_duplicates_no_acknowledged_order(
    host: Host, client: Client, power: Power, trader: Trader, credentials: tuple[str, str]
) -> None:
    symbol = trader.instrument()["symbol"]
    with Burst(trader, symbol) as burst:
        burst.wait_for(ORDERS_BEFORE_THE_CUT)
        power.cut()
        before = dict(burst.acknowledged)
        power.restore()
    assert burst.rejected == []
    assert len(burst.acknowledged) == len(burst.requests)
    assert host.run("systemctl is-system-running").stdout.strip() == "running"

    again = Trader.log_in(client, *credentials)
    for order in burst.requests:  # a repeated request gets the order acknowledged before the power failure
        if order.key in before:
            assert json.loads(order.send(again, symbol).text)["id"] == before[order.key]
    orders = {order["id"]: order for order in _finished_orders(again)}
    ours = [orders[order_id] for order_id in burst.acknowledged.values()]
    # An order that the engine could not send in time is rejected and must not be traded.
    assert {order["status"] for order in ours} <= {"filled", "rejected", "not_found"}
    assert sum(order["status"] == "filled" for order in ours) > len(ours) // 2
    assert [order for order in orders.values() if order["external"]] == []
    traded: Counter[str] = Counter()
    for trade in _all(again, "/trades"):
        traded[trade["order_id"]] += int(trade["quantity"])
    due = {order["id"]: int(order["quantity"]) * (order["status"] == "filled") for order in ours}
    assert {order_id: traded[order_id] for order_id in due} == due
    assert host.check_output(SENT_TWICE) == "[]"
    assert host.run("algosat store verify").rc == 0


def _fill(trader: Trader) -> None:
    """Place an order and wait until it is filled."""
    response = trader.buy(trader.instrument()["symbol"], 3)
    assert response.status == 201, response.text
    assert trader.wait_for_order(json.loads(response.text)["id"])["status"] == "filled"


def _finished_orders(trader: Trader, seconds: float = 300) -> list[dict[str, Any]]:
    """Return all orders once each of them is finished."""
    deadline = time.monotonic() + seconds
    while True:
        orders = _all(trader, "/orders")
        if all(order["status"] in FINISHED for order in orders):
            return orders
        assert time.monotonic() < deadline, Counter(order["status"] for order in orders)
        time.sleep(1)


def _all(trader: Trader, path: str) -> list[dict[str, Any]]:
    """Return all items of a paginated list."""
    page = trader.get_json(f"{path}?limit=1000")
    items = list(page["items"])
    while page["next_cursor"]:
        page = trader.get_json(f"{path}?limit=1000&cursor={page['next_cursor']}")
        items += page["items"]
    return items
