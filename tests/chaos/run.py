"""A whole run: orders, faults and kills until there were enough of each, then peace, then the verdict."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from algosat.brokers.faults.plan import Fault
from tests.chaos import witness
from tests.chaos.site import Site, summary_of_deaths
from tests.chaos.traders import Acknowledged, Trader

TRADERS: Final = 8
FROM_OUTSIDE: Final = ("engine", "worker", "worker", "api")
PEACE_SECONDS: Final = 90

Say = Callable[[str], None]


@dataclass(frozen=True)
class Verdict:
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
        yield f"steps they died at by themselves: {len(self.deaths)} kinds"
        yield from (f"  {times:4} {name}" for name, times in sorted(self.deaths.items()))
        yield f"orders ended as: {_listed(self.outcomes)}"
        yield f"findings: {len(self.findings)}"
        yield from (f"  {finding}" for finding in self.findings[:50])


def run(directory: Path, *, orders: int, kills: int, seed: int, say: Say) -> Verdict:
    """Go on until that many orders were acknowledged and not denied, and that many processes killed."""
    began = time.monotonic()
    site = Site(directory, seed)
    told = Acknowledged()
    site.start()
    try:
        with _traders(site, seed, told):
            _until_enough(site, told, orders, kills, random.Random(seed), say)
        say("peace: no more faults, no more kills; every order has to be decided")
        site.calm_down()
        _wait_until_decided(site)
        return _judge(site, told, seed, time.monotonic() - began)
    finally:
        site.close()


@contextmanager
def _traders(site: Site, seed: int, told: Acknowledged) -> Iterator[None]:
    stopping = threading.Event()
    token = site.token()
    traders = [Trader(number, seed, site.url, token, told, stopping) for number in range(TRADERS)]
    for trader in traders:
        trader.start()
    try:
        yield
    finally:
        stopping.set()
        # Each insists on an answer to its last request: the site must be tended while they do.
        while any(trader.is_alive() for trader in traders):
            site.tend()
            time.sleep(0.05)


def _until_enough(
    site: Site, told: Acknowledged, orders: int, kills: int, chance: random.Random, say: Say
) -> None:
    next_kill, next_word = 10, time.monotonic()
    while told.passed < orders or sum(site.kills.values()) < kills:
        site.tend()
        # By progress, not by time: to kill what is not up yet proves nothing. Denials are progress, too:
        # there is nothing else while the broker is down, until the weather turns.
        if len(told.orders) >= next_kill and site.answers():
            next_kill = len(told.orders) + chance.randint(5, 25)
            site.kill(chance.choice(FROM_OUTSIDE))
            site.inject(chance.randrange(10**6), _weather(chance))
        if time.monotonic() >= next_word:
            next_word = time.monotonic() + 10
            say(f"{told.passed} orders, {_listed(site.kills)} killed")
        time.sleep(0.05)


def _weather(chance: random.Random) -> dict[str, float]:
    """Mostly every fault at once and seldom; now and then a broker that is down, or one without fault."""
    drawn = chance.random()
    if drawn < 0.1:
        return {Fault.DOWN: 1.0}
    if drawn < 0.2:
        return {}
    return {fault: chance.uniform(0, 0.04) for fault in Fault}


def _wait_until_decided(site: Site) -> None:
    database = site.database()
    until = time.monotonic() + PEACE_SECONDS
    try:
        while time.monotonic() < until:
            with database.read() as connection:
                if witness.undecided(connection) == 0:
                    break
            time.sleep(0.5)
        time.sleep(3)  # for the book to be read once more
    finally:
        database.close()


def _judge(site: Site, told: Acknowledged, seed: int, seconds: float) -> Verdict:
    site.stop()  # the market moves on as long as it runs
    database = site.database()
    try:
        with database.read() as connection:
            return Verdict(
                seed=seed,
                seconds=seconds,
                orders=told.passed,
                denied=len(told.denied),
                kills=site.kills,
                deaths=summary_of_deaths(site.notes),
                outcomes=witness.outcomes(connection),
                repeated=told.repeated,
                findings=witness.findings(connection, told),
            )
    finally:
        database.close()


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
