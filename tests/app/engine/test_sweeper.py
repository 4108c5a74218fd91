from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, insert, select

from algosat.engine.schedule import Sweeper
from algosat.store.tables import replies
from algosat.trading.desk import Desk
from tests.app.fakes import FakeClock


def keep_keys(desk: Desk, number: int) -> None:
    at = desk.clock() - timedelta(days=91)
    rows = [
        {"principal": "p", "key": f"{n}", "body_hash": "", "order_ids": [], "created_at": at}
        for n in range(number)
    ]
    desk.writer.run(lambda connection: connection.execute(insert(replies), rows))


def kept(desk: Desk) -> int:
    with desk.database.read() as connection:
        return connection.execute(select(func.count()).select_from(replies)).scalar_one()


def test_old_rows_go_at_the_start_and_the_rest_of_many_a_second_later(desk: Desk, clock: FakeClock) -> None:
    keep_keys(desk, 250)
    sweeper = Sweeper(desk)
    sweeper.step()
    sweeper.step()
    assert kept(desk) == 50
    clock.forward(seconds=1)
    sweeper.step()
    assert kept(desk) == 0


def test_once_it_is_clean_it_is_looked_at_again_in_an_hour(desk: Desk, clock: FakeClock) -> None:
    sweeper = Sweeper(desk)
    sweeper.step()
    keep_keys(desk, 1)
    clock.forward(minutes=59)
    sweeper.step()
    assert kept(desk) == 1
    clock.forward(minutes=1)
    sweeper.step()
    assert kept(desk) == 0
