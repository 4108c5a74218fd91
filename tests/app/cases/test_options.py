"""Contracts that expire, on the whole path: the desk, the engine's components and the paper exchange."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from sqlalchemy import Row, select

from algosat.brokers.paper.persistence import paper_state
from algosat.domain.funds import Funds
from algosat.domain.linked_requests import ExitRequest
from algosat.domain.orders import OrderTerms, OrderType, Product, Side, Status
from algosat.domain.risk import DenialCode
from algosat.domain.scope import ACCOUNT
from algosat.store import ledger, queries
from algosat.store.tables import closes, days, linked_exits, trades
from algosat.store.verify.verify import verify
from algosat.trading import funds, limits
from algosat.trading.linked_exits import place_linked
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import CASH, World, ist, restarted
from tests.app.client import Client
from tests.app.desks import CAUSE, order_now
from tests.app.thorough import examples

CALL = "BREADTH-261229-24800-CE"
MONDAY = ist(2026, 11, 30, 10, 30)
EXPIRY = ist(2026, 12, 1, 15, 10)  # Tuesday of the week, half an hour before the contracts' last trade
EXPIRED = datetime(2026, 12, 1, 10, 10, tzinfo=UTC)
LOT = Decimal(65)


def balance(world: World) -> Row[Any]:
    with world.desk.database.read() as connection:
        row: Row[Any] = queries.balance(connection, world.desk.account)
        return row


def fees(world: World) -> Decimal:
    return Decimal(balance(world).fees)


def cash(world: World) -> Decimal:
    row = balance(world)
    return Decimal(row.deposited + row.realised - row.fees)


def settlements(world: World) -> list[Row[Any]]:
    """Return the trades that settle positions, oldest first."""
    query = select(trades).where(trades.c.trade_id.startswith("settlement-")).order_by(trades.c.seq)
    with world.desk.database.read() as connection:
        return list(connection.execute(query))


def option(world: World, letters: str, distance: int) -> str:
    """Return the option of this week with a strike so many intervals above the underlying's price."""
    strike = (world.quote("BREADTH-FUT").last / 200).to_integral_value() * 200 + distance * 200
    return f"BREADTH-261201-{strike}-{letters}"


def limit_below(world: World, symbol: str) -> Decimal:
    """Return a price that the gate accepts and the market does not reach."""
    return world.quote(symbol).last - Decimal(4)


def stored_price(world: World, symbol: str) -> Decimal:
    """Return the price that the exchange has stored: what it would continue from if it were killed now."""
    query = select(paper_state.c.data).where(paper_state.c.name == symbol)
    with world.desk.database.read() as connection:
        return Decimal(connection.execute(query).scalar_one()["path"]["last"])


def rupees(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal(1), ROUND_HALF_UP)


def test_call_is_bought_priced_and_sold(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    bought = world.hold(CALL, 65, product=Product.CARRY)
    before = world.quote(CALL)
    world.run(20)
    assert world.quote(CALL).at > before.at
    sold = world.place(CALL, Side.SELL, 65, product=Product.CARRY)
    world.run(2)
    sold = order_now(world.desk, sold)
    assert world.held() == {}
    assert sold.filled_quantity == bought.filled_quantity == 65
    # Two orders at ₹20, 0.15 % of the premium sold, 0.003 % of the premium bought, charges and their tax
    assert Decimal(60) < fees(world) < Decimal(200)


def test_option_is_not_written(world_at: WorldAt) -> None:
    denied = world_at(MONDAY).place(CALL, Side.SELL, 65, product=Product.CARRY)
    assert denied.code == "product_not_allowed"


def test_option_chain_is_a_filter_of_the_instruments(served: World, trader: Client) -> None:
    assert served.quote("BREADTH-FUT")
    chain = trader.get("/instruments", query_string={"kind": "option", "underlying": "NOVA-EQ"}).json["items"]
    assert {each["underlying"] for each in chain} == {"NOVA-EQ"}
    first = chain[0]
    named = {name: first[name] for name in ("underlying", "expiry", "strike", "option_type")}
    (same,) = trader.get("/instruments", query_string=named).json["items"]
    assert same == first
    assert trader.get("/instruments", query_string={"strike": "NaN"}).status_code == 400


@pytest.mark.parametrize(("letters", "distance"), [("CE", -1), ("CE", 1), ("PE", 1), ("PE", -1)])
def test_option_held_to_expiry_is_settled_to_the_paisa(
    world_at: WorldAt, letters: str, distance: int
) -> None:
    world = world_at(EXPIRY)
    symbol = option(world, letters, distance)
    bought = world.hold(symbol, int(LOT), product=Product.CARRY)
    paid = fees(world)
    world.run_until(ist(2026, 12, 1, 15, 41))
    close, strike = world.quote("BREADTH-FUT").last, Decimal(symbol.split("-")[2])
    value = max((close - strike) * (1 if letters == "CE" else -1), Decimal(0))
    assert (value > 0) is ((letters == "CE") is (distance < 0))
    # ₹20 with 18 % tax, and 0.15 % of the value in whole rupees; nothing for an option without value
    charges = Decimal("23.60") + rupees(LOT * value * Decimal("0.0015")) if value else 0
    (settled,) = settlements(world)
    assert world.held() == {}
    assert (settled.price, settled.quantity, settled.side, settled.at) == (value, LOT, "sell", EXPIRED)
    assert settled.fees == charges
    assert cash(world) == CASH - bought.filled_value + LOT * value - paid - charges
    assert not [each for each in world.alerts() if each.kind.startswith("contract.")]


@pytest.mark.parametrize("side", list(Side))
def test_future_held_to_expiry_is_settled_at_the_close_of_its_underlying(
    world_at: WorldAt, side: Side
) -> None:
    world = world_at(ist(2026, 12, 29, 15, 10))
    opened = world.hold("BREADTH-261229-FUT", int(LOT), side=side, product=Product.CARRY)
    paid = fees(world)
    world.run_until(ist(2026, 12, 29, 15, 41))
    (settled,) = settlements(world)
    assert world.held() == {}
    assert settled.price == world.quote("BREADTH-FUT").last
    assert settled.side == side.opposite
    assert cash(world) == CASH + side.sign * (LOT * settled.price - opened.filled_value) - paid - Decimal(
        "23.60"
    )


def test_settlement_stands_in_the_audit_trail_and_verifies(world_at: WorldAt) -> None:
    world = world_at(EXPIRY)
    symbol = option(world, "CE", -1)
    world.hold(symbol, int(LOT), product=Product.CARRY)
    world.run_until(ist(2026, 12, 1, 15, 41))
    (settled,) = settlements(world)
    with world.desk.database.read() as connection:
        order = ledger.get(connection, settled.order_id)
        day = connection.execute(select(days).where(days.c.realised != 0)).one()
        assert verify(connection).clean
    assert (order.status, order.code, order.external) == (Status.FILLED, "expiry_settled", True)
    assert str(day.day) == "2026-12-01"


def test_expired_contract_takes_no_orders(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 12, 1, 15, 39))
    symbol = option(world, "CE", -1)
    resting = world.place(
        symbol, Side.BUY, int(LOT), product=Product.CARRY, limit_price=limit_below(world, symbol)
    )
    assert resting.status is Status.OPEN
    world.run_until(ist(2026, 12, 1, 15, 41))
    assert order_now(world.desk, resting).status is Status.EXPIRED
    assert world.place(symbol, Side.BUY, int(LOT), product=Product.CARRY).code == "market_closed"
    world.jump(ist(2026, 12, 2, 10, 0))
    assert world.place(symbol, Side.BUY, int(LOT), product=Product.CARRY).code == "unknown_symbol"


def test_new_contracts_are_listed_on_the_day_after(world_at: WorldAt) -> None:
    world = world_at(EXPIRY)
    world.jump(ist(2026, 12, 2, 10, 0))
    with world.desk.database.read() as connection:
        listed = {str(each.expiry) for each in queries.all_instruments(connection, "paper") if each.expiry}
    assert listed == {"2026-12-08", "2026-12-29"}


@pytest.mark.parametrize("back", [ist(2026, 12, 1, 18, 0), ist(2026, 12, 2, 9, 0), ist(2026, 12, 7, 11, 0)])
def test_engine_that_was_away_over_the_expiry_settles_once_dated_on_the_day(
    world_at: WorldAt, back: datetime
) -> None:
    world = world_at(EXPIRY)
    symbol = option(world, "CE", -1)
    world.hold(symbol, int(LOT), product=Product.CARRY)
    world.run(8)
    close = stored_price(world, "BREADTH-FUT")
    world = restarted(world, at=back)
    world.run(10)
    (settled,) = settlements(world)
    assert world.held() == {}
    assert settled.at == EXPIRED
    assert settled.price == close - Decimal(symbol.split("-")[2])
    restarted(world, at=back + timedelta(minutes=1)).run(10)
    assert len(settlements(world)) == 1


def test_order_of_an_expired_contract_ends_if_the_engine_was_away(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 12, 1, 15, 39))
    symbol = option(world, "CE", -1)
    resting = world.place(
        symbol, Side.BUY, int(LOT), product=Product.CARRY, limit_price=limit_below(world, symbol)
    )
    world = restarted(world, at=ist(2026, 12, 2, 10, 0))
    world.run(3)
    assert order_now(world.desk, resting).status is Status.EXPIRED


def may_write(world: World, **others: Any) -> None:
    limits.change(world.desk, ACCOUNT, {"option_writing": True, **others}, CAUSE)


def funds_of(world: World) -> Funds:
    with world.desk.database.read() as connection:
        return funds.funds(connection, world.desk)


def test_written_option_needs_margin_in_funds_limits_and_gate(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    may_write(world)
    written = world.place(CALL, Side.SELL, int(LOT), product=Product.CARRY)
    world.run(2)
    assert order_now(world.desk, written).status is Status.FILLED
    notional, used = LOT * world.quote("BREADTH-FUT").last, funds_of(world).margin_used
    assert Decimal("0.05") * notional < used < Decimal("0.13") * notional
    assert funds_of(world).available < CASH - used + 1000
    more = world.place(CALL, Side.SELL, 4 * int(LOT), product=Product.CARRY)
    assert more.code == DenialCode.POSITION_MARGIN
    may_write(world, max_position_margin="10000000", max_gross_margin="10000000")
    more = world.place(CALL, Side.SELL, 6 * int(LOT), product=Product.CARRY)
    assert more.code == DenialCode.INSUFFICIENT_FUNDS
    closing = world.place(CALL, Side.BUY, int(LOT), product=Product.CARRY)
    world.run(2)
    assert order_now(world.desk, closing).status is Status.FILLED
    assert world.held() == {}
    assert funds_of(world).margin_used == 0


@pytest.mark.parametrize("distance", [-1, 1])
def test_written_call_is_settled_at_expiry(world_at: WorldAt, distance: int) -> None:
    world = world_at(ist(2026, 12, 1, 9, 30))  # later, a call out of the money finds no buyer
    may_write(world)
    symbol = option(world, "CE", distance)
    written = world.hold(symbol, int(LOT), side=Side.SELL, product=Product.CARRY)
    paid = fees(world)
    world.run_until(ist(2026, 12, 1, 15, 41), step=600)
    value = max(world.quote("BREADTH-FUT").last - Decimal(symbol.split("-")[2]), Decimal(0))
    assert (value > 0) is (distance < 0)
    (settled,) = settlements(world)
    assert world.held() == {}
    assert settled.side == "buy"
    charges = Decimal("23.60") if value else 0  # its buyer pays the tax on exercise
    assert cash(world) == CASH + written.filled_value - LOT * value - paid - charges
    assert funds_of(world).margin_used == 0


def test_option_that_delivers_shares_is_not_opened_just_before_its_expiry(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 12, 28, 10, 30))
    denied = world.place(share_option(world), Side.BUY, 500, product=Product.CARRY)
    assert denied.code == DenialCode.NEAR_DELIVERY


def share_option(world: World) -> str:
    strike = (world.quote("NOVA-EQ").last / 20).to_integral_value() * 20
    return f"NOVA-261229-{strike}-CE"


def contract_alerts(world: World) -> list[str]:
    return [each.kind for each in world.alerts() if each.kind.startswith("contract.")]


def closed_for_expiry(world: World) -> list[str]:
    with world.desk.database.read() as connection:
        return [str(row.reason) for row in connection.execute(select(closes))]


def test_option_that_delivers_shares_is_closed_on_the_day_before_its_expiry(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 12, 24, 10, 30))
    symbol = share_option(world)
    world.hold(symbol, 500, product=Product.CARRY)
    world.jump(ist(2026, 12, 28, 15, 20)).run(10)
    assert world.held() == {symbol: 500}
    world.jump(ist(2026, 12, 28, 15, 26)).run(20)
    assert world.held() == {}
    assert closed_for_expiry(world) == ["expiry"]
    assert contract_alerts(world) == ["contract.closing"]


def test_option_that_delivers_shares_is_closed_on_its_last_day_if_the_engine_was_away(
    world_at: WorldAt,
) -> None:
    world = world_at(ist(2026, 12, 24, 10, 30))
    symbol = share_option(world)
    world.hold(symbol, 500, product=Product.CARRY)
    world = restarted(world, at=ist(2026, 12, 29, 9, 20))
    world.run(20)
    assert world.held() == {}
    assert closed_for_expiry(world) == ["expiry"]
    assert settlements(world) == []


def test_share_option_is_settled_in_cash_if_the_engine_was_away_until_after_its_expiry(
    world_at: WorldAt,
) -> None:
    world = world_at(ist(2026, 12, 24, 10, 30))
    world.hold(share_option(world), 500, product=Product.CARRY)
    world = restarted(world, at=ist(2026, 12, 30, 9, 20))
    world.run(20)
    assert world.held() == {}
    (settled,) = settlements(world)
    assert contract_alerts(world) == (["contract.not_closed"] if settled.price else [])


@pytest.mark.parametrize("seed", range(examples(3)))
def test_engine_stopped_at_random_times_around_the_expiry_ends_flat_with_the_right_cash(
    world_at: WorldAt, seed: int
) -> None:
    draw = random.Random(seed)
    world = world_at(EXPIRY)
    may_write(world, max_gross_margin="10000000")
    held = {
        option(world, "CE", -1): Side.BUY,
        option(world, "PE", -1): Side.BUY,
        option(world, "PE", 1): Side.SELL,
    }
    paid = Decimal(0)
    for symbol, side in held.items():
        order = world.hold(symbol, int(LOT), side=side, product=Product.CARRY)
        paid += side.sign * order.filled_value
    before = fees(world)
    for _ in range(draw.randint(1, 4)):
        world.run(draw.randint(0, 5))
        away = timedelta(minutes=draw.choice((1, 10, 30, 60, 600)))
        world = restarted(world, at=world.clock() + away)
    world = restarted(world, at=ist(2026, 12, 2, 9, 30))
    world.run(10)
    settled = settlements(world)
    assert world.held() == {}
    assert sorted(each.symbol for each in settled) == sorted(held)
    assert {each.at for each in settled} == {EXPIRED}
    value = sum((held[each.symbol].sign * LOT * each.price for each in settled), Decimal(0))
    assert cash(world) == CASH - paid + value - fees(world)
    assert fees(world) - before == sum(each.fees for each in settled)
    with world.desk.database.read() as connection:
        assert verify(connection).clean


@pytest.mark.parametrize("away", [False, True])
def test_stop_and_target_of_an_expired_contract_end(world_at: WorldAt, away: bool) -> None:
    world = world_at(ist(2026, 12, 1, 15, 38))
    symbol = option(world, "CE", -1)
    world.hold(symbol, int(LOT), product=Product.CARRY)
    last = world.quote(symbol).last
    stop = OrderTerms(
        account=world.desk.account,
        symbol=symbol,
        side=Side.SELL,
        quantity=LOT,
        type=OrderType.STOP,
        product=Product.CARRY,
        trigger_price=last - 5,
        reduce_only=True,
    )
    place_linked(world.desk, stop, ExitRequest(target_price=last + 10), CAUSE)
    world.run(2)
    assert len(world.working()) == 1
    if away:
        world = restarted(world, at=ist(2026, 12, 2, 9, 20))
    else:
        world.run_until(ist(2026, 12, 1, 15, 41))
    world.run(20)
    with world.desk.database.read() as connection:
        (linked,) = connection.execute(select(linked_exits)).all()
    assert (world.held(), world.working()) == ({}, [])
    assert linked.state == "ended"
    about_the_machine = ("calendar.", "engine.")
    assert not [each for each in world.alerts() if not each.kind.startswith(about_the_machine)]
