from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.brokers.paper.capabilities import CAPABILITIES
from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, ModifyRequest, Order, OrderType, PendingRequest, Status
from algosat.domain.risk import DenialCode
from algosat.errors import Conflict, Denied, IllegalTransition
from algosat.store import audit
from algosat.trading import cancel, modify
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, accepted, advance, buy, hold, open_desk, order_now, sell
from tests.app.fakes import FakeClock


def change(quantity: str = "10", limit: str | None = "101", trigger: str | None = None) -> ModifyRequest:
    prices = [None if price is None else Decimal(price) for price in (limit, trigger)]
    return ModifyRequest(Decimal(quantity), *prices)


def stop(desk: Desk) -> Order:
    return accepted(desk, buy(desk, limit=None, type=OrderType.STOP, trigger_price=Decimal(102)))


def test_change_is_pending_until_the_broker_confirms_it(desk: Desk) -> None:
    order = modify.modify_order(desk, accepted(desk, buy(desk)).id, change("20"), CAUSE)
    assert (order.pending, order.pending_change) == (
        PendingRequest.PENDING_MODIFY,
        change("20").of(order.terms),
    )
    assert order.terms.quantity == 10


def test_omitted_fields_keep_their_values_at_the_time_of_the_change(desk: Desk) -> None:
    order = accepted(desk, buy(desk))
    modify.modify_order(desk, order.id, change("20"), CAUSE)
    changed = advance(desk, order, EventKind.MODIFIED)
    again = modify.modify_order(desk, order.id, ModifyRequest(limit_price=Decimal(102)), CAUSE)
    assert changed.terms.quantity == 20
    assert again.pending_change == ModifyRequest(limit_price=Decimal(102)).of(changed.terms)


def test_change_to_zero_quantity_is_refused(desk: Desk) -> None:
    with pytest.raises(Conflict):
        modify.modify_order(desk, accepted(desk, buy(desk)).id, ModifyRequest(quantity=Decimal(0)), CAUSE)


def test_denied_change_leaves_the_order_and_is_audited(desk: Desk) -> None:
    order = accepted(desk, buy(desk))
    with pytest.raises(Denied) as denied:
        modify.modify_order(desk, order.id, change(limit="100.01"), CAUSE)
    assert denied.value.reported_code == "off_tick"
    assert order_now(desk, order) == order
    with desk.database.read() as connection:
        assert audit.events_of(connection, order.id)[-1].kind == "risk.change_denied"


def test_order_does_not_count_against_its_own_change(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_position_value=Decimal(2000), max_open_orders=1) as desk:
        order = accepted(desk, buy(desk, "15"))
        assert (
            modify.modify_order(desk, order.id, change("19"), CAUSE).pending is PendingRequest.PENDING_MODIFY
        )


def test_filled_quantity_counts_once(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_position_value=Decimal(2020)) as desk:
        order = advance(desk, accepted(desk, buy(desk, "15")), fill="10")
        with pytest.raises(Denied, match="exceeds 2020"):
            modify.modify_order(desk, order.id, change("21"), CAUSE)
        assert (
            modify.modify_order(desk, order.id, change("20"), CAUSE).pending is PendingRequest.PENDING_MODIFY
        )


def test_freeze_quantity_applies_to_the_filled_part_too(desk: Desk) -> None:
    order = advance(desk, accepted(desk, buy(desk, "900")), fill="800")
    with pytest.raises(Denied, match="freeze"):
        modify.modify_order(desk, order.id, change("1001"), CAUSE)


def test_protection_price_of_a_stop_moves_with_its_trigger(desk: Desk) -> None:
    order = modify.modify_order(desk, stop(desk).id, change(limit=None, trigger="104"), CAUSE)
    assert order.pending_change is not None
    assert order.pending_change.protection_price == Decimal("105.0")


def test_triggered_stop_is_judged_as_a_limit_order(desk: Desk) -> None:
    order = accepted(desk, buy(desk, limit="103", type=OrderType.STOP_LIMIT, trigger_price=Decimal(102)))
    with pytest.raises(Denied, match="trigger"):
        modify.modify_order(desk, order.id, change(limit="103", trigger="99"), CAUSE)
    triggered = advance(desk, order, EventKind.TRIGGERED)
    assert modify.modify_order(desk, triggered.id, change(limit="104", trigger="102"), CAUSE).pending


def test_change_below_the_filled_quantity_is_refused(desk: Desk) -> None:
    order = advance(desk, accepted(desk, buy(desk)), fill="4")
    with pytest.raises(Conflict, match="4"):
        modify.modify_order(desk, order.id, change("4"), CAUSE)


def test_unsent_order_cannot_be_changed(desk: Desk) -> None:
    with pytest.raises(IllegalTransition, match="created"):
        modify.modify_order(desk, buy(desk).id, change(), CAUSE)


def test_change_during_a_pending_cancel_is_refused(desk: Desk) -> None:
    order = accepted(desk, buy(desk))
    cancel.cancel_order(desk, order.id, CAUSE)
    with pytest.raises(Conflict, match="pending_cancel"):
        modify.modify_order(desk, order.id, change(), CAUSE)


def test_invalid_terms_are_denied(desk: Desk) -> None:
    order = accepted(desk, buy(desk))
    for wrong in (change(trigger="99"), change("10.5")):
        with pytest.raises(Denied):
            modify.modify_order(desk, order.id, wrong, CAUSE)


def test_larger_quantity_counts_from_its_request(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_position_value=Decimal(2000)) as desk:
        order = accepted(desk, buy(desk, "10"))
        modify.modify_order(desk, order.id, change("20", limit=None), CAUSE)
        assert buy(desk, "10").code == DenialCode.POSITION_VALUE
        advance(desk, order, EventKind.MODIFY_FAILED)
        assert buy(desk, "10").status is Status.CREATED


def test_higher_price_counts_from_its_request(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_position_value=Decimal(2010)) as desk:
        order = accepted(desk, buy(desk, "10"))
        modify.modify_order(desk, order.id, change(limit="101"), CAUSE)
        assert buy(desk, "10").code == DenialCode.POSITION_VALUE


def test_smaller_quantity_counts_once_confirmed(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_position_value=Decimal(2000)) as desk:
        order = accepted(desk, buy(desk, "20"))
        modify.modify_order(desk, order.id, change("10", limit=None), CAUSE)
        assert buy(desk, "10").code == DenialCode.POSITION_VALUE
        advance(desk, order, EventKind.MODIFIED)
        assert buy(desk, "10").status is Status.CREATED


@pytest.mark.parametrize("reduce_only", [True, False])
def test_holdings_in_a_pending_raise_of_a_sell_cannot_be_sold_again(desk: Desk, *, reduce_only: bool) -> None:
    hold(desk, "30")
    order = accepted(desk, sell(desk, "10", reduce_only=reduce_only))
    modify.modify_order(desk, order.id, change("30", limit=None), CAUSE)
    assert sell(desk, "10", reduce_only=reduce_only).status is Status.DENIED


def test_pending_change_counts_after_a_later_cancel_request(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_position_value=Decimal(2000)) as desk:
        order = accepted(desk, buy(desk, "10"))
        modify.modify_order(desk, order.id, change("20", limit=None), CAUSE)
        cancel.cancel_order(desk, order.id, CAUSE)
        assert buy(desk, "10").code == DenialCode.POSITION_VALUE


@pytest.mark.parametrize(
    "limit", [{"max_order_quantity": Decimal(100)}, {"max_order_value": Decimal(10_000)}]
)
def test_limits_on_one_order_apply_to_the_filled_part_too(
    settings: Settings, clock: FakeClock, limit: dict[str, Decimal]
) -> None:
    with open_desk(settings, clock, **limit) as desk:
        order = advance(desk, accepted(desk, buy(desk, "100")), fill="90")
        with pytest.raises(Denied, match="exceeds"):
            modify.modify_order(desk, order.id, change("101", limit=None), CAUSE)


def test_modification_beyond_the_brokers_limit_is_denied(desk: Desk) -> None:
    limited = replace(desk, capabilities=replace(CAPABILITIES, max_modifications=2))
    order = accepted(limited, buy(limited))
    for quantity in ("11", "12"):
        modify.modify_order(limited, order.id, change(quantity), CAUSE)
        advance(limited, order, EventKind.MODIFIED)
    with pytest.raises(Denied, match="at most 2 modifications") as denied:
        modify.modify_order(limited, order.id, change("13"), CAUSE)
    assert denied.value.reported_code == DenialCode.NOT_SUPPORTED
    assert order_now(limited, order).terms.quantity == 12


def test_broker_without_modifications_refuses_the_first(desk: Desk) -> None:
    limited = replace(desk, capabilities=replace(CAPABILITIES, max_modifications=0))
    with pytest.raises(Denied, match="at most 0"):
        modify.modify_order(limited, accepted(limited, buy(limited)).id, change("11"), CAUSE)
