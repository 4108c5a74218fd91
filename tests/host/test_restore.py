"""Restoring backups on a disposable server."""

from __future__ import annotations

import itertools
import json

import pytest
from testinfra.host import Host

from tests.host.client import Client
from tests.host.trader import Trader
from tests.host.variables import Variables

pytestmark = [pytest.mark.unit("algosat", "algosat-engine"), pytest.mark.disposable]

BACKUP = "sudo --user={algosat_user} {algosat_home}/bin/backup.sh"
RESTORE = "{algosat_home}/bin/restore.sh --yes"


def backup(host: Host, variables: Variables) -> str:
    """Create a backup and return its path."""
    return str(host.check_output(variables.expand(BACKUP))).strip().splitlines()[-1]


@pytest.fixture(scope="module")
def archive(host: Host, variables: Variables) -> str:
    with host.sudo():
        return backup(host, variables)


# The gate denies equal orders in quick succession, so each order has another quantity.
quantities = itertools.count(50)


def place_order(trader: Trader) -> str:
    """Place an order, wait until it is stable and return its id."""
    order: str = json.loads(trader.buy(trader.instrument()["symbol"], next(quantities)).text)["id"]
    trader.wait_for_order(order)
    return order


def test_restored_store_has_the_orders_of_the_backup(
    host: Host, variables: Variables, client: Client, trader: Trader, credentials: tuple[str, str]
) -> None:
    before = place_order(trader)
    archive = backup(host, variables)
    after = place_order(trader)
    host.check_output(f"{variables.expand(RESTORE)} %s", archive)
    again = Trader.log_in(client, *credentials)
    assert again.request("GET", f"/orders/{before}").status == 200
    assert again.request("GET", f"/orders/{after}").status == 404
    assert host.run("algosat store verify").rc == 0
    assert host.run("algosat engine status").rc == 0  # the same machine: nothing to adopt


@pytest.mark.parametrize("place", ["server", "offsite"])
def test_time_selects_the_newest_backup_up_to_it(
    host: Host, variables: Variables, client: Client, trader: Trader, credentials: tuple[str, str], place: str
) -> None:
    if place == "offsite" and not variables["backup_restic_repository"]:
        pytest.skip("backup_restic_repository is not set here")
    before = place_order(trader)
    backup(host, variables)
    time = host.check_output(
        "date --utc +%Y-%m-%dT%H:%M:%S; sleep 1"
    )  # archive names have a resolution of 1 s
    after = place_order(trader)
    backup(host, variables)
    host.check_output(f"{variables.expand(RESTORE)} --from {place} %s", time)
    again = Trader.log_in(client, *credentials)
    assert again.request("GET", f"/orders/{before}").status == 200
    assert again.request("GET", f"/orders/{after}").status == 404


@pytest.mark.parametrize(
    "damage",
    ["truncate --size=-100 %s", "printf x | dd of=%s bs=1 seek=200 conv=notrunc status=none", "echo no > %s"],
)
def test_damaged_archive_is_refused_and_changes_nothing(
    host: Host, variables: Variables, trader: Trader, archive: str, damage: str
) -> None:
    copy = variables.expand("{backup_directory}/damaged.tar.gz")
    host.check_output("cp %s %s", archive, copy)
    host.check_output(damage, copy)
    order = place_order(trader)
    try:
        assert host.run(f"{variables.expand(RESTORE)} %s", copy).rc == 3
    finally:
        host.check_output("rm %s", copy)
    assert trader.request("GET", f"/orders/{order}").status == 200
