"""Orders through HTTP: how many are stored per second, and how soon the paper market acknowledges them.

Eight clients want more than the market has, so that hundreds of their orders come to rest, and each that is
at work costs the next one something. What is measured begins with none; what a pile costs stands beside it.
"""

from __future__ import annotations

import itertools
import statistics
import uuid
from collections.abc import Iterator
from typing import Final

from tools.bench.load import Connection, Load, drive, request
from tools.bench.report import Figure, milliseconds
from tools.bench.rig import Rig
from tools.say import note

_CONNECTIONS: Final = 8
_ROUNDS: Final = 5
_SECONDS: Final = 2.0
_SYMBOLS: Final = ("ALPHA-EQ", "BRAVO-EQ", "EMBER-EQ", "GRANITE-EQ", "HELIX-EQ", "NOVA-EQ")


def figures(rig: Rig) -> list[Figure]:
    with rig.running("engine", "api", "bare") as processes:
        rig.await_answer(rig.port, "/health/ready", processes["api"])
        rig.await_answer(rig.bare_port, "/", processes["bare"])
        token = rig.token()
        load = _acknowledged(rig, token)
        median = load.percentile(50)
        alone = _ack("1 connection", load, "p50 ≤ 10 ms, ≥ 200/s", median <= 0.010 and load.rate >= 200)
        durable = _throughput(rig, token)
        rig.await_sent()
        pile = _ack(f"{rig.at_work()} others at work when it began", _acknowledged(rig, token))
        return [durable, alone, pile]


def orders(token: str, *, wait: float) -> Iterator[bytes]:
    """Yield market orders of changing symbol, side and quantity, each with its own key."""
    sides, quantities = itertools.cycle(("buy", "sell")), itertools.cycle(range(1, 50))
    for symbol in itertools.cycle(_SYMBOLS):
        body = {
            "symbol": symbol, "side": next(sides), "quantity": str(next(quantities)),
            "type": "market", "product": "intraday",
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex}
        yield request("POST", "/orders", body, {**headers, "Prefer": f"wait={wait:g}"})


def _throughput(rig: Rig, token: str) -> Figure:
    plain = itertools.repeat(request("POST", "/orders", {"symbol": "X", "side": "buy", "quantity": "1"}))
    pairs = []
    for _ in range(_ROUNDS):
        _withdraw_all(rig, token)
        bare = drive(rig.bare_port, plain, connections=_CONNECTIONS, seconds=_SECONDS).require(200)
        ours = drive(rig.port, orders(token, wait=0), connections=_CONNECTIONS, seconds=_SECONDS).require(201)
        pairs.append((bare.rate, ours.rate))
        note(f"    bare {bare.rate:.0f}/s, orders {ours.rate:.0f}/s")
    share = statistics.median(ours / bare for bare, ours in pairs)
    bare_rate, our_rate = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    return Figure(
        "durable order through HTTP as a share of the bare Flask route, 8 connections",
        f"{our_rate:.0f}/s of {bare_rate:.0f}/s: {share:.2f}",
        "≥ 0.25 (stretch 0.35)",
        share >= 0.25,
    )


def _withdraw_all(rig: Rig, token: str) -> None:
    rig.await_sent()  # the next measurement would wait behind them
    with Connection(rig.port) as connection:
        asked = request("POST", "/orders/cancel-all", {}, {"Authorization": f"Bearer {token}"})
        answer = connection.ask(asked)
    if answer.status != 200:
        raise SystemExit(f"to cancel all orders was answered {answer.status}: {answer.body.decode()}")
    rig.await_idle()


def _acknowledged(rig: Rig, token: str) -> Load:
    return drive(rig.port, orders(token, wait=5), connections=1, seconds=6).require(201)


def _ack(which: str, load: Load, wanted: str = "", met: bool | None = None) -> Figure:
    measured = f"p50 {_ms(load, 50)}, p99 {_ms(load, 99)}, {load.rate:.0f}/s"
    return Figure(f"order acknowledged by the paper market, {which}", measured, wanted, met)


def _ms(load: Load, percent: int) -> str:
    return milliseconds(load.percentile(percent))
