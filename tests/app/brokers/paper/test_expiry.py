"""Contracts of the paper exchange over days and restarts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from algosat.brokers.paper.broker import PaperBroker
from algosat.domain import market_phases
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.instruments import FinalSettlement
from algosat.domain.orders import Product, Status
from algosat.errors import StoreBusy
from algosat.exchange import contracts
from algosat.store.writer import Writer
from tests.app.brokers.paper.paper_brokers import BusyStore, Clock, order_of
from tests.app.exchange.manual_exchange import rules_of

CALL = "NOVA-261123-1520-CE"
RULES: dict[str, Any] = {
    "calendar": ExchangeCalendar(market_phases.packaged()),
    "chains": contracts.packaged_chains(),
}
CLOSE = datetime(2026, 11, 23, 10, 10, tzinfo=UTC)  # of the contracts that expire on that Monday, 15:40


def opened(store: Any, clock: Clock, **rules: Any) -> PaperBroker:
    broker = PaperBroker(rules_of(**{**RULES, **rules}), store, speed=60, now=clock)
    broker.open()
    return broker


def symbols(broker: PaperBroker) -> set[str]:
    return {each.symbol for each in broker.instruments()}


def settled(broker: PaperBroker) -> dict[str, FinalSettlement]:
    return {each.symbol: each for each in broker.settlements()}


def price(broker: PaperBroker, symbol: str) -> Any:
    return next(each.last for each in broker.quotes() if each.symbol == symbol)


def test_contracts_join_and_leave_the_list_with_the_trading_day(writer: Writer) -> None:
    clock = Clock()
    broker = opened(writer, clock)
    assert CALL in symbols(broker)
    clock.at = CLOSE + timedelta(minutes=1)
    broker.step()
    assert CALL in symbols(broker)
    clock.at = CLOSE + timedelta(days=2)
    broker.step()
    assert CALL not in symbols(broker)
    assert {each.expiry for each in broker.instruments() if each.underlying == "NOVA-EQ"} == {
        datetime(2026, 12, 29, tzinfo=UTC).date()
    }


def test_contract_is_settled_at_the_last_price_of_its_underlying(writer: Writer) -> None:
    clock = Clock()
    clock.at = CLOSE - timedelta(minutes=20)
    broker = opened(writer, clock)
    broker.step()
    assert settled(broker) == {}
    clock.at = CLOSE
    broker.step()
    close = price(broker, "NOVA-EQ")
    assert settled(broker)["NOVA-261123-FUT"] == FinalSettlement("NOVA-261123-FUT", CLOSE, close)
    assert settled(broker)[CALL].price == max(close - 1520, 0)
    assert "NOVA-261229-FUT" not in settled(broker)


def test_expired_contract_is_no_position(writer: Writer) -> None:
    clock = Clock()
    clock.at = CLOSE - timedelta(minutes=20)
    broker = opened(writer, clock)
    broker.step()
    future = "NOVA-261123-FUT"
    order = order_of(1, symbol=future, quantity=500, product=Product.CARRY)
    assert broker.place(order).status is Status.FILLED
    assert [(each.symbol, int(each.quantity)) for each in broker.positions()] == [(future, 500)]
    clock.at = CLOSE
    broker.step()
    assert broker.positions() == []


def test_settlement_is_published_once_it_is_stored(writer: Writer) -> None:
    clock, store = Clock(), BusyStore(writer)
    clock.at = CLOSE - timedelta(minutes=20)
    broker = opened(store, clock)
    broker.step()
    store.fails = True
    clock.at = CLOSE
    with pytest.raises(StoreBusy):
        broker.step()
    assert settled(broker) == {}
    store.fails = False
    broker.step()
    assert CALL in settled(broker)


def test_settlement_is_the_same_after_a_restart(writer: Writer) -> None:
    clock = Clock()
    clock.at = CLOSE - timedelta(minutes=20)
    first = opened(writer, clock)
    first.step()
    clock.at = CLOSE
    first.step()
    known = settled(first)
    for days in (0, 2, 30):
        clock.at = CLOSE + timedelta(days=days, minutes=1)
        again = opened(writer, clock)
        again.step()
        assert known.items() <= settled(again).items()


def test_exchange_that_was_closed_over_the_expiry_settles_when_it_opens(writer: Writer) -> None:
    clock = Clock()
    clock.at = CLOSE - timedelta(minutes=20)
    first = opened(writer, clock)
    order = order_of(1, symbol=CALL, quantity=500, limit_price=price_below(first))
    assert first.place(order).status is Status.OPEN
    close = price(first, "NOVA-EQ")
    clock.at = CLOSE + timedelta(days=2)
    second = opened(writer, clock)
    second.step()
    assert settled(second)["NOVA-261123-FUT"] == FinalSettlement("NOVA-261123-FUT", CLOSE, close)
    assert CALL not in symbols(second)
    found = second.find(order)
    assert found is not None
    assert (found.status, found.reason) == (Status.EXPIRED, "the contract has expired")


def test_store_of_an_exchange_without_contracts_lists_them(writer: Writer) -> None:
    clock = Clock()
    before = opened(writer, clock, chains=())
    before.step()
    held = order_of(1, symbol="NOVA-FUT", quantity=500)
    assert before.place(held).status is Status.FILLED
    after = opened(writer, clock)
    assert price(after, "NOVA-FUT") == price(before, "NOVA-FUT")
    after.step()
    assert {CALL, "NOVA-FUT"} <= symbols(after)
    assert after.place(order_of(2, symbol="NOVA-FUT", quantity=500)).status is Status.FILLED


def price_below(broker: PaperBroker) -> Any:
    broker.step()
    return next(each.lower_circuit for each in broker.quotes() if each.symbol == CALL)
