"""Baskets that are placed whole or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest

from algosat.config.settings import Settings
from algosat.domain.orders import OrderTerms, Product, Side, Status
from algosat.domain.risk import DenialCode
from algosat.store import audit, queries
from algosat.store.verify.verify import verify
from algosat.trading import place
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import CAUSE, FUTURE, SECOND, hold, open_desk, terms_of
from tests.app.fakes import FakeClock

DENIED_LEG = terms_of(symbol=SECOND, side=Side.SELL)  # nothing is held
KEY = IdempotencyKey("user:trader", "key-1", "body-1")


def placed(
    desk: Desk, *legs: OrderTerms, key: IdempotencyKey | None = None
) -> list[tuple[Status, str | None]]:
    basket = place.place_basket(desk, legs, CAUSE, key=key, all_or_none=True)
    return [(order.status, order.code) for order in basket.orders]


def test_basket_of_which_every_leg_passes_is_placed(desk: Desk) -> None:
    assert placed(desk, terms_of(), terms_of(symbol=SECOND)) == [(Status.CREATED, None)] * 2


@pytest.mark.parametrize("position", [0, 1, 2])
def test_denied_leg_denies_all_others_whatever_its_place(desk: Desk, position: int) -> None:
    legs = [terms_of("1"), terms_of("2")]
    legs.insert(position, DENIED_LEG)
    codes = [code for _, code in placed(desk, *legs)]
    assert codes.pop(position) == DenialCode.NO_HOLDINGS
    assert codes == [DenialCode.BASKET_DENIED] * 2
    with desk.database.read() as connection:
        assert queries.working(connection, desk.account) == []
        assert verify(connection).clean


def test_reason_names_the_leg_that_was_denied(desk: Desk) -> None:
    first, second = place.place_basket(desk, [terms_of(), DENIED_LEG], CAUSE, all_or_none=True).orders
    assert first.reason == f"leg 2 of the basket was denied: {second.reason}"


def test_legs_are_judged_with_those_before_them(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_position_value=Decimal(1500)) as desk:
        assert placed(desk, terms_of(), terms_of("9"))[1] == (Status.DENIED, DenialCode.POSITION_VALUE)
        assert placed(desk, terms_of(), terms_of("5")) == [(Status.CREATED, None)] * 2


def test_denied_basket_counts_as_no_order_of_the_day(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_orders_per_day=2) as desk:
        placed(desk, terms_of(), DENIED_LEG)
        assert placed(desk, terms_of("1"), terms_of("2")) == [(Status.CREATED, None)] * 2
        with desk.database.read() as connection:
            assert verify(connection).clean


def test_every_leg_is_audited_once(desk: Desk) -> None:
    basket = place.place_basket(desk, [terms_of(), DENIED_LEG], CAUSE, all_or_none=True)
    with desk.database.read() as connection:
        kinds = [[event.kind for event in audit.events_of(connection, each.id)] for each in basket.orders]
        created = [each for each in audit.all_events(connection) if each.kind == "order.created"]
    assert kinds == [["order.created", "order.denied"]] * 2
    assert len(created) == 2


def test_repeated_key_returns_the_denied_basket(desk: Desk) -> None:
    first = placed(desk, terms_of(), DENIED_LEG, key=KEY)
    hold(desk, symbol=SECOND)  # by now the leg would pass
    assert placed(desk, terms_of(), DENIED_LEG, key=KEY) == first


def test_exits_of_a_denied_basket_are_not_placed(desk: Desk) -> None:
    hold(desk)
    exit_leg = terms_of(side=Side.SELL, reduce_only=True)
    too_large = terms_of("100000", symbol=FUTURE, product=Product.CARRY)
    assert placed(desk, exit_leg, too_large)[0] == (Status.DENIED, DenialCode.BASKET_DENIED)
