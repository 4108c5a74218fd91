"""The trading desks: what the use cases work with, one for each account, built once per process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import structlog

from algosat.brokers.registry import BROKERS
from algosat.clock import Clock, now
from algosat.config.settings import AccountSettings, ChargesSettings, Settings
from algosat.domain import fee_table
from algosat.domain.calendar import EXCHANGE_TIME, Calendar, date_at
from algosat.domain.capabilities import Capabilities, Mode
from algosat.domain.decimals import ZERO
from algosat.domain.fees import ContractNote, charges_of_settlement, note_for
from algosat.domain.instruments import InstrumentKind
from algosat.domain.market_phases import Sessions
from algosat.domain.orders import Order, Product, Trade
from algosat.domain.reason_codes import EngineCode
from algosat.domain.risk.limits import Limits
from algosat.domain.scope import ACCOUNT, IN_LIMITS, ORIGINAL_ACCOUNT, Scope
from algosat.domain.trade_fees import ChargedFill, charged_fill
from algosat.errors import CalendarUnknown, FeesUnknown, NotFound
from algosat.resilience.error_log import ErrorLog
from algosat.store import queries
from algosat.store.database import Database
from algosat.store.emergency_journal import EmergencyJournal
from algosat.store.ledger import Bookkeeping
from algosat.store.wakeup import channels
from algosat.store.wakeup.channels import Notifier
from algosat.store.writer import Writer
from algosat.trading import live_calendar
from algosat.trading.engine_presence import RequireEngine, accept_without_engine
from algosat.trading.order_observer import OrderObserver

_ON_NO_NOTE: Final = (
    EngineCode.EXPIRY_SETTLED,
    EngineCode.BOOK_ADJUSTED,
    EngineCode.EXCESS_EXTERNAL,
    EngineCode.POSITION_CONVERTED,
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """One account's trading desk."""

    account: str
    venue: str  # whose instruments and prices the account trades
    currency: str
    database: Database
    writer: Writer
    notifier: Notifier
    calendar: Calendar
    sessions: Sessions  # those of release and inventory; the store has the admins' changes
    books: Bookkeeping
    errors: ErrorLog
    defaults: Limits  # limits of the settings; the store holds what has been changed since
    square_off_before_close: timedelta
    is_first: bool = True  # of the accounts
    is_only: bool = True
    others: Callable[[], Sequence[Desk]] = tuple  # of the same currency, all paper or all live
    engine_channel: str = channels.ENGINE  # wakes the engine's lane of the account
    flattens_on_daily_loss: bool = False
    journal: EmergencyJournal | None = None  # takes halts and cancels that the store refuses
    clock: Clock = now
    require_engine: RequireEngine = accept_without_engine
    capabilities: Capabilities | None = None  # of the broker; None: it takes every order

    @property
    def is_live(self) -> bool:
        """Whether orders move real money."""
        return self.capabilities is not None and self.capabilities.is_live

    @property
    def halt_scope(self) -> Scope:
        """The scope of a halt of this account. Releases before know only the one of every account."""
        return ACCOUNT if self.is_only else Scope(account=self.account)

    @property
    def limits_scope(self) -> str:
        """The name of the scope of this account's limits."""
        is_original = self.account == ORIGINAL_ACCOUNT
        return IN_LIMITS if is_original else Scope(account=self.account).name(IN_LIMITS)

    @property
    def mode(self) -> Mode:
        """Return whether the account's orders move real money."""
        return Mode.LIVE if self.is_live else Mode.PAPER

    def wake_engine(self) -> None:
        self.notifier.notify(self.engine_channel)

    def notify_web(self, order_id: str) -> None:
        """Wake the requests that wait for this order, and the strategies."""
        self.notifier.notify_web(order_id)


class Desks:
    """The desks of all accounts. The first one is the default."""

    def __init__(self, *desks: Desk) -> None:
        self._by_account: Mapping[str, Desk] = {desk.account: desk for desk in desks}
        self._modes = {desk.account: desk.mode for desk in desks}
        self.first = desks[0]
        self.are_one = len(desks) == 1

    def __iter__(self) -> Iterator[Desk]:
        return iter(self._by_account.values())

    def mode(self, account: str) -> Mode | None:
        """Return whether the account's orders move real money; None: it is no longer configured."""
        return self._modes.get(account)

    def of(self, account: str | None) -> Desk:
        """Return the desk of an account; None: of the first. Raises NotFound, naming the accounts."""
        if account is None:
            return self.first
        if account not in self._by_account:
            raise NotFound(f"no account {account!r} is known; there are {', '.join(self._by_account)}")
        return self._by_account[account]

    def in_scope(self, scope: Scope) -> tuple[Desk, ...]:
        """Return the desks of a halt's scope; those of a strategy are all. Raises NotFound."""
        return tuple(self) if scope.account is None else (self.of(scope.account),)


def build_all(
    settings: Settings,
    database: Database,
    writer: Writer,
    notifier: Notifier,
    clock: Clock = now,
    *,
    require_engine: RequireEngine = accept_without_engine,
) -> Desks:
    """Build the desk of each account of the settings.

    `require_engine` refuses orders that nobody could send.
    """
    accounts, errors = settings.algosat.accounts, ErrorLog(writer, clock)
    built = (build(settings, each, database, writer, notifier, errors, clock) for each in accounts)
    return linked(*(replace(each, require_engine=require_engine) for each in built))


def linked(*desks: Desk) -> Desks:
    """Return desks that know each other, for the limits of all accounts of a currency."""
    all_desks: list[Desk] = []

    def others(account: str, currency: str, *, is_live: bool) -> Sequence[Desk]:
        return [
            each
            for each in all_desks
            if each.account != account and (each.currency, each.is_live) == (currency, is_live)
        ]

    all_desks += [
        replace(each, others=partial(others, each.account, each.currency, is_live=each.is_live))
        for each in desks
    ]
    return Desks(*all_desks)


def build(
    settings: Settings,
    account: AccountSettings,
    database: Database,
    writer: Writer,
    notifier: Notifier,
    errors: ErrorLog,
    clock: Clock = now,
) -> Desk:
    """Build the desk of one account."""
    algosat = settings.algosat
    is_first = account is algosat.accounts[0]
    capabilities, limits = BROKERS[account.broker].capabilities, account.limits_over(algosat.risk)
    charging = Charging(database, account.venue, account.charges, account.currency)
    calendar = live_calendar.calendar_of(algosat, account, database)
    mode = Mode.LIVE if capabilities.is_live else Mode.PAPER
    return Desk(
        account=account.name,
        venue=account.venue,
        is_first=is_first,
        is_only=len(algosat.accounts) == 1,
        engine_channel=channels.engine(account.name, is_first=is_first),
        currency=account.currency,
        capabilities=capabilities,
        database=database,
        writer=writer,
        notifier=notifier,
        calendar=calendar,
        books=Bookkeeping(
            _booking_day(calendar),
            charging.note,
            charging.fees_without_note,
            charging.charged_fill,
            OrderObserver(account.name, mode, errors).observe,
        ),
        errors=errors,
        sessions=live_calendar.sessions_of(algosat),
        defaults=limits.first() if capabilities.is_live else limits,
        square_off_before_close=timedelta(minutes=algosat.engine.square_off_minutes),
        flattens_on_daily_loss=algosat.engine.flatten_on_daily_loss,
        journal=EmergencyJournal(algosat.data_directory, algosat.runtime_directory),
        clock=clock,
    )


def _booking_day(calendar: Calendar) -> Callable[[datetime], date]:
    """Return the function that gives the day under which a moment is booked.

    After the end of the calendar a fill must still be booked: the day is then the venue's date.
    """

    def day(at: datetime) -> date:
        try:
            return calendar.trading_day(at)
        except CalendarUnknown:
            return date_at(calendar, at)

    return day


class Charging:
    """The contract notes of an account, and the fees of trades on no note, by the packaged table."""

    def __init__(self, database: Database, venue: str, settings: ChargesSettings, currency: str) -> None:
        self._database, self._venue, self._settings = database, venue, settings
        self._currency = currency
        self._table = fee_table.packaged()
        self._kinds: dict[str, InstrumentKind] = {}
        self._notes: dict[tuple[InstrumentKind, Product, date], ContractNote] = {}

    def note(self, order: Order, trade: Trade) -> ContractNote | None:
        """Return the note that a trade belongs to; None if it is on none, or its fees are not known."""
        if order.code in _ON_NO_NOTE or self._settings.brokerage == "none":
            return None
        try:
            kind = self._kind(order.terms.symbol)
            return self._note(kind, order.terms.product, trade.at.astimezone(EXCHANGE_TIME).date())
        except FeesUnknown as error:
            # The fill has happened: a book without the fill would be worse than one without its fees.
            _log.error("fees_unknown", order=order.id, trade=trade.id, detail=error.detail)
            return None

    def fees_without_note(self, order: Order, trade: Trade) -> Decimal:
        """Return the fees of a trade that is on no note: of a settlement, and zero if they are not known."""
        if order.code != EngineCode.EXPIRY_SETTLED or self._settings.brokerage == "none":
            return ZERO
        day = trade.at.astimezone(EXCHANGE_TIME).date()
        try:
            kind, broker = self._kind(order.terms.symbol), self._settings.brokerage
            return charges_of_settlement(self._table, kind, order, trade, day, broker=broker).total
        except FeesUnknown as error:
            _log.error("fees_unknown", order=order.id, trade=trade.id, detail=error.detail)
            return ZERO

    def charged_fill(self, order: Order, trade: Trade) -> ChargedFill:
        """Return what a trade changes that states its fee."""
        with self._database.read() as connection:
            instrument = queries.instrument(connection, self._venue, order.terms.symbol)
        return charged_fill(trade, order.terms.side, instrument, self._currency)

    def _note(self, kind: InstrumentKind, product: Product, day: date) -> ContractNote:
        key = (kind, product, day)
        if key not in self._notes:
            broker, exchange = self._settings.brokerage, self._settings.exchange
            self._notes[key] = note_for(self._table, kind, product, day, broker=broker, exchange=exchange)
        return self._notes[key]

    def _kind(self, symbol: str) -> InstrumentKind:
        if symbol not in self._kinds:
            with self._database.read() as connection:
                instrument = queries.instrument(connection, self._venue, symbol)
            if instrument is None:
                raise FeesUnknown(f"no instrument {symbol!r} is known")
            self._kinds[symbol] = instrument.kind
        return self._kinds[symbol]
