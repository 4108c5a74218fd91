from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from time import time as time_now
from typing import Any

import pytest
from prometheus_client.samples import Sample
from sqlalchemy import delete, update

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import EXCHANGE_TIME, AlwaysOpen
from algosat.domain.market_phases import Phase, Window
from algosat.domain.orders import EventKind
from algosat.domain.scope import Scope
from algosat.host.history import History
from algosat.host.sampler import Sampler
from algosat.monitoring.health import Check, Finding, Health
from algosat.state_metrics import StateMetrics
from algosat.store import heartbeats
from algosat.store.tables import orders, quotes
from algosat.trading import alerts, halts
from algosat.trading.desk import Desk, Desks
from tests.app.builders import exchange
from tests.app.desks import CAUSE, SECOND, accepted, advance, buy, hold, other_account, set_prices
from tests.app.fakes import FakeClock
from tests.app.host.readings import process, reading


class FakeSampler(Sampler):
    """A sampler with the history that the test sets."""

    def __init__(self) -> None:
        self.kept, self.clock_offset = History(), 0.0

    def history(self) -> History:
        return self.kept


class Page:
    """What /metrics would show of the server's state."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.others = desk, tuple[Desk, ...]()
        self.sampler = FakeSampler()
        self.key_due_at: datetime | None = None
        self.findings = {"database": Finding(True, "works"), "broker": Finding(False, "is down")}

    def value(self, name: str, **labels: str) -> float | None:
        found = (each for each in self._samples() if each.name == f"algosat_{name}" and each.labels == labels)
        return next((each.value for each in found), None)

    def names(self) -> set[str]:
        return {each.name for each in self._samples()}

    def _samples(self) -> list[Sample]:
        health = Health([self._check(name) for name in self.findings])
        try:
            desks = Desks(self.desk, *self.others)
            metrics = StateMetrics(
                *(health, self.desk.database, desks, self.sampler, self.desk.clock),
                lambda _: self.key_due_at,
            )
            return [sample for family in metrics.collect() for sample in family.samples]
        finally:
            health.close()

    def _check(self, name: str) -> Check:
        return Check(name, False, lambda: self.findings[name], lambda: 0)


@pytest.fixture
def page(desk: Desk) -> Page:
    return Page(desk)


def beat(desk: Desk, **state: Any) -> None:
    data = {"accounts": {desk.account: state}}
    desk.writer.run(lambda connection: heartbeats.write(connection, heartbeats.ENGINE, desk.clock(), data))


def test_each_component_of_health_is_a_metric(page: Page) -> None:
    assert page.value("component_ok", component="database") == 1
    assert page.value("component_ok", component="broker") == 0


def test_orders_are_counted_from_the_store(page: Page, desk: Desk, clock: FakeClock) -> None:
    lost = buy(desk)
    buy(desk, "20")
    lost = advance(desk, lost, EventKind.SUBMITTING, EventKind.UNCERTAIN)
    clock.forward(seconds=7)
    buy(desk, symbol=SECOND)
    clock.forward(seconds=1)
    assert lost.status == "unknown"
    account = {"account": "paper"}
    assert page.value("orders_working", **account) == 3
    assert page.value("orders_unknown", **account) == 1
    assert page.value("orders_held_back", **account) == 1  # the one of the same symbol
    assert page.value("order_unsent_age_seconds", **account) == 8


def test_orders_of_two_accounts_are_told_apart(page: Page, desk: Desk, clock: FakeClock) -> None:
    other = other_account(desk)
    advance(desk, buy(desk), EventKind.SUBMITTING, EventKind.UNCERTAIN)
    buy(other)
    page.others = (other,)
    assert page.value("orders_unknown", account="paper") == 1
    assert page.value("orders_unknown", account="dollars") == 0
    assert page.value("orders_held_back", account="dollars") == 0  # the same symbol of another account
    assert page.value("exposure", account="dollars", currency="USD") == 1000


def test_accepted_order_leaves_no_unsent_age(page: Page, desk: Desk, clock: FakeClock) -> None:
    accepted(desk, buy(desk))
    clock.forward(hours=1)
    assert page.value("order_unsent_age_seconds", account="paper") == 0
    assert page.value("orders_held_back", account="paper") == 0


def test_order_that_waits_for_its_market_is_not_late(page: Page, desk: Desk, clock: FakeClock) -> None:
    order = buy(desk)
    due = clock() + timedelta(hours=2)
    desk.writer.run(
        lambda connection: connection.execute(
            update(orders).where(orders.c.id == order.id).values(send_at=due)
        )
    )
    clock.forward(hours=1)
    assert page.value("order_unsent_age_seconds", account="paper") == 0
    clock.forward(hours=1, seconds=3)
    assert page.value("order_unsent_age_seconds", account="paper") == 3


def test_age_of_the_heartbeat_and_of_each_duty_grows_while_the_engine_is_away(
    page: Page, desk: Desk, clock: FakeClock
) -> None:
    at = clock().isoformat()
    broker = {"expires_at": "2026-11-21T00:30:00+00:00", "feeds": {"quotes": "up", "reports": "down"}}
    beat(
        desk,
        rounds={"reconcile": at},
        book_read_at=at,
        broker=broker,
        breakers={"place": "open", "cancel": "closed"},
        budget={"left": {"second": 4}, "paused_until": None},
    )
    here = {"account": "paper"}
    assert page.value("feed_up", feed="quotes", **here) == 1
    assert page.value("feed_up", feed="reports", **here) == 0
    assert page.value("broker_breaker_open", operation="place", **here) == 1
    assert page.value("broker_breaker_open", operation="cancel", **here) == 0
    assert page.value("broker_calls_left", window="second", **here) == 4
    clock.forward(seconds=40)
    assert page.value("engine_heartbeat_age_seconds") == 40
    assert page.value("engine_round_age_seconds", duty="reconcile", **here) == 40
    assert page.value("book_read_age_seconds", **here) == 40
    assert page.value("broker_session_expires_timestamp_seconds", **here) == 1795221000
    # The last report of an engine that is away says nothing about now.
    assert page.names().isdisjoint(
        {"algosat_feed_up", "algosat_broker_breaker_open", "algosat_broker_calls_left"}
    )


def test_engine_that_never_ran_has_no_heartbeat_age(page: Page) -> None:
    assert page.value("engine_heartbeat_age_seconds") is None
    assert page.value("orders_working", account="paper") == 0


def test_positions_exposure_and_result_follow_the_prices(page: Page, desk: Desk) -> None:
    hold(desk, "10")
    set_prices(desk, ALPHA="110")
    money = {"account": "paper", "currency": "INR"}
    assert page.value("positions_current") == 1
    assert page.value("exposure", **money) == 1100
    pnl = page.value("pnl_day", **money)
    assert pnl is not None
    assert 90 < pnl <= 100  # less the fees


def test_halts_are_shown_by_scope(page: Page, desk: Desk) -> None:
    assert page.value("halted", scope="all") == 0
    halts.halt_trading(desk, CAUSE, "test", scope=Scope(account="paper"))
    assert page.value("halted", scope="all") == 0
    assert page.value("halted", scope="account:paper") == 1
    halts.halt_trading(desk, CAUSE, "test")
    assert page.value("halted", scope="all") == 1


def test_open_alerts_are_counted_and_closed_ones_are_not(page: Page, desk: Desk) -> None:
    kind = AlertKind.RISK_UNPRICED
    labels = {"kind": kind.value, "severity": kind.severity.value}
    assert page.value("alerts_open", **labels) == 0
    desk.writer.run(lambda connection: alerts.open_alert(connection, desk, kind, "A", CAUSE, "why"))
    assert page.value("alerts_open", **labels) == 1
    desk.writer.run(lambda connection: alerts.close_alert(connection, desk, kind, "A", CAUSE))
    assert page.value("alerts_open", **labels) == 0


@pytest.mark.sqlite
def test_sizes_of_the_store_are_those_of_its_files(page: Page, desk: Desk) -> None:
    path = desk.database.path
    assert path is not None
    assert page.value("store_bytes") == path.stat().st_size
    assert page.value("store_wal_bytes") == path.with_name(f"{path.name}-wal").stat().st_size


def test_time_since_the_last_commit_grows(page: Page, desk: Desk, clock: FakeClock) -> None:
    beat(desk)
    before = page.value("store_write_age_seconds")
    clock.forward(seconds=30 if before is None or clock() > datetime.now(clock().tzinfo) else -30)
    after = page.value("store_write_age_seconds")
    assert before is not None
    assert after is not None
    assert after == pytest.approx(before + 30)


class DayMarket(AlwaysOpen):
    """A market that trades from 09:15 to 15:30."""

    _hours = Window(Phase.CONTINUOUS, time(9, 15), time(15, 30))

    def phase(self, segment: str, has_derivatives: bool, at: datetime) -> Phase:
        return Phase.CONTINUOUS if self.window(segment, has_derivatives, at) else Phase.CLOSED

    def is_open(self, at: datetime) -> bool:
        return self.window("equity", has_derivatives=False, at=at) is not None

    def window(self, segment: str, has_derivatives: bool, at: datetime) -> Window | None:  # noqa: ARG002
        local = at.astimezone(EXCHANGE_TIME).time()
        return self._hours if self._hours.start <= local < self._hours.end else None


@pytest.mark.parametrize(
    ("clock_time", "age"),
    [("09:00", None), ("09:15", 0), ("09:16", 60), ("11:00", 6300), ("15:30", None)],
)
def test_age_of_quotes_counts_from_the_opening_and_only_while_the_market_is_open(
    desk: Desk, clock: FakeClock, clock_time: str, age: float | None
) -> None:
    clock.at = exchange("2026-11-23", "15:29")
    set_prices(desk)
    hold(desk, "10")
    clock.at = exchange("2026-11-24", clock_time)
    page = Page(replace(desk, calendar=DayMarket()))
    assert page.value("quote_age_seconds", account="paper") == age


@pytest.mark.parametrize(("clock_time", "is_open"), [("09:14", 0), ("09:15", 1), ("15:30", 0)])
def test_market_is_open_or_closed_for_each_account(
    desk: Desk, clock: FakeClock, clock_time: str, is_open: int
) -> None:
    clock.at = exchange("2026-11-24", clock_time)
    page = Page(replace(desk, calendar=DayMarket()))
    assert page.value("market_open", account="paper") == is_open


def test_age_of_quotes_is_that_of_symbols_in_use(page: Page, desk: Desk, clock: FakeClock) -> None:
    assert page.value("quote_age_seconds", account="paper") is None
    accepted(desk, buy(desk, symbol=SECOND))
    clock.forward(seconds=20)
    assert page.value("quote_age_seconds", account="paper") == 20
    set_prices(desk)
    assert page.value("quote_age_seconds", account="paper") == 0


def test_symbol_without_any_quote_has_no_age(page: Page, desk: Desk) -> None:
    hold(desk, "10")
    desk.writer.run(lambda connection: connection.execute(delete(quotes)))
    assert page.value("quote_age_seconds", account="paper") is None


def test_figures_of_processes_of_one_name_are_added_up(page: Page) -> None:
    workers = (process("api-worker", pid=1, open_fds=20), process("api-worker", pid=2, open_fds=22))
    latest = reading(at=time_now(), processes=(*workers, process("engine", pid=3, resident_bytes=5 << 20)))
    page.sampler.kept = History(recent=(latest,))
    assert page.value("process_open_fds", process="api-worker") == 42
    assert page.value("process_resident_bytes", process="engine") == 5 << 20
    assert page.value("process_threads", process="engine") == 9
    assert page.value("process_cpu_seconds", process="api-worker") == 2
    page.sampler.kept = History(recent=(replace(latest, at=latest.at - 60),))
    assert page.value("process_open_fds", process="engine") is None  # nobody reads any more


def test_leak_is_shown_while_it_lasts(page: Page) -> None:
    now = time_now()
    leaking = [process("engine", resident_bytes=(60 + minute) << 20) for minute in range(30)]
    minutes = tuple(reading(at=now - 60 * (29 - at), processes=(it,)) for at, it in enumerate(leaking))
    page.sampler.kept = History(minutes, minutes[-1:])
    assert page.value("process_leak_per_minute", process="engine", quantity="resident_bytes") == 1 << 20
    page.sampler.kept = History(minutes[:20], minutes[-1:])
    assert "algosat_process_leak_per_minute" not in page.names()


def test_step_of_the_clock_is_shown(page: Page) -> None:
    assert page.value("clock_offset_seconds") == 0
    page.sampler.clock_offset = -600.0
    assert page.value("clock_offset_seconds") == -600


def test_part_that_fails_leaves_the_others(page: Page, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Mapping[AlertKind, int]:
        raise ValueError("broken")

    monkeypatch.setattr(alerts, "numbers_open", broken)
    assert page.value("orders_working", account=desk.account) == 0
    assert "algosat_alerts_open" not in page.names()


def test_store_that_takes_no_writes_is_still_read_if_it_is_a_file(page: Page, desk: Desk) -> None:
    page.findings["database"] = Finding(False, "takes no writes")
    assert ("algosat_orders_working" in page.names()) == desk.database.is_sqlite


def test_due_time_of_the_encryption_key_is_shown_once_the_key_is_in_use(page: Page) -> None:
    assert page.value("encryption_key_due_timestamp_seconds") is None
    page.key_due_at = datetime(2026, 12, 1, tzinfo=UTC)
    assert page.value("encryption_key_due_timestamp_seconds") == page.key_due_at.timestamp()
