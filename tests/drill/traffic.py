"""Orders that are placed all the time, each repeated under its key until its outcome is known."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx

from tests.drill.server import Server

_EVERY: Final = 0.4
_SYMBOL: Final = "ALPHA-EQ"


@dataclass(frozen=True)
class Answer:
    """The answer to a request. Status 0 means that none came within the time limit."""

    path: str
    status: int
    is_problem: bool
    retry_after: str | None
    body: dict[str, Any]
    seconds: float

    @property
    def order(self) -> str | None:
        return self.body.get("id") if self.status in (200, 201) else None


def ask(client: httpx.Client, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Send a request. A connection that fails is an answer without a status."""
    began = time.monotonic()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        got = client.request(method, path, json=body, headers=named)
        is_json = "json" in got.headers.get("content-type", "")
        found = got.json() if is_json and got.content else {}
    except (httpx.HTTPError, ValueError) as error:
        return Answer(
            path,
            0,
            is_problem=False,
            retry_after=None,
            body={"error": repr(error)},
            seconds=time.monotonic() - began,
        )
    return Answer(
        path,
        got.status_code,
        is_problem=got.headers.get("content-type") == "application/problem+json",
        retry_after=got.headers.get("retry-after"),
        body=found if isinstance(found, dict) else {"items": found},
        seconds=time.monotonic() - began,
    )


class Traffic:
    """Places an order every 0.4 seconds, by turns a purchase and a sale."""

    def __init__(self, server: Server) -> None:
        self._client = server.client()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._bodies = _bodies()
        self._sent: dict[str, dict[str, str]] = {}
        self.answers: list[Answer] = []
        self.acknowledged: dict[str, str] = {}  # the order of each key
        self.open: dict[str, dict[str, str]] = {}  # requests without a final answer
        self.changed: list[str] = []  # keys whose repeat was answered with another order

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._client.close()

    def stop(self) -> None:
        """Place no more orders. Repeats are still possible."""
        self._stop.set()
        self._thread.join()

    def repeat_open(self) -> None:
        """Repeat the requests that had no final answer, as a client does after an outage."""
        for key, body in list(self.open.items()):
            self._place(key, body)

    def repeat_some(self, number: int = 20) -> None:
        """Repeat the latest orders under their keys: the answer must name the same order."""
        for key in list(self.acknowledged)[-number:]:
            answer = self._send(key, self._sent[key])
            if answer.order is not None and answer.order != self.acknowledged[key]:
                self.changed.append(key)

    def _run(self) -> None:
        while not self._stop.wait(_EVERY):
            self._place(str(uuid.uuid4()), next(self._bodies))

    def _place(self, key: str, body: dict[str, str]) -> None:
        self._sent[key] = self.open[key] = body
        answer = self._send(key, body)
        self.answers.append(answer)
        if answer.order is not None:
            self.acknowledged[key] = answer.order
        if 200 <= answer.status < 500 and answer.status != 429:
            self.open.pop(key, None)

    def _send(self, key: str, body: dict[str, str]) -> Answer:
        return ask(self._client, "POST", "/orders", body, Idempotency_Key=key, Prefer="wait=1")


def _bodies() -> Iterator[dict[str, str]]:
    for quantity, side in itertools.cycle(itertools.product(range(1, 40), ("buy", "sell"))):
        yield {
            "symbol": _SYMBOL,
            "side": side,
            "quantity": str(quantity),
            "type": "market",
            "product": "intraday",
        }
