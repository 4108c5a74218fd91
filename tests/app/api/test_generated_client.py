"""The OpenAPI document in the hands of a validator and of a client generator."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask

from tests.app.client import PASSWORD, Client
from tools import venvs
from tools.say import Trouble

BASE = "http://algosat.test"


@pytest.fixture(scope="session")
def programs() -> Path:
    """The directory of the validator and the generator."""
    try:
        return venvs.ensure("openapi-clients")
    except Trouble as trouble:
        pytest.skip(f"{trouble}: {trouble.remedy}")


@pytest.fixture(scope="session")
def document(shared_app: Flask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("openapi") / "openapi.json"
    path.write_bytes(Client(shared_app).get("/openapi.json").data)
    return path


@pytest.fixture(scope="session")
def generated(programs: Path, document: Path) -> tuple[Path, str]:
    """The directory of the generated package, and what the generator printed."""
    target = document.parent / "generated"
    done = run(programs / "openapi-python-client", "generate", "--path", document, "--output-path", target)
    return target, done


@pytest.fixture
def load(generated: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """A function that imports a module of the generated package."""
    monkeypatch.syspath_prepend(generated[0])
    yield lambda name: importlib.import_module(f"algosat_client.{name}")
    for name in [name for name in sys.modules if name.split(".")[0] == "algosat_client"]:
        del sys.modules[name]


def test_document_is_valid(programs: Path, document: Path) -> None:
    assert run(programs / "openapi-spec-validator", document) == f"{document}: OK\n"


def test_client_is_generated_without_a_warning(document: Path, generated: tuple[Path, str]) -> None:
    target, printed = generated
    assert printed == f"Generating {target}\n"
    names = json.loads(document.read_text())["components"]["schemas"]
    models = (target / "algosat_client" / "models" / "__init__.py").read_text()
    missing = {name for name in names if f'"{name}"' not in models and not name.endswith("Problem")}
    assert missing <= {"JsonValue"}


@pytest.mark.usefixtures("desk")
def test_generated_client_places_lists_and_cancels_an_order(app: Flask, load: Callable[[str], Any]) -> None:
    client = load("client").AuthenticatedClient(base_url=BASE, token=access_token(app, load))
    client.set_httpx_client(over(app, Authorization=f"Bearer {client.token}"))
    models = load("models")
    wanted = models.NewOrder(
        symbol="ALPHA-EQ", side=models.Side.BUY, quantity="10", type_=models.OrderType.LIMIT, limit_price="99"
    )

    placed = load("api.orders.place_order").sync(
        client=client, body=wanted, idempotency_key="generated-1", prefer="wait=0"
    )
    assert isinstance(placed, models.Order)
    assert (placed.quantity, placed.status) == ("10", models.OrderStatus.CREATED)

    listed = load("api.orders.list_orders").sync(client=client, status=models.OrderStatus.CREATED)
    assert [order.id for order in listed.items] == [placed.id]

    cancelled = load("api.orders.cancel_order").sync(placed.id, client=client)
    assert cancelled.status is models.OrderStatus.CANCELLED


@pytest.mark.usefixtures("desk")
def test_generated_client_reads_why_an_order_was_denied(app: Flask, load: Callable[[str], Any]) -> None:
    client = load("client").AuthenticatedClient(base_url=BASE, token=access_token(app, load))
    client.set_httpx_client(over(app, Authorization=f"Bearer {client.token}"))
    models = load("models")
    wanted = models.NewOrder(
        symbol="NOWHERE", side=models.Side.BUY, quantity="10", type_=models.OrderType.MARKET
    )
    problem = load("api.orders.place_order").sync(client=client, body=wanted, idempotency_key="generated-2")
    assert (problem.status, problem.code) == (422, "unknown_symbol")


@pytest.mark.usefixtures("desk")
def test_generated_client_names_the_account(app: Flask, load: Callable[[str], Any]) -> None:
    client = load("client").AuthenticatedClient(base_url=BASE, token=access_token(app, load))
    client.set_httpx_client(over(app, Authorization=f"Bearer {client.token}"))
    models = load("models")

    (account,) = load("api.accounts.list_accounts").sync(client=client).items
    assert (account.account, account.mode, account.currency) == ("paper", models.Mode.PAPER, "INR")

    wanted = models.NewOrder(
        symbol="ALPHA-EQ", side=models.Side.BUY, quantity="10", type_=models.OrderType.LIMIT,
        limit_price="99", account=account.account,
    )  # fmt: skip
    place = load("api.orders.place_order").sync
    placed = place(client=client, body=wanted, idempotency_key="generated-3", prefer="wait=0")
    assert (placed.account, placed.mode) == ("paper", models.Mode.PAPER)

    unknown = load("api.orders.list_orders").sync(client=client, account="yen")
    assert (unknown.status, unknown.code) == (404, "not_found")
    asked = load("api.brokers.show_broker_session").sync("paper", client=client)
    assert (asked.status, asked.code) == (503, "engine_absent")


def access_token(app: Flask, load: Callable[[str], Any]) -> str:
    client = load("client").Client(base_url=BASE)
    client.set_httpx_client(over(app))
    credentials = load("models").Credentials(username="trader", password=PASSWORD)
    tokens = load("api.identity.log_in").sync(client=client, body=credentials)
    token: str = tokens.access_token
    return token


def over(app: Flask, **headers: str) -> httpx.Client:
    """Return an HTTP client that calls the application in this process."""
    return httpx.Client(transport=httpx.WSGITransport(app=app), base_url=BASE, headers=headers)


def run(*command: Any) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
