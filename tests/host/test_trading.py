"""Orders over HTTPS on a disposable server."""

from __future__ import annotations

import json
import uuid

import pytest
from testinfra.host import Host

from tests.host.trader import Trader
from tests.host.variables import Variables

pytestmark = [pytest.mark.unit("algosat", "algosat-engine"), pytest.mark.disposable]


def position(trader: Trader, symbol: str) -> int:
    positions = (it for it in trader.get_json("/positions")["items"] if it["symbol"] == symbol)
    return sum(int(it["quantity"]) for it in positions)


def test_filled_market_order_changes_the_position(trader: Trader) -> None:
    symbol = trader.instrument()["symbol"]
    before = position(trader, symbol)
    response = trader.buy(symbol, 3)
    assert response.status == 201
    assert trader.wait_for_order(json.loads(response.text)["id"])["status"] == "filled"
    assert position(trader, symbol) == before + 3


def test_repeated_idempotency_key_returns_the_same_order(trader: Trader) -> None:
    symbol, key = trader.instrument()["symbol"], str(uuid.uuid4())
    first, second = (json.loads(trader.buy(symbol, 5, key).text) for _ in range(2))
    assert first["id"] == second["id"]


def test_idempotency_key_with_another_body_is_rejected(trader: Trader) -> None:
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
def test_invalid_order_is_rejected_and_changes_nothing(
    trader: Trader, change: dict[str, object], status: int
) -> None:
    symbol = trader.instrument()["symbol"]
    before = position(trader, symbol)
    order = {"symbol": symbol, "side": "buy", "quantity": "1", "type": "market", **change}
    response = trader.request("POST", "/orders", order, Idempotency_Key=str(uuid.uuid4()))
    assert response.status == status
    assert response.problem["code"]
    assert position(trader, symbol) == before


def test_token_is_invalid_after_logout(trader: Trader) -> None:
    assert trader.request("POST", "/auth/logout").status in {200, 204}
    assert trader.request("GET", "/orders").status == 401


def test_request_id_links_the_log_lines_of_api_and_engine(
    host: Host, variables: Variables, trader: Trader
) -> None:
    request_id = uuid.uuid4().hex
    order = {"symbol": trader.instrument()["symbol"], "side": "buy", "quantity": "9", "type": "market"}
    response = trader.request(
        "POST", "/orders", order,
        Idempotency_Key=request_id, X_Request_ID=request_id, Prefer="wait=2",
    )  # fmt: skip
    assert response.headers["x-request-id"] == request_id
    trader.wait_for_order(json.loads(response.text)["id"])
    lines = host.check_output("grep --no-filename %s %s", request_id, variables["algosat_logging_file"])
    if variables["algosat_logging_format"] == "json":
        assert {json.loads(line)["process"] for line in lines.splitlines()} == {"api", "engine"}
