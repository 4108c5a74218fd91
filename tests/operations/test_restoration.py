"""All data of a server is lost; an archive that was kept elsewhere brings it back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.host.outside import Outside
from tests.host.trader import Trader
from tests.operations.controller import Controller

pytestmark = pytest.mark.unit("algosat", "algosat-engine", "algosat-backup")

BOB, PASSWORD = "bob", "a long word that nobody else has"


def book(trader: Trader) -> list[tuple[str, str, str]]:
    """What is held: it must come back to the share."""
    positions = trader.read("/positions")["items"]
    return sorted((it["symbol"], it["quantity"], it["average_price"]) for it in positions)


def test_lost_data_comes_back_with_orders_positions_and_logins(
    host: Host,
    controller: Controller,
    outside: Outside,
    trader: Trader,
    credentials: tuple[str, str],
    tmp_path: Path,
) -> None:
    host.check_output("printf %s | algosat user add %s --role trader --password-stdin", PASSWORD, BOB)
    order = json.loads(trader.buy(trader.instrument()["symbol"], 7).text)["id"]
    trader.settled(order)
    before = book(trader)
    assert before
    controller.play("backup.yml", f"--extra-vars=fetch_to={tmp_path}")
    [archive] = (tmp_path / controller.server).iterdir()

    host.check_output("systemctl stop 'algosat*' && rm -rf /var/lib/algosat/*")
    refused = controller.attempt("deploy.yml")
    assert refused.returncode != 0
    assert "its store is empty: put a backup back" in " ".join(refused.stdout.split())

    controller.play("restore.yml", f"--extra-vars=archive_from={archive}")
    assert host.run("algosat store verify").rc == 0
    for name, password in (credentials, (BOB, PASSWORD)):
        again = Trader.logged_in(outside, name, password)
        assert again.read(f"/orders/{order}")["status"] == "filled"
        assert book(again) == before
    # What is no data, such as reports, the next run lays out again.
    controller.play("site.yml")
    assert trader.buy(trader.instrument()["symbol"], 8).status == 201
