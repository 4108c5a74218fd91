"""Each phase of the day with each order type, validity, product and kind of instrument.

The expectation is written down here, from the exchange's circulars, and not read from the calendar or from
`domain/market_phases.py`. API, engine and paper exchange must agree with it, and so with each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import ROUND_CEILING, Decimal
from itertools import chain, product
from typing import Any, Final

import pytest

from algosat.domain.instruments import Instrument, InstrumentKind
from algosat.domain.market_phases import Phase, SpecialSession, Window
from algosat.domain.orders import Order, OrderTerms, OrderType, Product, Side, Status, Validity, create
from algosat.errors import BrokerRejected
from algosat.store import queries
from algosat.trading.place import new_id
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist
from tests.app.client import Client
from tests.app.desks import order_now

# Market, limit, stop (S) and stop-limit (T) orders for the day; in lower case immediate or cancel.
ALL = "MLSTmlst"
NO_INTRADAY = "!"  # after the square-off
AMO = "+"  # after-market orders
NOTHING = ""

# Monday 23 November 2026. Shares without and with derivatives, futures and options.
HOURS: Final = {
    "08:30": (AMO, AMO, AMO),
    "09:02": ("ML", "ML", AMO),  # pre-open session
    "09:07": ("L", "L", AMO),  # its second half
    "09:11": (NOTHING, NOTHING, AMO),  # its match
    "09:13": (NOTHING, NOTHING, AMO),  # the buffer before continuous trading
    "09:20": (ALL, ALL, ALL),
    "15:05": (ALL, ALL + NO_INTRADAY, ALL),
    "15:17": (ALL + NO_INTRADAY, AMO, ALL),  # reference price of the closing auction
    "15:22": (ALL + NO_INTRADAY, "ML" + NO_INTRADAY + AMO, ALL),  # closing auction
    "15:26": (ALL + NO_INTRADAY, "L" + NO_INTRADAY + AMO, ALL + NO_INTRADAY),  # its second half
    "15:32": (AMO, AMO, ALL + NO_INTRADAY),  # its match
    "15:37": (AMO, AMO, ALL + NO_INTRADAY),
    "15:45": (AMO, AMO, AMO),
    "15:55": ("M" + NO_INTRADAY + AMO, "M" + NO_INTRADAY + AMO, AMO),  # post-close session
    "16:05": (AMO, AMO, AMO),
}
# An evening session in two parts, as some special sessions have been, for all instruments.
SPECIAL_WINDOWS: Final = (
    (Phase.PRE_OPEN, time(17, 45), time(17, 53)),
    (Phase.PRE_OPEN_MATCH, time(17, 53), time(17, 55)),
    (Phase.CONTINUOUS, time(18), time(18, 40)),
    (Phase.CONTINUOUS, time(18, 50), time(19, 15)),
)
SPECIAL_HOURS: Final = {
    "17:30": AMO,
    "17:50": "ML",
    "17:54": NOTHING,
    "18:10": ALL,
    "18:45": AMO,  # the pause
    "18:55": ALL,
    "19:05": ALL + NO_INTRADAY,
    "19:20": AMO,
}
SYMBOLS: Final = ("ALPHA-EQ", "NOVA-EQ", "NOVA-FUT")
LETTERS: Final = {"M": OrderType.MARKET, "L": OrderType.LIMIT, "S": OrderType.STOP, "T": OrderType.STOP_LIMIT}
PRODUCTS: Final = {
    InstrumentKind.EQUITY: (Product.DELIVERY, Product.INTRADAY),
    InstrumentKind.FUTURE: (Product.CARRY, Product.INTRADAY),
    InstrumentKind.OPTION: (Product.CARRY, Product.INTRADAY),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One order to try, and the sessions it may be meant for."""

    instrument: Instrument
    letter: str
    product: Product
    session: str = "regular"

    @property
    def type(self) -> OrderType:
        return LETTERS[self.letter.upper()]

    @property
    def validity(self) -> Validity:
        return Validity.DAY if self.letter.isupper() else Validity.IOC

    def expected(self, hours: str) -> str | None:
        """Return the code of the denial; None if the order is accepted."""
        if self.product not in PRODUCTS[self.instrument.kind]:
            return "product_not_allowed"
        if self.session == "after_market":
            return None if AMO in hours else "market_open"
        if self.letter not in hours:
            return "market_closed"
        if self.product is Product.INTRADAY and NO_INTRADAY in hours:
            return "after_square_off"
        return None


def orders_of(instrument: Instrument) -> Iterator[Wanted]:
    """Yield the orders to try: each type under each product, and each validity in each session."""
    own = PRODUCTS[instrument.kind][0]
    for letter, each in product("MLST", Product):
        yield Wanted(instrument, letter, each)
    for letter in "mlst":
        yield Wanted(instrument, letter, own)
    for letter in ALL:
        yield Wanted(instrument, letter, own, "after_market")


def listed(world: World, symbol: str) -> Instrument:
    with world.desk.database.read() as connection:
        found = queries.instrument(connection, "paper", symbol)
    assert found is not None
    return found


def options(world: World) -> list[Instrument]:
    """Return an option on an index, and one on a share that has a closing auction."""
    with world.desk.database.read() as connection:
        listings = queries.all_instruments(connection, "paper")
    of_underlying = {each.underlying: each for each in listings if each.kind is InstrumentKind.OPTION}
    return [of_underlying[name] for name in ("BREADTH-FUT", "NOVA-EQ")]


def prices(world: World, wanted: Wanted) -> dict[str, Decimal]:
    """Return prices on the right side of the market and near it."""
    last, tick = world.quote(wanted.instrument.symbol).last, wanted.instrument.tick
    above = (last * Decimal("1.01") / tick).to_integral_value(ROUND_CEILING) * tick
    return {
        **({"trigger_price": above} if wanted.type.has_trigger else {}),
        **({"limit_price": above if wanted.type.has_trigger else last} if wanted.type.has_limit else {}),
    }


def ask_api(world: World, trader: Client, wanted: Sequence[Wanted]) -> dict[Wanted, Order]:
    """Place orders over HTTP: the first by itself, the others in baskets, which take less time."""
    bodies = [body_of(world, each) for each in wanted]
    first = trader.place(**bodies[0]).headers["Location"].removeprefix("/orders/")
    baskets = (bodies[begin : begin + 20] for begin in range(1, len(bodies), 20))
    ids = [first, *chain.from_iterable(_in_basket(trader, legs) for legs in baskets)]
    return {each: order_now(world.desk, order_id) for each, order_id in zip(wanted, ids, strict=True)}


def _in_basket(trader: Client, legs: Sequence[dict[str, str]]) -> list[str]:
    headers = {"Idempotency-Key": new_id()}
    answer = trader.post("/orders/basket", json={"orders": legs}, headers=headers)
    return [each["id"] for each in answer.json["items"]]


def body_of(world: World, wanted: Wanted) -> dict[str, Any]:
    return {
        "symbol": wanted.instrument.symbol,
        "side": "buy",
        "quantity": str(wanted.instrument.lot),
        "type": wanted.type.value,
        "product": wanted.product.value,
        "validity": wanted.validity.value,
        "session": wanted.session,
        **{name: str(price) for name, price in prices(world, wanted).items()},
    }


def ask_exchange(world: World, wanted: Wanted) -> str | None:
    """Send an order straight to the paper exchange. Returns the code of its refusal."""
    given = prices(world, wanted)
    terms = OrderTerms(
        world.desk.account,
        wanted.instrument.symbol,
        Side.BUY,
        wanted.instrument.lot,
        wanted.type,
        validity=wanted.validity,
        limit_price=given.get("limit_price"),
        trigger_price=given.get("trigger_price"),
    )
    try:
        world.broker.place(create(new_id(), terms, world.clock()))
    except BrokerRejected as error:
        return error.reported_code
    return None


@pytest.mark.parametrize("clock_time", HOURS)
def test_phase_accepts_keeps_or_denies_each_kind_of_order(
    served_at: WorldAt, trader: Client, clock_time: str
) -> None:
    world = served_at(ist(2026, 11, 23, *map(int, clock_time.split(":"))))
    check(world, trader, *HOURS[clock_time])


@pytest.mark.parametrize("clock_time", SPECIAL_HOURS)
def test_special_session_in_two_parts_accepts_orders_as_its_phases_do(
    served_at: WorldAt, trader: Client, clock_time: str
) -> None:
    sunday = SpecialSession("Muhurat trading", tuple(Window(*each) for each in SPECIAL_WINDOWS))
    at = ist(2026, 11, 22, *map(int, clock_time.split(":")))
    world = served_at(at, special={date(2026, 11, 22): sunday})
    check(world, trader, *[SPECIAL_HOURS[clock_time]] * 3)


def check(world: World, trader: Client, shares: str, with_derivatives: str, derivatives: str) -> None:
    """Place every kind of order, and compare API, engine and exchange with what they must accept."""
    share, with_auction, future = (listed(world, symbol) for symbol in SYMBOLS)
    hours = {share: shares, with_auction: with_derivatives, future: derivatives}
    hours |= dict.fromkeys(options(world), derivatives)
    wanted = list(chain.from_iterable(map(orders_of, hours)))

    placed = ask_api(world, trader, wanted)
    codes = {each: order.code for each, order in placed.items()}
    assert codes == {each: each.expected(hours[each.instrument]) for each in wanted}

    world.send()
    sent = {
        each: order_now(world.desk, order.id)
        for each, order in placed.items()
        if order.status is Status.CREATED
    }
    waiting = {each for each, order in sent.items() if order.status is Status.CREATED}
    assert waiting == {each for each in sent if each.session == "after_market"}
    assert {each: order.reason for each, order in sent.items() if order.status is Status.REJECTED} == {}

    directly = {(each.instrument.symbol, each.letter): each for each in wanted}
    assert {key: ask_exchange(world, each) for key, each in directly.items()} == {
        key: None if each.letter in hours[each.instrument] else "session_closed"
        for key, each in directly.items()
    }
