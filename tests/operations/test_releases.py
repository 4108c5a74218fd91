"""Releases and rollbacks under load."""

from __future__ import annotations

from pathlib import Path

import pytest
from testinfra.host import Host

from tests.host.load import Load
from tests.host.trader import Trader
from tests.operations.controller import Controller

pytestmark = pytest.mark.unit("algosat", "algosat-engine", "nginx")


@pytest.fixture(scope="module")
def newer(controller: Controller, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """Checkout with a valid change, so that it builds another release."""
    copy = controller.copy(tmp_path_factory.mktemp("newer"))
    copy.edit("app/algosat/__init__.py", '"""', '"""Newer. ')
    return copy


def current_release(host: Host) -> str:
    return Path(host.check_output("readlink /opt/algosat/current")).name


def assert_no_failures(load: Load) -> None:
    assert load.failures == []
    assert len(load.acknowledged) > 20
    assert load.not_filled() == {}


def test_deploy_fails_no_request(host: Host, newer: Controller, load: Load) -> None:
    before = current_release(host)
    with load:
        newer.play("deploy.yml")
    assert current_release(host) != before
    assert_no_failures(load)


def test_rollback_fails_no_request(host: Host, controller: Controller, load: Load) -> None:
    before = current_release(host)
    with load:
        controller.play("rollback.yml")
    assert current_release(host) != before
    assert_no_failures(load)


def test_reload_of_nginx_fails_no_request(host: Host, load: Load) -> None:
    with load:
        for _ in range(5):
            host.check_output("systemctl reload nginx.service && sleep 1")
    assert_no_failures(load)


def test_release_is_refused_while_an_order_is_pending(
    host: Host, controller: Controller, pending_order: str
) -> None:
    before = current_release(host)
    refused = controller.attempt("rollback.yml")
    assert refused.returncode != 0
    assert f"order {pending_order} is created" in refused.stdout
    assert "-e algosat_force=true" in refused.stdout
    assert current_release(host) == before


@pytest.mark.usefixtures("pending_order")
def test_changed_port_of_a_refused_release_keeps_the_api_reachable(
    controller: Controller, trader: Trader
) -> None:
    both = ("site.yml", "--tags=nginx,algosat")
    refused = controller.attempt(*both, '--extra-vars={"algosat_api_port": 18080}')
    assert "a restart now would interrupt trading" in refused.stdout
    assert trader.client.get("/health/live").status == 200
    controller.play(*both)
