"""The clock of the periodic duties, cancels of oversized exits, and the deletion of old rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, insert, select

from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.market_phases import packaged
from algosat.domain.orders import PendingRequest, Product, Side, Status, Trade
from algosat.engine import schedule
from algosat.engine.schedule import Sweeper, cancel_oversized, watch_calendar, watch_key, watch_store
from algosat.errors import StoreFull
from algosat.store.leader_lock import NotLeading
from algosat.store.tables import alerts, replies
from algosat.trading import auto_close, halt_cancels
from algosat.trading.apply_report import apply_report
from algosat.trading.desk import Desk
from tests.app.builders import exchange
from tests.app.desks import SECOND, accepted, buy, hold, open_alerts, order_now, sell
from tests.app.engine.rig import EngineRig, step_duties
from tests.app.fake_exchange import external_report
from tests.app.fakes import FakeClock


def test_setting_the_clock_back_does_not_stop_the_duties(
    desk: Desk, rig: EngineRig, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, checked = clock(), list[datetime]()
    monkeypatch.setattr(rig.components.duties.daily_loss, "check", lambda desk: checked.append(desk.clock()))
    step_duties(rig.components)
    step_duties(rig.components)
    clock.forward(hours=-1)
    step_duties(rig.components)
    assert checked == [before, clock()]


@pytest.mark.parametrize("failing_duty", ["cancel_oversized", "square_off", "follow_closes"])
def test_duty_that_fails_does_not_keep_the_others_from_being_done(
    rig: EngineRig, monkeypatch: pytest.MonkeyPatch, failing_duty: str
) -> None:
    done = list[str]()

    def duty(name: str) -> None:
        done.append(name)
        if name == failing_duty:
            raise RuntimeError(name)

    names = {
        "cancel_oversized": schedule,
        "cancel_halted": halt_cancels,
        "flatten_halted": auto_close,
        "square_off": auto_close,
        "close_near_delivery": auto_close,
        "follow_closes": auto_close,
    }
    for name, module in names.items():
        monkeypatch.setattr(module, name, lambda _desk, name=name: duty(name))
    with pytest.raises(ExceptionGroup) as raised:
        rig.components.duties.close()
    assert [str(each) for each in raised.value.exceptions] == [failing_duty]
    assert done == list(names)


def test_lost_lead_ends_the_round_at_once(rig: EngineRig, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(_desk: Desk) -> None:
        raise NotLeading("another one leads")

    monkeypatch.setattr(schedule, "cancel_oversized", lose)
    with pytest.raises(NotLeading):
        rig.components.duties.close()


def test_exit_without_a_position_left_is_cancelled(desk: Desk) -> None:
    hold(desk, "10")
    exit_order = accepted(desk, sell(desk, "10", limit="104", reduce_only=True))
    cancel_oversized(desk)
    assert order_now(desk, exit_order).pending is None
    hold(desk, "10", side=Side.SELL, product=Product.INTRADAY)
    cancel_oversized(desk)
    assert order_now(desk, exit_order).pending is None
    sell_externally(desk, "10")
    cancel_oversized(desk)
    assert order_now(desk, exit_order).pending is PendingRequest.PENDING_CANCEL


def test_newest_of_several_exits_is_cancelled_first(desk: Desk) -> None:
    hold(desk, "10")
    older = accepted(desk, sell(desk, "4", limit="104", reduce_only=True))
    newer = accepted(desk, sell(desk, "6", limit="104", reduce_only=True))
    sell_externally(desk, "5")
    cancel_oversized(desk)
    assert order_now(desk, older).pending is None
    assert order_now(desk, newer).pending is PendingRequest.PENDING_CANCEL


def test_other_orders_and_exits_of_other_positions_are_kept(desk: Desk) -> None:
    hold(desk, "10")
    hold(desk, "10", symbol=SECOND)
    plain = accepted(desk, sell(desk, "5", product=Product.INTRADAY))
    other = accepted(desk, sell(desk, "10", symbol=SECOND, reduce_only=True))
    sell_externally(desk, "10")
    cancel_oversized(desk)
    assert order_now(desk, plain).pending is None
    assert order_now(desk, other).pending is None


def test_exit_that_was_not_sent_is_cancelled_at_once(desk: Desk) -> None:
    hold(desk, "10")
    unsent = sell(desk, "10", limit="104", reduce_only=True)
    sell_externally(desk, "10")
    cancel_oversized(desk)
    assert order_now(desk, unsent).status is Status.CANCELLED


def test_alert_about_the_end_of_the_calendar_follows_the_calendar(desk: Desk, clock: FakeClock) -> None:
    ending, ended = ("calendar.ending", "calendar"), ("calendar.ended", "calendar")
    desk = replace(desk, calendar=ExchangeCalendar(packaged()))
    longer = replace(desk, calendar=ExchangeCalendar(packaged().extended(valid_through=date(2027, 12, 31))))
    for day, expected in (
        ("2026-11-15", set()),
        ("2026-11-16", {ending}),
        ("2026-12-31", {ending}),
        ("2027-01-01", {ended}),
    ):
        clock.at = exchange(day)
        watch_calendar(desk)
        assert open_alerts(desk, of_calendar=True) == expected
    watch_calendar(longer)
    assert open_alerts(desk, of_calendar=True) == set()


def test_alert_about_the_end_of_the_calendar_is_opened_once_and_says_how_many_days_are_left(
    desk: Desk, clock: FakeClock
) -> None:
    desk = replace(desk, calendar=ExchangeCalendar(packaged()))
    for day, words in (("2026-12-01", "in 30 days"), ("2026-12-02", "in 29 days")):
        clock.at = exchange(day)
        watch_calendar(desk)
        watch_calendar(desk)
        with desk.database.read() as connection:
            (alert,) = connection.execute(select(alerts)).all()
        assert words in alert.detail
        assert "algosat_calendar in the inventory" in alert.detail
        assert "PUT /calendar/end" in alert.detail


def sell_externally(desk: Desk, quantity: str) -> None:
    """Book a fill of an external order that reduces the position."""
    trade = Trade("X1", Decimal(quantity), Decimal(100), desk.clock())
    report = external_report("B77", trade, status=Status.FILLED)
    report = replace(report, terms=replace(report.terms, side=Side.SELL, quantity=Decimal(quantity)))
    desk.writer.run(lambda connection: apply_report(connection, desk, report))


def store_keys(desk: Desk, number: int) -> None:
    at = desk.clock() - timedelta(days=91)
    rows = [
        {"principal": "p", "key": f"{n}", "body_hash": "", "order_ids": [], "created_at": at}
        for n in range(number)
    ]
    desk.writer.run(lambda connection: connection.execute(insert(replies), rows))


def keys_left(desk: Desk) -> int:
    with desk.database.read() as connection:
        return connection.execute(select(func.count()).select_from(replies)).scalar_one()


def test_old_rows_are_deleted_at_the_start_and_the_next_batch_a_second_later(
    desk: Desk, clock: FakeClock
) -> None:
    store_keys(desk, 250)
    sweeper = Sweeper(desk)
    sweeper.step()
    sweeper.step()
    assert keys_left(desk) == 50
    clock.forward(seconds=1)
    sweeper.step()
    assert keys_left(desk) == 0


def test_sweep_that_found_nothing_is_repeated_after_an_hour(desk: Desk, clock: FakeClock) -> None:
    sweeper = Sweeper(desk)
    sweeper.step()
    store_keys(desk, 1)
    clock.forward(minutes=59)
    sweeper.step()
    assert keys_left(desk) == 1
    clock.forward(minutes=1)
    sweeper.step()
    assert keys_left(desk) == 0


@pytest.mark.sqlite
def test_full_disk_is_alerted_stops_entries_and_ends_with_free_space(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(desk, "10")
    reserve = desk.database.reserve
    assert reserve is not None
    reserve.keep(1)
    watch_store(desk)
    assert open_alerts(desk) == set()
    with monkeypatch.context() as disk:
        disk.setattr("algosat.store.disk_reserve._TIMES_FREE", 1 << 60)  # no room for it now
        assert reserve.release()
        watch_store(desk)
        assert open_alerts(desk) == {("store.full", "store")}
        reserve._asked_at = -1  # noqa: SLF001 - as if half a second had passed
        with pytest.raises(StoreFull, match="only exits"):
            buy(desk)
        assert sell(desk, "10", reduce_only=True).status is Status.CREATED
    watch_store(desk)
    assert open_alerts(desk) == set()
    assert buy(desk).status is Status.CREATED


@pytest.mark.sqlite
def test_reader_that_makes_the_store_grow_is_alerted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as log:
        log.setattr("algosat.store.disk_reserve._PINNED_WAL", 0)
        watch_store(desk)
        watch_store(desk)
        assert open_alerts(desk) == {("store.pinned", "store")}
    watch_store(desk)
    assert open_alerts(desk) == set()


def test_key_that_is_due_for_rotation_is_alerted_until_the_next_key_encrypts(
    desk: Desk, clock: FakeClock
) -> None:
    watch_key(desk, "aa", rotation_days=90)
    clock.forward(days=90)
    assert open_alerts(desk) == set()
    for _ in range(2):
        watch_key(desk, "aa", rotation_days=90)
        assert open_alerts(desk) == {("encryption.key_due", "encryption")}
    for _ in range(2):
        watch_key(desk, "bb", rotation_days=90)
        assert open_alerts(desk) == set()
