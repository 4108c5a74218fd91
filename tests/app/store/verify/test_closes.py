from __future__ import annotations

import pytest
from sqlalchemy import text

from algosat.store.verify.verify import verify
from algosat.trading import close
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SECOND, buy, hold


@pytest.fixture
def closing(desk: Desk) -> Desk:
    """Close one position and have nothing to close in another account's name."""
    close.close_all(desk, CAUSE, strategy="none")
    hold(desk, "10")
    close.close_position(desk, "ALPHA-EQ", CAUSE)
    buy(desk, symbol=SECOND)
    return desk


def findings(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return verify(connection).findings


def test_closes_of_the_verb_are_clean(closing: Desk) -> None:
    assert findings(closing) == []


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        ("UPDATE closes SET finished_at = 1 WHERE finished_at IS NULL", "with 1 lines under way"),
        ("UPDATE closes SET finished_at = NULL", "with 0 lines under way"),
        ("UPDATE close_lines SET state = 'flat'", "flat, but finished at None"),
        ("UPDATE close_lines SET order_ids = '[]'", "watches orders that are not its exits"),
        ("UPDATE close_lines SET order_ids = '[\"a1\"]', watched_ids = '[]'", "exit a1 has no row"),
        (
            """UPDATE close_lines SET watched_ids = '[]',
            order_ids = (SELECT '["' || id || '"]' FROM orders WHERE symbol = 'BRAVO-EQ')""",
            "is no exit of it",
        ),
        ("DELETE FROM closes", "has lines but no row"),
    ],
)
def test_tampering_with_closes_is_found(closing: Desk, tampering: str, finding: str) -> None:
    with closing.database.engine.begin() as connection:
        connection.execute(text(tampering))
    assert any(finding in sentence for sentence in findings(closing)), findings(closing)
