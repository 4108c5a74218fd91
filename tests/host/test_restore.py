"""A backup brings the old book back; only where the machine may be thrown away."""

from __future__ import annotations

import itertools
import json

import pytest
from testinfra.host import Host

from tests.host.outside import Outside
from tests.host.told import Told
from tests.host.trader import Trader

pytestmark = [pytest.mark.unit("algosat", "algosat-engine"), pytest.mark.disposable]

BACKUP = "sudo --user={algosat_user} {algosat_home}/bin/backup.sh"
RESTORE = "{algosat_home}/bin/restore.sh --yes"


def backup(host: Host, told: Told) -> str:
    """Make one, and return its path."""
    return str(host.check_output(told(BACKUP))).strip().splitlines()[-1]


@pytest.fixture(scope="module")
def archive(host: Host, told: Told) -> str:
    with host.sudo():
        return backup(host, told)


# Equal orders shortly after another are suspected to be doubles.
quantities = itertools.count(50)


def ordered(trader: Trader) -> str:
    """Buy a little; the order's number."""
    order: str = json.loads(trader.buy(trader.instrument()["symbol"], next(quantities)).text)["id"]
    trader.settled(order)
    return order


def test_restored_book_is_the_one_that_was_backed_up(
    host: Host, told: Told, outside: Outside, trader: Trader, credentials: tuple[str, str]
) -> None:
    before = ordered(trader)
    archive = backup(host, told)
    after = ordered(trader)
    host.check_output(f"{told(RESTORE)} %s", archive)
    again = Trader.logged_in(outside, *credentials)
    assert again.ask("GET", f"/orders/{before}").status == 200
    assert again.ask("GET", f"/orders/{after}").status == 404
    assert host.run("algosat store verify").rc == 0


@pytest.mark.parametrize("place", ["server", "offsite"])
def test_moment_brings_back_the_book_of_that_moment(
    host: Host, told: Told, outside: Outside, trader: Trader, credentials: tuple[str, str], place: str
) -> None:
    if place == "offsite" and not told["backup_restic_repository"]:
        pytest.skip("backup_restic_repository is not set here")
    before = ordered(trader)
    backup(host, told)
    moment = host.check_output("date --utc +%Y-%m-%dT%H:%M:%S; sleep 1")  # archives are named by the second
    after = ordered(trader)
    backup(host, told)
    host.check_output(f"{told(RESTORE)} --from {place} %s", moment)
    again = Trader.logged_in(outside, *credentials)
    assert again.ask("GET", f"/orders/{before}").status == 200
    assert again.ask("GET", f"/orders/{after}").status == 404


@pytest.mark.parametrize(
    "damage",
    ["truncate --size=-100 %s", "printf x | dd of=%s bs=1 seek=200 conv=notrunc status=none", "echo no > %s"],
)
def test_damaged_archive_is_refused_and_nothing_is_touched(
    host: Host, told: Told, trader: Trader, archive: str, damage: str
) -> None:
    copy = told("{backup_directory}/damaged.tar.gz")
    host.check_output("cp %s %s", archive, copy)
    host.check_output(damage, copy)
    order = ordered(trader)
    try:
        assert host.run(f"{told(RESTORE)} %s", copy).rc == 3
    finally:
        host.check_output("rm %s", copy)
    assert trader.ask("GET", f"/orders/{order}").status == 200
