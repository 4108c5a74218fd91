from __future__ import annotations

from algosat.trading import account_book
from algosat.trading.desk import Desk
from tests.app.desks import hold


def test_position_without_a_price_is_unpriced(desk: Desk) -> None:
    hold(desk)
    desk.writer.run(lambda connection: connection.exec_driver_sql("DELETE FROM venue_quotes"))
    with desk.database.read() as connection:
        assert account_book.read_book(connection, desk.account, desk.venue).unpriced == {"ALPHA-EQ"}
