from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection

from algosat.clock import ClockWatch
from algosat.config.settings import Settings
from algosat.domain import market_phases
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.machine import Machine
from algosat.engine.heartbeat import (
    AccountHeartbeat,
    EngineHeartbeat,
    WaitingHeartbeat,
    alert_of_absence,
    alert_of_missing_accounts,
)
from algosat.errors import StoreBusy, StoreFull, StoreReadOnly
from algosat.store import heartbeats, machines
from algosat.store.leader_lock import NotLeading
from algosat.store.writer import Writer
from algosat.trading import alerts, store_owner
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, buy, hold, open_alerts, other_account, set_prices
from tests.app.engine.rig import EngineRig, build_rig, heartbeat_of
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock


def last_heartbeat(desk: Desk) -> datetime | None:
    with desk.database.read() as connection:
        last = heartbeats.read(connection, heartbeats.ENGINE)
    return None if last is None else last.at


def test_heartbeat_of_an_engine_that_lost_the_lead_fails(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    lost: list[str] = []

    def fence(_connection: Connection) -> None:
        if lost:
            raise NotLeading("another one leads")

    heartbeat = heartbeat_of(build_rig(desk, exchange, settings.algosat.engine, fence).components)
    heartbeat.step()
    before = last_heartbeat(desk)
    clock.forward(seconds=2)
    lost.append("lead")
    with pytest.raises(NotLeading):
        heartbeat.step()
    assert last_heartbeat(desk) == before


def test_engine_whose_store_was_adopted_elsewhere_ends(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    here, there = Machine("1a" * 16, "here"), Machine("2b" * 16, "there")
    components = build_rig(desk, exchange, settings.algosat.engine).components
    account = AccountHeartbeat(components)
    require_owner = partial(store_owner.require_owner, machine=here)
    heartbeat = EngineHeartbeat(components, [account], require_owner)
    store_owner.take(desk, here, CAUSE)
    heartbeat.write()
    desk.writer.run(lambda connection: machines.write_owner(connection, there, desk.clock(), "test"))
    with pytest.raises(NotLeading):
        heartbeat.write()


FRIDAY = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # 14:30 at the exchange


@pytest.mark.parametrize(
    ("away", "alerted"),
    [
        (timedelta(minutes=1), False),  # a restart
        (timedelta(minutes=10), True),
        (timedelta(days=3), True),  # to Monday afternoon
    ],
)
def test_absence_during_trading_with_positions_is_an_alert(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock, away: timedelta, alerted: bool
) -> None:
    desk = replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))
    clock.at = FRIDAY
    heartbeat = heartbeat_of(build_rig(desk, exchange, settings.algosat.engine).components)
    heartbeat.write()
    clock.at = FRIDAY + away
    alert_of_absence(desk)
    assert open_alerts(desk) == set()
    set_prices(desk)
    hold(desk)
    alert_of_absence(desk)
    assert open_alerts(desk) == ({("engine.away", "engine")} if alerted else set())


def test_waiting_engine_leaves_the_heartbeat_of_one_that_leads(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    heartbeat_of(build_rig(desk, exchange, settings.algosat.engine).components).write()
    led, waiting = last_heartbeat(desk), WaitingHeartbeat([desk])
    clock.forward(seconds=4)
    waiting.write()
    assert last_heartbeat(desk) == led
    clock.forward(seconds=4)
    waiting.write()
    assert last_heartbeat(desk) == clock.at


def test_time_of_waiting_for_adoption_counts_as_absence(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    desk = replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))
    clock.at = FRIDAY
    heartbeat_of(build_rig(desk, exchange, settings.algosat.engine).components).write()
    set_prices(desk)
    hold(desk)
    for _ in range(2):  # the engine may be restarted while it waits
        clock.forward(minutes=5)
        WaitingHeartbeat([desk]).write()
    clock.forward(seconds=1)
    alert_of_absence(desk)
    assert open_alerts(desk) == {("engine.away", "engine")}


def test_absence_at_night_is_no_alert(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    desk = replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))
    hold(desk)
    clock.at = FRIDAY + timedelta(hours=1)
    heartbeat_of(build_rig(desk, exchange, settings.algosat.engine).components).write()
    clock.at = FRIDAY + timedelta(days=2, hours=18, minutes=44)  # 09:14 on Monday
    alert_of_absence(desk)
    assert open_alerts(desk) == set()


def test_account_removed_from_the_settings_with_a_position_is_an_alert(desk: Desk) -> None:
    """Its orders and losses would be watched by nobody, and no page would show them."""
    other = other_account(desk)
    alert_of_missing_accounts([desk])
    assert open_alerts(desk) == set()
    hold(other)
    alert_of_missing_accounts([desk])
    alert_of_missing_accounts([desk])
    assert open_alerts(desk) == {("account.not_configured", "dollars")}
    alert_of_missing_accounts([desk, other])
    assert open_alerts(desk) == set()


def test_account_removed_with_a_working_order_is_an_alert(desk: Desk) -> None:
    buy(other_account(desk))
    alert_of_missing_accounts([desk])
    assert open_alerts(desk) == {("account.not_configured", "dollars")}


def test_clock_that_was_set_is_alerted_once_and_shown_for_ten_minutes(rig: EngineRig, desk: Desk) -> None:
    wall, elapsed = [1000.0], [0.0]
    watch = ClockWatch(lambda: wall[0], lambda: elapsed[0])
    account = AccountHeartbeat(rig.components)
    account.look()
    heartbeat = EngineHeartbeat(rig.components, [account], clock_watch=watch)

    def write(*, passes: float, step: float = 0.0) -> object:
        elapsed[0] += passes
        wall[0] += passes + step
        heartbeat.write()
        with desk.database.read() as connection:
            found = heartbeats.read(connection, heartbeats.ENGINE)
        assert found is not None
        return found.data.get("clock_set")

    assert write(passes=1) is None
    assert write(passes=1, step=0.4) is None  # slewed, or a rounding
    assert write(passes=1, step=-600) == -599.6
    assert write(passes=1) == -599.6
    assert open_alerts(desk) == {("clock.set", "clock")}
    with desk.database.read() as connection:
        detail = alerts.open_detail(connection, desk, AlertKind.CLOCK_SET, "clock")
    assert "set back by 599.6 s" in str(detail)
    for _ in range(60):
        last = write(passes=11)
    assert last is None


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [(StoreFull(), 0), (StoreReadOnly(), 0), (StoreBusy(), 20)],
    ids=lambda it: str(it),
)
def test_engine_is_not_restarted_for_a_disk_that_is_full_or_read_only(
    rig: EngineRig, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, refusal: StoreBusy, seconds: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise refusal

    heartbeat = heartbeat_of(rig.components)
    clock.forward(seconds=20)
    monkeypatch.setattr(Writer, "run", refuse)
    with pytest.raises(StoreBusy):
        heartbeat.write()
    assert heartbeat.silence() == timedelta(seconds=seconds)


def test_heartbeats_read_no_file_while_they_run(
    desk: Desk, exchange: FakeExchange, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the package's metadata fails when descriptors are exhausted, and after an upgrade."""
    leading = heartbeat_of(build_rig(desk, exchange, settings.algosat.engine).components)
    waiting = WaitingHeartbeat([desk])

    def fail(_name: str) -> str:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("algosat.engine.heartbeat.version", fail)
    waiting.write()
    leading.write()
    last = last_heartbeat(desk)
    assert last is not None
