from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text

from algosat.domain.conversion import Excess
from algosat.domain.orders import Product
from algosat.store.verify.verify import verify
from algosat.trading import conversions
from algosat.trading.conversions import ConversionRequest
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SHARE, hold


@pytest.fixture
def converted(desk: Desk) -> Desk:
    hold(desk, "10", product=Product.INTRADAY)
    wanted = ConversionRequest(SHARE, Product.DELIVERY, quantity=Decimal(4))
    record = conversions.request_conversion(desk, wanted, CAUSE).record
    none = Excess(Decimal(0), Decimal(0))
    desk.writer.run(lambda connection: conversions.record_sending(connection, desk, record, none))
    desk.writer.run(lambda connection: conversions.record_converted(connection, desk, record.id, CAUSE))
    conversions.request_conversion(desk, wanted, CAUSE)
    return desk


def findings(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return verify(connection).findings


def test_conversions_that_were_made_as_requested_are_clean(converted: Desk) -> None:
    assert findings(converted) == []


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        ("UPDATE conversions SET state = 'rejected' WHERE state = 'converted'", "its entries differ"),
        ("UPDATE conversions SET quantity = quantity + 1", "its entries differ"),
        ("UPDATE conversions SET source_order_id = target_order_id", "its entries differ"),
        ("UPDATE conversions SET state = 'cancelled' WHERE state = 'created'", "finished at None"),
    ],
)
def test_tampering_with_conversions_is_found(converted: Desk, tampering: str, finding: str) -> None:
    with converted.database.engine.begin() as connection:
        connection.execute(text(tampering))
    assert any(finding in sentence for sentence in findings(converted)), findings(converted)
