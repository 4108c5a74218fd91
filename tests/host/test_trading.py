"""Orders over HTTPS from outside; only where the machine may be thrown away."""

from __future__ import annotations

import json
import uuid

import pytest
from testinfra.host import Host

from tests.host.told import Told
from tests.host.trader import Trader

pytestmark = [pytest.mark.unit("algosat", "algosat-engine"), pytest.mark.disposable]


def position(trader: Trader, symbol: str) -> int:
    held = (it for it in trader.read("/positions")["items"] if it["symbol"] == symbol)
    return sum(int(it["quantity"]) for it in held)


def test_market_order_fills_and_shows_as_a_position(trader: Trader) -> None:
    symbol = trader.instrument()["symbol"]
    before = position(trader, symbol)
    answer = trader.buy(symbol, 3)
    assert answer.status == 201
    assert trader.settled(json.loads(answer.text)["id"])["status"] == "filled"
    assert position(trader, symbol) == before + 3


def test_repeated_key_gives_the_same_order_once(trader: Trader) -> None:
    symbol, key = trader.instrument()["symbol"], str(uuid.uuid4())
    first, second = (json.loads(trader.buy(symbol, 5, key).text) for _ in range(2))
    assert first["id"] == second["id"]


def test_same_key_with_another_body_is_refused(trader: Trader) -> None:
    symbol, key = trader.instrument()["symbol"], str(uuid.uuid4())
    trader.buy(symbol, 6, key)
    assert trader.buy(symbol, 7, key).status == 409


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"symbol": "NO-SUCH"}, 422),
        ({"quantity": "1.5"}, 422),
        ({"quantity": "-1"}, 422),
        ({"side": "both"}, 422),
        ({"surplus": 1}, 422),
    ],
)
def test_bad_order_is_refused_and_changes_nothing(
    trader: Trader, change: dict[str, object], status: int
) -> None:
    symbol = trader.instrument()["symbol"]
    before = position(trader, symbol)
    order = {"symbol": symbol, "side": "buy", "quantity": "1", "type": "market", **change}
    answer = trader.ask("POST", "/orders", order, Idempotency_Key=str(uuid.uuid4()))
    assert answer.status == status
    assert answer.problem["code"]
    assert position(trader, symbol) == before


def test_token_is_worthless_after_the_logout(trader: Trader) -> None:
    assert trader.ask("POST", "/auth/logout").status in {200, 204}
    assert trader.ask("GET", "/orders").status == 401


def test_order_can_be_followed_through_the_log_by_its_request(host: Host, told: Told, trader: Trader) -> None:
    request_id = uuid.uuid4().hex
    order = {"symbol": trader.instrument()["symbol"], "side": "buy", "quantity": "9", "type": "market"}
    answer = trader.ask(
        "POST", "/orders", order,
        Idempotency_Key=request_id, X_Request_ID=request_id, Prefer="wait=2",
    )  # fmt: skip
    assert answer.headers["x-request-id"] == request_id
    trader.settled(json.loads(answer.text)["id"])
    lines = host.check_output("grep --no-filename %s %s", request_id, told["algosat_logging_file"])
    if told["algosat_logging_format"] == "json":
        assert {json.loads(line)["process"] for line in lines.splitlines()} == {"api", "engine"}
