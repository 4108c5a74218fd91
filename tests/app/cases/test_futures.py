"""Case 12: the default limits let one lot of every listed instrument pass, and deny far too many."""

from __future__ import annotations

from typing import Any

import pytest

from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import OrderTerms, OrderType, Product, Side
from algosat.domain.risk import Denial, DenialCode, gate
from algosat.exchange import listings
from algosat.exchange.listings import Listing
from algosat.trading import risk_snapshot
from tests.app.cases.world import World
from tests.app.client import Client

LISTED = tuple(listings.packaged().values())
DERIVATIVES = tuple(each for each in LISTED if each.instrument.kind.is_derivative)


def symbol_of(listing: Listing) -> str:
    return listing.symbol


def order(listing: Listing, lots: int = 1) -> dict[str, Any]:
    product = "carry" if listing.instrument.kind.is_derivative else "delivery"
    return {"symbol": listing.symbol, "quantity": str(listing.instrument.lot * lots), "product": product}


@pytest.mark.parametrize("listing", LISTED, ids=symbol_of)
def test_one_lot_passes_the_default_limits(served: World, trader: Client, listing: Listing) -> None:
    answer = trader.place(**order(listing))
    assert answer.status_code in (201, 202), answer.json
    served.run(2)
    assert served.held() == {listing.symbol: listing.instrument.lot}


def test_one_lot_of_every_contract_that_expires_passes_the_default_limits(served: World) -> None:
    desk, at = served.desk, served.clock()
    contracts = [each for each in served.broker.instruments() if each.expiry is not None]
    denied: dict[str, Denial] = {}
    with desk.database.read() as connection:
        for each in contracts:
            terms = OrderTerms(
                desk.account, each.symbol, Side.BUY, each.lot, OrderType.MARKET, product=Product.CARRY
            )
            _, denial = gate.judge(terms, risk_snapshot.read_snapshot(connection, desk, terms, at))
            denied |= {} if denial is None else {each.symbol: denial}
    assert denied == {}
    assert {each.kind for each in contracts} == {InstrumentKind.FUTURE, InstrumentKind.OPTION}


def test_one_lot_of_each_future_passes_beside_the_others(served: World, trader: Client) -> None:
    for listing in DERIVATIVES:
        assert trader.place(**order(listing)).status_code in (201, 202)
    served.run(2)
    assert served.held() == {listing.symbol: listing.instrument.lot for listing in DERIVATIVES}


@pytest.mark.parametrize("listing", DERIVATIVES, ids=symbol_of)
@pytest.mark.parametrize("lots", [15, 50])
def test_order_of_far_too_many_lots_is_denied(
    served: World, trader: Client, listing: Listing, lots: int
) -> None:
    """Above the freeze quantity, the exchange's own limit denies the order first."""
    answer = trader.place(**order(listing, lots))
    freezes = listing.instrument.lot * lots > listing.instrument.freeze_quantity
    expected = DenialCode.ABOVE_FREEZE_QUANTITY if freezes else DenialCode.ORDER_LOTS
    assert (answer.status_code, answer.json["code"]) == (422, expected)


def test_value_limit_set_by_a_release_before_denies_no_future(
    served: World, trader: Client, admin: Client
) -> None:
    """A stored change names only limits that the release before knew."""
    listing = DERIVATIVES[0]
    assert admin.put("/risk/limits", json={"limits": {"max_order_value": "1000"}}).status_code == 200
    assert trader.place(**order(listing)).status_code in (201, 202)
    assert trader.place(symbol="ALPHA-EQ", quantity="10").json["code"] == DenialCode.ORDER_VALUE
