"""A live account is read-only until it is armed, and exits pass once it was."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import select

from algosat.api.context import NAME, Services
from algosat.brokers.paper.capabilities import CAPABILITIES
from algosat.brokers.registry import BROKERS
from algosat.config.settings import Settings
from algosat.domain.arming import Arming
from algosat.domain.orders import ModifyRequest, Status
from algosat.domain.reason_codes import EngineCode
from algosat.domain.risk import DenialCode
from algosat.errors import Conflict
from algosat.store.tables import events
from algosat.trading import arming, cancel, modify
from algosat.trading import desk as desks
from algosat.trading.desk import Desk, Desks
from tests.app.client import Client, problem_of
from tests.app.desks import CAUSE, accepted, buy, hold, order_now, sell
from tests.app.engine.rig import build_rig
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

LIVE = replace(CAPABILITIES, is_live=True)


@pytest.fixture
def live(desk: Desk) -> Desk:
    return replace(desk, capabilities=LIVE)


def state(desk: Desk) -> Arming:
    with desk.database.read() as connection:
        return arming.arming(connection, desk)


def test_account_that_was_never_armed_takes_no_order(desk: Desk, live: Desk) -> None:
    hold(desk, "5")
    assert state(live) is Arming.READ_ONLY
    assert buy(live).code == DenialCode.ACCOUNT_NOT_ARMED
    assert sell(live, "5", reduce_only=True).code == DenialCode.ACCOUNT_NOT_ARMED
    with pytest.raises(Conflict, match="never armed"):
        arming.disarm(live, "why", CAUSE)


def test_disarmed_account_takes_exits_and_cancels_only(live: Desk) -> None:
    arming.arm(live, "first day", CAUSE)
    hold(live, "5")
    order = accepted(live, buy(live, "3"))
    arming.disarm(live, "enough", CAUSE)
    assert state(live) is Arming.EXITS_ONLY
    assert buy(live, "2").code == DenialCode.ACCOUNT_NOT_ARMED
    assert sell(live, "5", reduce_only=True).status is Status.CREATED
    assert cancel.cancel_order(live, order.id, CAUSE).pending is not None


def test_arming_is_audited(live: Desk) -> None:
    arming.arm(live, "first day", CAUSE)
    arming.disarm(live, "enough", CAUSE)
    with live.database.read() as connection:
        kinds = select(events.c.kind, events.c.actor, events.c.data).where(events.c.subject == "paper")
        found = [tuple(row) for row in connection.execute(kinds)]
    assert found == [
        ("account.armed", CAUSE.actor, {"reason": "first day"}),
        ("account.disarmed", CAUSE.actor, {"reason": "enough"}),
    ]


def test_paper_account_needs_no_arming(desk: Desk) -> None:
    assert state(desk) is Arming.ARMED
    with pytest.raises(Conflict, match="paper account"):
        arming.arm(desk, "why", CAUSE)


def test_order_of_an_account_disarmed_before_sending_is_not_sent(
    live: Desk, clock: FakeClock, settings: Settings
) -> None:
    """The gate passed it, and the engine looks again: a stale wake-up must not send it."""
    arming.arm(live, "first day", CAUSE)
    hold(live, "5")
    rig = build_rig(live, exchange := FakeExchange(clock), settings.algosat.engine)
    entry, exit_order = buy(live, "2"), sell(live, "5", reduce_only=True)
    arming.disarm(live, "enough", CAUSE)
    rig.route()
    assert order_now(live, entry).code == EngineCode.HALTED_BEFORE_SENDING
    assert exchange.sent == [exit_order.id]


def test_modification_of_an_account_disarmed_before_sending_is_not_sent(
    live: Desk, clock: FakeClock, settings: Settings
) -> None:
    arming.arm(live, "first day", CAUSE)
    hold(live, "5")
    rig = build_rig(live, exchange := FakeExchange(clock), settings.algosat.engine)
    entry, exit_order = buy(live, "2", limit="99"), sell(live, "5", limit="104", reduce_only=True)
    rig.route()
    for order in (entry, exit_order):
        modify.modify_order(live, order.id, ModifyRequest(quantity=Decimal(1)), CAUSE)
    arming.disarm(live, "enough", CAUSE)
    requests: list[str] = []
    exchange.before = requests.append
    rig.route()
    assert requests.count("modify") == 1
    refused = order_now(live, entry)
    assert refused.terms.quantity == 2
    assert refused.pending is None
    assert order_now(live, exit_order).terms.quantity == 1


def test_desk_of_a_live_broker_starts_with_small_limits(
    desk: Desk, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (account,) = settings.algosat.accounts
    monkeypatch.setitem(BROKERS, "paper", replace(BROKERS["paper"], capabilities=LIVE))
    built = desks.build(settings, account, desk.database, desk.writer, desk.notifier, desk.errors)
    assert built.is_live
    assert built.defaults == account.limits_over(settings.algosat.risk).first()


def test_only_an_admin_arms_an_account_by_the_api(
    services: Services, admin: Client, trader: Client, app: object
) -> None:
    live = replace(services.desk, capabilities=LIVE)
    app.extensions[NAME] = replace(services, desks=Desks(live))  # type: ignore[attr-defined]
    body = {"reason": "first day"}
    shown = trader.get("/accounts/paper/arming").json
    assert shown == {"account": "paper", "mode": "LIVE", "arming": "read_only"}
    assert trader.post("/accounts/paper/arm", json=body).status_code == 403
    assert admin.post("/accounts/paper/arm", json=body).json["arming"] == "armed"
    assert admin.post("/accounts/paper/disarm", json=body).json["arming"] == "exits_only"
    assert problem_of(admin.post("/accounts/yen/arm", json=body))[0] == 404
