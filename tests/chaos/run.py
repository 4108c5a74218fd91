"""A run of the chaos test: orders, faults and kills until there are enough, a calm end, and the result."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from sqlalchemy import Connection

from algosat import clock
from algosat.brokers.faults.plan import Fault
from tests.chaos import findings
from tests.chaos.site import Site, summary_of_deaths
from tests.chaos.traders import UNANSWERED, Acknowledged, Trader

TRADERS: Final = 8
KILLED_FROM_OUTSIDE: Final = ("engine", "worker", "worker", "api")
CALM_SECONDS: Final = 90

Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """Counts of a run, and its findings."""

    seed: int
    seconds: float
    orders: int
    denied: int
    kills: dict[str, int]
    deaths: dict[str, int]
    outcomes: dict[str, int]
    repeated: int
    findings: list[str]

    def lines(self) -> Iterator[str]:
        yield f"seed {self.seed}, {self.seconds:.0f} s"
        yield f"orders acknowledged: {self.orders}, and {self.denied} denied by the gate"
        yield f"requests repeated on purpose: {self.repeated}"
        yield f"processes killed: {sum(self.kills.values())} ({_listed(self.kills)})"
        yield f"different steps they killed themselves at: {len(self.deaths)}"
        yield from (f"  {times:4} {name}" for name, times in sorted(self.deaths.items()))
        yield f"orders ended as: {_listed(self.outcomes)}"
        yield f"findings: {len(self.findings)}"
        yield from (f"  {finding}" for finding in self.findings[:50])


def run(directory: Path, *, orders: int, kills: int, seed: int, say: Say) -> Result:
    """Run until so many orders have passed the gate and so many processes were killed. Returns the result."""
    began = time.monotonic()
    site = Site(directory, seed)
    acknowledged = Acknowledged()
    site.start()
    try:
        token = site.token()
        with _traders(site, seed, token, acknowledged):
            _until_enough(site, acknowledged, orders, kills, random.Random(seed), say)
        say("everything is closed while the faults go on")
        _close_everything(site, token)
        say("no more faults and kills; every order has to be decided, and every position closed")
        site.calm_down()
        _wait_until_decided(site, token)
        return _judge(site, acknowledged, seed, time.monotonic() - began)
    finally:
        site.close()


@contextmanager
def _traders(site: Site, seed: int, token: str, acknowledged: Acknowledged) -> Iterator[None]:
    stopping = threading.Event()
    traders = [Trader(number, seed, site.url, token, acknowledged, stopping) for number in range(TRADERS)]
    for trader in traders:
        trader.start()
    try:
        yield
    finally:
        stopping.set()
        # Each repeats its last request until it is answered, which needs processes that run.
        while any(trader.is_alive() for trader in traders):
            site.tend()
            time.sleep(0.05)


def _until_enough(
    site: Site, acknowledged: Acknowledged, orders: int, kills: int, chance: random.Random, say: Say
) -> None:
    next_kill, next_report = 10, time.monotonic()
    while acknowledged.passed < orders or sum(site.kills.values()) < kills:
        site.tend()
        # By progress, not by time: killing a process that has not started proves nothing. Denials count as
        # progress, since there are only denials while the broker is down.
        if len(acknowledged.orders) >= next_kill and site.answers():
            next_kill = len(acknowledged.orders) + chance.randint(5, 25)
            site.kill(chance.choice(KILLED_FROM_OUTSIDE))
            site.inject(chance.randrange(10**6), _fault_rates(chance))
        if time.monotonic() >= next_report:
            next_report = time.monotonic() + 10
            say(f"{acknowledged.passed} orders, {_listed(site.kills)} killed")
        time.sleep(0.05)


def _fault_rates(chance: random.Random) -> dict[str, float]:
    """Draw rates of faults: mostly low rates of all, sometimes none, sometimes a broker that is down."""
    drawn = chance.random()
    if drawn < 0.1:
        return {Fault.DOWN: 1.0}
    if drawn < 0.2:
        return {}
    return {fault: chance.uniform(0, 0.04) for fault in Fault}


def _close_everything(site: Site, token: str) -> None:
    """Close all positions, repeating the request with its key until it is answered."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex}
    while True:
        site.tend()
        with suppress(httpx.TransportError):
            answer = httpx.post(f"{site.url}/positions/close-all", json={}, headers=headers, timeout=20)
            if answer.status_code not in UNANSWERED:
                answer.raise_for_status()
                return
        time.sleep(0.05)


def _wait_until_decided(site: Site, token: str) -> None:
    """Wait until all is decided and flat and the engine has read the broker's book, at most CALM_SECONDS.

    An order that was not found is given up, as a person does who has looked into the broker's book.
    """
    database = site.database()
    until = time.monotonic() + CALM_SECONDS
    headers = {"Authorization": f"Bearer {token}"}

    def wait_for(happened: Callable[[Connection], bool]) -> None:
        while time.monotonic() < until:
            with database.read() as connection:
                if happened(connection):
                    return
                lost = findings.not_found(connection)
            for order_id in lost:
                httpx.delete(f"{site.url}/orders/{order_id}", headers=headers, timeout=20)
            time.sleep(0.2)

    try:
        wait_for(lambda connection: findings.undecided(connection) == 0 and findings.is_flat(connection))
        decided = clock.now()
        wait_for(lambda connection: findings.book_read_at(connection) > decided)
    finally:
        database.close()


def _judge(site: Site, acknowledged: Acknowledged, seed: int, seconds: float) -> Result:
    site.stop()  # the market fills orders as long as it runs
    database = site.database()
    try:
        with database.read() as connection:
            return Result(
                seed=seed,
                seconds=seconds,
                orders=acknowledged.passed,
                denied=len(acknowledged.denied),
                kills=site.kills,
                deaths=summary_of_deaths(site.notes),
                outcomes=findings.outcomes(connection),
                repeated=acknowledged.repeated,
                findings=findings.find(connection, acknowledged),
            )
    finally:
        database.close()


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
