from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import insert, select

from algosat.config.settings import RiskSettings
from algosat.domain.orders import Status
from algosat.domain.risk import DenialCode
from algosat.domain.risk.limits import Limits
from algosat.domain.scope import ACCOUNT, Scope
from algosat.errors import InvalidBody
from algosat.store import audit
from algosat.store.tables import limits as rows
from algosat.trading import limits
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, buy


def effective(desk: Desk, scope: Scope = ACCOUNT) -> Limits | None:
    with desk.database.read() as connection:
        return limits.effective(connection, desk, scope)


def test_unchanged_limits_are_those_of_the_settings(desk: Desk) -> None:
    assert effective(desk) == desk.defaults
    assert effective(desk, Scope("trend")) is None


def test_limits_have_the_fields_of_the_settings(desk: Desk) -> None:
    assert set(RiskSettings.model_fields) == set(Limits.__slots__)


def test_change_applies_to_the_next_order_and_is_audited(desk: Desk) -> None:
    changed = limits.change(desk, ACCOUNT, {"max_order_value": "500"}, CAUSE)
    assert changed.max_order_value == Decimal(500)
    assert buy(desk).code == DenialCode.ORDER_VALUE
    with desk.database.read() as connection:
        last = list(audit.all_events(connection))
    change = {"max_order_value": {"from": None, "to": "500"}}
    assert ("risk.limits_changed", change) in [(each.kind, each.data) for each in last]


def test_null_restores_the_value_of_the_settings(desk: Desk) -> None:
    limits.change(desk, ACCOUNT, {"max_order_value": "500", "max_open_orders": 3}, CAUSE)
    limits.change(desk, ACCOUNT, {"max_order_value": None}, CAUSE)
    now = effective(desk)
    assert now is not None
    assert (now.max_order_value, now.max_open_orders) == (desk.defaults.max_order_value, 3)


def test_limits_of_a_strategy_apply_to_it_only(desk: Desk) -> None:
    limits.change(desk, Scope("trend"), {"max_open_orders": 1}, CAUSE)
    assert buy(desk, strategy="trend").status is Status.CREATED
    assert buy(desk, strategy="trend").code == DenialCode.OPEN_ORDERS
    assert buy(desk).status is Status.CREATED


def test_stored_limit_of_another_release_is_left_out_and_kept(desk: Desk) -> None:
    row = {"scope": "account", "values": {"of_another_release": 1, "max_open_orders": 3}}
    desk.writer.run(
        lambda connection: connection.execute(
            insert(rows), {**row, "changed_at": desk.clock(), "changed_by": "admin"}
        )
    )
    assert buy(desk).status is Status.CREATED
    limits.change(desk, ACCOUNT, {"max_order_lots": 5}, CAUSE)
    now = effective(desk)
    assert now is not None
    assert (now.max_open_orders, now.max_order_lots) == (3, 5)
    with desk.database.read() as connection:
        stored = connection.execute(select(rows.c["values"])).scalar_one()
    assert stored == {"of_another_release": 1, "max_open_orders": 3, "max_order_lots": 5}


@pytest.mark.parametrize(
    "values", [{"max_order_value": "-1"}, {"max_order_value": "lots"}, {"no_such_limit": 1}]
)
def test_invalid_limit_changes_nothing(desk: Desk, values: dict[str, object]) -> None:
    with pytest.raises(InvalidBody) as refused:
        limits.change(desk, ACCOUNT, values, CAUSE)
    assert refused.value.errors[0]["field"] in values
    assert effective(desk) == desk.defaults
