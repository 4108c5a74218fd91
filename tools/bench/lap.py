"""One side of `tools.bench.pairs`: measures a checkout on command. It imports that checkout's own benches.

Reads the name of a piece of work from each line of standard input, and answers with its rate per second.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools.bench import backtest, orders, rig
from tools.bench.load import drive, request

_BARS: Final = 3_000
_SECONDS: Final = 2.0


def main() -> None:
    """Start the engine and the API of this checkout, then measure until standard input ends."""
    with tempfile.TemporaryDirectory(prefix="algosat-lap-") as name:
        site = rig.prepare(Path(name) / "rig")
        with site.running("engine", "api") as processes:
            site.await_answer(site.port, "/health/ready", processes["api"])
            token = site.token()
            works = {
                "acknowledged": lambda: _acknowledged(site, token),
                "durable": lambda: _durable(site, token),
                "positions": lambda: _positions(site, token),
                "backtest": _backtest,
            }
            _serve(works)


def _serve(works: dict[str, Callable[[], float]]) -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        print(works[line.strip()](), flush=True)


def _acknowledged(site: rig.Rig, token: str) -> float:
    """Orders per second on one connection, each waiting for the broker's acknowledgement."""
    orders._withdraw_all(site, token)  # noqa: SLF001 - the benches of both revisions have it
    return drive(site.port, orders.orders(token, wait=5), connections=1, seconds=_SECONDS).require(201).rate


def _durable(site: rig.Rig, token: str) -> float:
    """Stored orders per second on eight connections."""
    orders._withdraw_all(site, token)  # noqa: SLF001
    return drive(site.port, orders.orders(token, wait=0), connections=8, seconds=_SECONDS).require(201).rate


def _positions(site: rig.Rig, token: str) -> float:
    """Requests per second for the positions, on one connection."""
    asked = request("GET", "/positions", None, {"Authorization": f"Bearer {token}"})
    return drive(site.port, itertools.repeat(asked), connections=1, seconds=_SECONDS).require(200).rate


def _backtest() -> float:
    """Events per second of a back-test."""
    measure = getattr(backtest, "measure", None) or backtest.bench.measure  # type: ignore[attr-defined]
    return float(measure(_BARS).events_per_second)


if __name__ == "__main__":
    main()
