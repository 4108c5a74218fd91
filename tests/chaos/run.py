"""A run of the chaos test: orders, faults and kills until there are enough, a calm end, and the result."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
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
from tests.chaos.traders import SYMBOLS, UNANSWERED, Acknowledged, Trader

TRADERS: Final = 8
KILLED_FROM_OUTSIDE: Final = ("engine", "worker", "worker", "api")
CALM_SECONDS: Final = 90
TURNS: Final = 4  # with faults, and as many without
MOST_DISTURBED: Final = 1.2  # times the latency without faults

Say = Callable[[str], None]


@dataclass(frozen=True)
class Latencies:
    """Seconds until orders of the second account were acknowledged, with and without faults of the first."""

    disturbed: Sequence[float]
    undisturbed: Sequence[float]

    @property
    def ratio(self) -> float:
        """By how much the faults raise the 95th percentile."""
        return _p95(self.disturbed) / _p95(self.undisturbed)

    def __str__(self) -> str:
        return (
            f"orders of the other account, 95th percentile: {1000 * _p95(self.disturbed):.1f} ms during the "
            f"faults ({len(self.disturbed)} orders), {1000 * _p95(self.undisturbed):.1f} ms without "
            f"({len(self.undisturbed)}), ratio {self.ratio:.2f}"
        )


def _p95(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.95)]


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
    latencies: Latencies | None = None  # of a second account

    def lines(self) -> Iterator[str]:
        yield f"seed {self.seed}, {self.seconds:.0f} s"
        yield f"orders acknowledged: {self.orders}, and {self.denied} denied by the gate"
        yield f"requests repeated on purpose: {self.repeated}"
        yield f"processes killed: {sum(self.kills.values())} ({_listed(self.kills)})"
        yield f"different steps they killed themselves at: {len(self.deaths)}"
        yield from (f"  {times:4} {name}" for name, times in sorted(self.deaths.items()))
        yield f"orders ended as: {_listed(self.outcomes)}"
        if self.latencies is not None:
            yield str(self.latencies)
        yield f"findings: {len(self.findings)}"
        yield from (f"  {finding}" for finding in self.findings[:50])


def run(
    directory: Path,
    *,
    orders: int,
    kills: int,
    seed: int,
    say: Say,
    accounts: int = 1,
    measured_seconds: float = 0,
) -> Result:
    """Run until so many orders have passed the gate and so many processes were killed. Returns the result.

    Faults are those of the first account's broker. With two accounts, orders of the second are timed for
    `measured_seconds` with and without these faults.
    """
    began = time.monotonic()
    site = Site(directory, seed, accounts)
    acknowledged = Acknowledged()
    site.start()
    try:
        token = site.token()
        with _traders(site, seed, token, acknowledged):
            _until_enough(site, token, acknowledged, orders, kills, random.Random(seed), say)
        say("everything is closed while the faults go on")
        _close_everything(site, token)
        say("no more faults and kills; every order has to be decided, and every position closed")
        site.calm_down()
        _wait_until_decided(site, token)
        latencies = None
        if measured_seconds:
            say("orders of the second account are timed")
            latencies = _timed(site, seed, token, acknowledged, measured_seconds)
            _close_everything(site, token)
            _wait_until_decided(site, token)
        return _judge(site, acknowledged, seed, time.monotonic() - began, latencies)
    finally:
        site.close()


def _timed(site: Site, seed: int, token: str, acknowledged: Acknowledged, seconds: float) -> Latencies:
    """Time orders of the second account while the first trades, in turns with and without its faults."""
    chance = random.Random(seed)
    found: dict[bool, list[float]] = {True: [], False: []}
    headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=5"}
    with (
        _traders(site, seed + 1, token, acknowledged, accounts=site.accounts[:1]),
        httpx.Client(base_url=site.url, timeout=20, headers=headers) as client,
    ):
        for turn in range(2 * TURNS):
            has_faults = bool(turn % 2)
            site.inject(chance.randrange(10**6), _fault_rates(chance) if has_faults else {})
            time.sleep(1)  # until the engine has read the plan, and lanes are as they were
            until = time.monotonic() + seconds / TURNS
            while time.monotonic() < until:
                found[has_faults].append(_time_one(client, site.accounts[1], acknowledged))
    site.inject(0, {})
    return Latencies(found[True], found[False])


def _time_one(client: httpx.Client, account: str, acknowledged: Acknowledged) -> float:
    """Return the seconds until an order was acknowledged. Orders to buy and to sell alternate."""
    key, side = uuid.uuid4().hex, "buy" if len(acknowledged.orders) % 2 else "sell"
    body = {
        "account": account,
        "symbol": SYMBOLS[0],
        "side": side,
        "quantity": "1",
        "product": "intraday",
        "type": "market",
    }
    began = time.monotonic()
    answer = client.post("/orders", json=body, headers={"Idempotency-Key": key})
    seconds = time.monotonic() - began
    if answer.status_code == 201:
        acknowledged.note(key, answer.json()["id"], denied=False)
    elif answer.status_code != 422:
        acknowledged.unexpected.append(f"timed order: {answer.text[:300]}")
    time.sleep(0.03)
    return seconds


@contextmanager
def _traders(
    site: Site, seed: int, token: str, acknowledged: Acknowledged, *, accounts: Sequence[str] = ()
) -> Iterator[None]:
    stopping, of = threading.Event(), accounts or site.accounts
    traders = [
        Trader(number, seed, site.url, token, acknowledged, stopping, of[number % len(of)])
        for number in range(TRADERS)
    ]
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
    site: Site,
    token: str,
    acknowledged: Acknowledged,
    orders: int,
    kills: int,
    chance: random.Random,
    say: Say,
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
            # A close waits for each of them, and the gate denies all orders of a position that is closed.
            _give_up_lost_orders(site, token)
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
    """Close all positions, repeating the requests with their keys until they are answered."""
    for account in site.accounts:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex}
        body = {"account": account}
        while True:
            site.tend()
            with suppress(httpx.TransportError):
                answer = httpx.post(f"{site.url}/positions/close-all", json=body, headers=headers, timeout=20)
                if answer.status_code not in UNANSWERED:
                    answer.raise_for_status()
                    break
            time.sleep(0.05)


def _give_up_lost_orders(site: Site, token: str) -> None:
    """Give up orders that were not found, as a person does who has looked into the broker's book."""
    database = site.database()
    try:
        with database.read() as connection:
            lost = findings.not_found(connection)
    finally:
        database.close()
    for order_id in lost:
        with suppress(httpx.TransportError):  # its process was killed: the next call repeats it
            httpx.delete(
                f"{site.url}/orders/{order_id}", headers={"Authorization": f"Bearer {token}"}, timeout=20
            )


def _wait_until_decided(site: Site, token: str) -> None:
    """Wait until all is decided and flat and the engine has read the broker's book, at most CALM_SECONDS."""
    database = site.database()
    until = time.monotonic() + CALM_SECONDS

    def wait_for(happened: Callable[[Connection], bool]) -> None:
        while time.monotonic() < until:
            with database.read() as connection:
                if happened(connection):
                    return
            _give_up_lost_orders(site, token)
            time.sleep(0.2)

    try:
        wait_for(lambda connection: findings.undecided(connection) == 0 and findings.is_flat(connection))
        decided = clock.now()
        wait_for(lambda connection: findings.book_read_at(connection) > decided)
    finally:
        database.close()


def _judge(
    site: Site, acknowledged: Acknowledged, seed: int, seconds: float, latencies: Latencies | None
) -> Result:
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
                findings=[
                    *findings.find(connection, acknowledged, site.accounts),
                    *([str(latencies)] if latencies and latencies.ratio > MOST_DISTURBED else []),
                ],
                latencies=latencies,
            )
    finally:
        database.close()


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
