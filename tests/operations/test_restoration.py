"""Recovery of a server from complete data loss, with an archive kept elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.host.client import Client
from tests.host.trader import Trader
from tests.operations.controller import Controller

pytestmark = pytest.mark.unit("algosat", "algosat-engine", "algosat-backup")

BOB, PASSWORD = "bob", "a long and unique password"


def holdings(trader: Trader) -> list[tuple[str, str, str]]:
    """Return symbol, quantity and average price of each position."""
    positions = trader.get_json("/positions")["items"]
    return sorted((it["symbol"], it["quantity"], it["average_price"]) for it in positions)


def test_restore_after_data_loss_recovers_orders_positions_and_users(
    host: Host,
    controller: Controller,
    client: Client,
    trader: Trader,
    credentials: tuple[str, str],
    tmp_path: Path,
) -> None:
    host.check_output("printf %s | algosat user add %s --role trader --password-stdin", PASSWORD, BOB)
    order = json.loads(trader.buy(trader.instrument()["symbol"], 7).text)["id"]
    trader.wait_for_order(order)
    before = holdings(trader)
    assert before
    controller.play("backup.yml", f"--extra-vars=fetch_to={tmp_path}")
    [archive] = (tmp_path / controller.server).iterdir()

    host.check_output("systemctl stop 'algosat*' && rm -rf /var/lib/algosat/*")
    refused = controller.attempt("deploy.yml")
    assert refused.returncode != 0
    assert "its store is empty: restore a backup" in " ".join(refused.stdout.split())

    controller.play("restore.yml", f"--extra-vars=archive_from={archive}")
    assert trader.request("GET", "/orders").status == 401  # a restore ends all sessions
    assert host.run("algosat store verify").rc == 0
    assert host.run("algosat engine status").rc == 0  # the same machine: nothing to adopt
    for name, password in (credentials, (BOB, PASSWORD)):
        again = Trader.log_in(client, name, password)
        assert again.get_json(f"/orders/{order}")["status"] == "filled"
        assert holdings(again) == before
    # The next run creates everything else, such as reports.
    controller.play("site.yml")
    trader = Trader.log_in(client, *credentials)
    assert trader.buy(trader.instrument()["symbol"], 8).status == 201
