"""After a restart, and after a power cut in a burst of orders, everything is back and nothing is missing."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from typing import Any

import pytest
from testinfra.host import Host

from tests.host.outside import Outside
from tests.host.trader import SETTLED, Trader
from tests.vm.burst import Burst
from tests.vm.power import Power

pytestmark = pytest.mark.unit("algosat", "algosat-engine")

ORDERS_BEFORE_THE_CUT = 12
AT_REST = SETTLED | {"denied"}
BANNED = "198.51.100.99"
# What is not in a file but was done to the running machine; each command prints what it finds.
STATE = {
    "firewall": "iptables --list-rules; ip6tables --list-rules",
    "rules of the record": "auditctl -l",
    "swap": "swapon --show=NAME,SIZE --noheadings",
    "mounts": "grep --extended-regexp ' (/dev/shm|/proc) ' /proc/mounts",
    "profiles": "cat /sys/kernel/security/apparmor/profiles",
    "doors": "ss --listening --tcp --numeric --no-header | awk '{print $4}'",
    "jails": "fail2ban-client status",
    "units": "systemctl list-units --state=active --plain --no-legend '*.service' '*.socket' '*.timer'"
    " | sed 's/ .*//'",
}
# They come and go: logins, work that ends, and what systemd starts when it is asked for.
PASSING = re.compile(r"(user|session|modprobe|systemd-(fsck|tmpfiles|hostnamed|timedated))\b")
# The exchange's own book, not ours: an order under one tag that it took more than once.
SENT_TWICE = """/opt/algosat/current/bin/python -c '
import sqlite3
book = sqlite3.connect("file:/var/lib/algosat/database/algosat.db?mode=ro", uri=True)
print(book.execute("SELECT tag FROM paper_orders GROUP BY tag HAVING count(*) > 1").fetchall())'"""


def state(host: Host) -> dict[str, set[str]]:
    """What the machine does, as lines."""
    found = {}
    for name, command in STATE.items():
        lines = host.check_output(command).splitlines()
        found[name] = {line for line in lines if not PASSING.match(line) and "f2b-" not in line}
    return found


def kernel_settings(host: Host) -> dict[str, str]:
    """Each setting of the role, as the kernel has it."""
    names = "sed -n 's/^\\([^# ]*\\) = .*/\\1/p' /etc/sysctl.d/zz-hardening.conf"
    lines = host.check_output(f"sysctl --ignore $({names})").splitlines()
    return dict(line.split(" = ", 1) for line in lines)


def test_everything_is_back_after_a_restart(host: Host, power: Power, trader: Trader) -> None:
    _fill(trader)
    host.check_output(f"fail2ban-client set sshd banip {BANNED}")
    orders, before, settings = _settled(trader), state(host), kernel_settings(host)
    try:
        power.reboot()
        assert host.run("systemctl is-system-running").stdout.strip() == "running"
        after = state(host)
        assert {name: gone for name in before if (gone := before[name] - after[name])} == {}
        assert {name: new for name in ("firewall", "doors") if (new := after[name] - before[name])} == {}
        assert kernel_settings(host) == settings
        assert host.check_output("fail2ban-client get sshd banip").split() == [BANNED]
    finally:
        host.run(f"fail2ban-client set sshd unbanip {BANNED}")
    # Whoever was logged in still is, and what he had done is done.
    assert _settled(trader) == orders
    _fill(trader)


def test_nothing_acknowledged_is_lost_or_doubled_when_the_power_is_cut(
    host: Host, outside: Outside, power: Power, trader: Trader, credentials: tuple[str, str]
) -> None:
    symbol = trader.instrument()["symbol"]
    with Burst(trader, symbol) as burst:
        burst.wait_for(ORDERS_BEFORE_THE_CUT)
        power.cut()
        before = dict(burst.told)
        power.give()
    assert burst.refused == []
    assert len(burst.told) == len(burst.asked)
    assert host.run("systemctl is-system-running").stdout.strip() == "running"

    again = Trader.logged_in(outside, *credentials)
    for order in burst.asked:  # what was acknowledged before the cut is answered as it was then
        if order.key in before:
            assert json.loads(order.send(again, symbol).text)["id"] == before[order.key]
    orders = {order["id"]: order for order in _settled(again)}
    ours = [orders[order_id] for order_id in burst.told.values()]
    # One that reached no engine in time is rejected, and then nothing of it is traded: told, not lost.
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
    """Trade, over HTTPS and from outside."""
    answer = trader.buy(trader.instrument()["symbol"], 3)
    assert answer.status == 201, answer.text
    assert trader.settled(json.loads(answer.text)["id"])["status"] == "filled"


def _settled(trader: Trader, seconds: float = 300) -> list[dict[str, Any]]:
    """All orders, once each has come to rest."""
    deadline = time.monotonic() + seconds
    while True:
        orders = _all(trader, "/orders")
        if all(order["status"] in AT_REST for order in orders):
            return orders
        assert time.monotonic() < deadline, Counter(order["status"] for order in orders)
        time.sleep(1)


def _all(trader: Trader, path: str) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    page = trader.read(f"{path}?limit=1000")
    items = list(page["items"])
    while page["next_cursor"]:
        page = trader.read(f"{path}?limit=1000&cursor={page['next_cursor']}")
        items += page["items"]
    return items
