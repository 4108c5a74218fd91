"""Contracts that expire, on the whole path: the desk, the engine's components and the paper exchange."""

from __future__ import annotations

from decimal import Decimal

from algosat.domain.orders import Product, Side
from algosat.store import queries
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist
from tests.app.client import Client
from tests.app.desks import order_now

CALL = "BREADTH-261229-24800-CE"
MONDAY = ist(2026, 11, 30, 10, 30)


def fees(world: World) -> Decimal:
    with world.desk.database.read() as connection:
        return Decimal(queries.balance(connection, world.desk.account).fees)


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
