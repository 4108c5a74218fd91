"""The trading desk: what the use cases work with, built once per process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import structlog

from algosat.clock import Clock, now
from algosat.config.settings import Settings
from algosat.domain import fee_table
from algosat.domain.calendar import EXCHANGE_TIME, Calendar, calendar_for
from algosat.domain.decimals import ZERO
from algosat.domain.fees import charges_of_fill
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Order, Trade
from algosat.domain.risk.limits import Limits
from algosat.errors import CalendarUnknown, FeesUnknown
from algosat.store import queries
from algosat.store.database import Database
from algosat.store.ledger import Bookkeeping
from algosat.store.wakeup import channels
from algosat.store.wakeup.channels import Notifier
from algosat.store.writer import Writer

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """One account's trading desk."""

    account: str
    database: Database
    writer: Writer
    notifier: Notifier
    calendar: Calendar
    books: Bookkeeping
    defaults: Limits  # limits of the settings; the store holds what has been changed since
    square_off_before_close: timedelta
    clock: Clock = now

    def wake_engine(self) -> None:
        self.notifier.notify(channels.ENGINE)

    def notify_web(self, order_id: str) -> None:
        """Wake the requests that wait for this order, and the strategies."""
        self.notifier.notify_web(order_id)


def build(
    settings: Settings, database: Database, writer: Writer, notifier: Notifier, clock: Clock = now
) -> Desk:
    algosat = settings.algosat
    calendar = calendar_for(always_open=algosat.is_always_open)
    return Desk(
        account=algosat.broker,
        database=database,
        writer=writer,
        notifier=notifier,
        calendar=calendar,
        books=Bookkeeping(_booking_day(calendar), Fees(database)),
        defaults=Limits(**algosat.risk.model_dump()),
        square_off_before_close=timedelta(minutes=algosat.engine.square_off_minutes),
        clock=clock,
    )


def _booking_day(calendar: Calendar) -> Callable[[datetime], date]:
    """Return the function that gives the day under which a moment is booked.

    Beyond the end of the calendar a fill must still be booked; then it is the exchange's date.
    """

    def day(at: datetime) -> date:
        try:
            return calendar.trading_day(at)
        except CalendarUnknown:
            return at.astimezone(EXCHANGE_TIME).date()

    return day


class Fees:
    """The fees of a fill, by the packaged table of charges."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._table = fee_table.packaged()
        self._kinds: dict[str, InstrumentKind] = {}

    def __call__(self, order: Order, trade: Trade) -> Decimal:
        """Return the fees of a trade that the order already includes."""
        before = replace(order, filled_value=order.filled_value - trade.quantity * trade.price)
        try:
            kind = self._kind(order.terms.symbol)
            day = trade.at.astimezone(EXCHANGE_TIME).date()
            return charges_of_fill(self._table, kind, before, trade, day).total
        except FeesUnknown as error:
            # The fill has happened: a book without the fill would be worse than one without its fees.
            _log.error("fees_unknown", order=order.id, trade=trade.id, detail=error.detail)
            return ZERO

    def _kind(self, symbol: str) -> InstrumentKind:
        if symbol not in self._kinds:
            with self._database.read() as connection:
                instrument = queries.instrument(connection, symbol)
            if instrument is None:
                raise FeesUnknown(f"no instrument {symbol!r} is known")
            self._kinds[symbol] = instrument.kind
        return self._kinds[symbol]
