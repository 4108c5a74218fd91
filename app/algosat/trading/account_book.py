"""The account's book: positions, working orders and conversions, line by line, and their value."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    text,
    type_coerce,
)

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, InstrumentKind, OptionType, SettlementMethod
from algosat.domain.option_margin import OptionRisk
from algosat.domain.orders import PRICES, Product, Side, Status
from algosat.domain.risk import BookLine, ExposureLine, ExposureTally
from algosat.store import queries
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import (
    IS_UNFINISHED,
    WORKING_STATUS,
    balances,
    conversions,
    instruments,
    orders,
    positions,
    quotes,
)
from algosat.store.types import LowPart, Scaled

Key = tuple[str, str, str]  # strategy, symbol, product

_LINE = ("strategy", "symbol", "product")
_MARK = (instruments.c.kind, quotes.c.last)  # null if the instrument or its price is unknown


def _is_listed_as(market: FromClause, symbol: Any) -> ColumnElement[bool]:
    """Return the condition for the row of a symbol in a table of the account's venue."""
    return and_(market.c.venue == bindparam("venue"), market.c.symbol == symbol)


_OF_ACCOUNT = Prepared(
    select(
        type_coerce(balances.c.realised - balances.c.fees, Scaled).label("earned"),
        type_coerce(balances.c.realised_low - balances.c.fees_low, LowPart).label("earned_low"),
    ).where(balances.c.account == bindparam("account"))
)
_OF_STRATEGY = Prepared(
    select(
        type_coerce(func.sum(positions.c.realised) - func.sum(positions.c.fees), Scaled).label("earned"),
        type_coerce(func.sum(positions.c.realised_low) - func.sum(positions.c.fees_low), LowPart).label(
            "earned_low"
        ),
    ).where(positions.c.account == bindparam("account"), positions.c.strategy == bindparam("strategy"))
)
# The conversion under way of a position: there is at most one of an instrument.
_IS_CONVERTING = and_(
    *(conversions.c[name] == positions.c[name] for name in ("account", "strategy", "symbol")),
    conversions.c.source == positions.c.product,
    text(IS_UNFINISHED),
)
_HELD = Prepared(
    select(
        *(positions.c[name] for name in (*_LINE, "quantity", "cost", "cost_low")),
        conversions.c.target,
        conversions.c.quantity.label("converting"),
        *_MARK,
    )
    .outerjoin(conversions, _IS_CONVERTING)
    .outerjoin(instruments, _is_listed_as(instruments, positions.c.symbol))
    .outerjoin(quotes, _is_listed_as(quotes, positions.c.symbol))
    .where(positions.c.account == bindparam("account"), positions.c.quantity != ZERO)
)
_IS_WORKING = (
    orders.c.account == bindparam("account"),
    orders.c.id != bindparam("without"),
    text(WORKING_STATUS),
)
# Summed by the database, so that the next order costs little more when hundreds are working.
_SUMS = (
    select(
        *(orders.c[name] for name in _LINE),
        orders.c.side,
        func.count().label("number"),
        func.count(orders.c.pending_change).label("changing"),
        func.count(case((orders.c.status == literal_column(f"'{Status.UNKNOWN}'"), 1))).label("unknown"),
        type_coerce(func.sum(orders.c.quantity - orders.c.filled_quantity), Scaled).label("remaining"),
        *(func.max(orders.c[name]).label(name) for name in PRICES),
    )
    .where(*_IS_WORKING)
    .group_by(*(orders.c[name] for name in _LINE), orders.c.side)
    .subquery("working")
)
_WORKING = Prepared(
    select(_SUMS, *_MARK)
    .outerjoin(instruments, _is_listed_as(instruments, _SUMS.c.symbol))
    .outerjoin(quotes, _is_listed_as(quotes, _SUMS.c.symbol))
)
_UNDERLYING = quotes.alias("underlying_quotes")
# Read for options only: most books have none.
_OPTION = Prepared(
    select(
        *(instruments.c[name] for name in ("strike", "option_type", "settlement", "expiry")),
        quotes.c.at,
        _UNDERLYING.c.last.label("underlying_last"),
    )
    .join(quotes, _is_listed_as(quotes, instruments.c.symbol))
    .outerjoin(_UNDERLYING, _is_listed_as(_UNDERLYING, instruments.c.underlying))
    .where(_is_listed_as(instruments, bindparam("symbol")))
)
_CHANGING = Prepared(select(orders).where(*_IS_WORKING, orders.c.pending_change.is_not(None)))


@dataclass(frozen=True, slots=True)
class UnpricedPosition(BookLine):
    """A position whose instrument or price is missing. It cannot be increased meanwhile.

    Its profit or loss counts. It is valued by observed prices only, in the order of IFRS 13.57 to 60: at the
    last known price, even if the instrument is no longer listed; if there is none, at the price of its own
    trades, at which it has neither won nor lost.
    """

    strategy: str
    symbol: str
    product: Product
    quantity: Decimal
    cost: Decimal
    last: Decimal | None
    working_buys: Decimal = ZERO
    working_sells: Decimal = ZERO

    @property
    def unrealised(self) -> Decimal:
        return ZERO if self.last is None else self.quantity * self.last - self.cost


@dataclass(frozen=True, slots=True)
class AccountBook:
    lines: tuple[ExposureLine, ...]
    working_orders: dict[str, int]  # by strategy
    unpriced: frozenset[str]  # symbols without instrument or price; they have no lines
    unpriced_positions: tuple[UnpricedPosition, ...] = ()  # the positions in these symbols
    estimated: tuple[ExposureLine, ...] = ()  # positions and orders in these symbols, at an estimated price
    unknown: frozenset[tuple[str, str]] = frozenset()  # strategy and symbol of orders that are `unknown`

    @property
    def exposures(self) -> tuple[ExposureLine, ...]:
        """All lines, priced or estimated: what limits and funds are compared with."""
        return (*self.lines, *self.estimated) if self.estimated else self.lines

    def exposures_of(self, strategy: str) -> tuple[ExposureLine, ...]:
        return tuple(line for line in self.exposures if line.strategy == strategy)

    def unrealised(self, strategy: str | None = None) -> Decimal:
        """Return the unrealised profit of a strategy, or of all, at the last prices."""
        return sum((each.unrealised for each in self.valued if strategy in (None, each.strategy)), ZERO)

    @property
    def valued(self) -> tuple[ExposureLine | UnpricedPosition, ...]:
        """All positions, priced or not: what can be closed, and what profit and loss consist of."""
        return (*self.lines, *self.unpriced_positions) if self.unpriced_positions else self.lines


@dataclass(slots=True)
class _Tally(ExposureTally):
    """A tally with the instrument's kind and last price; None where the store has none."""

    kind: str | None = None
    last: Decimal | None = None


def read_book(connection: Connection, account: str, venue: str, *, without: str | None = None) -> AccountBook:
    """Return the account's book, leaving out the order `without`, which is about to be replaced."""
    tallies: dict[Key, _Tally] = {}
    working: dict[str, int] = {}
    held = _HELD.all(connection, account=account, venue=venue)
    for row in held:
        tallies[row.strategy, row.symbol, row.product] = _Tally(
            row.quantity, row.cost + row.cost_low, kind=row.kind, last=row.last
        )
    for row in held:
        if row.converting is not None:
            _add_conversion(tallies, row)
    changing, unknown = 0, set()
    for row in _WORKING.all(connection, account=account, venue=venue, without=without or ""):
        changing += row.changing
        if row.unknown:
            unknown.add((row.strategy, row.symbol))
        working[row.strategy] = working.get(row.strategy, 0) + row.number
        key = (row.strategy, row.symbol, row.product)
        tally = tallies.setdefault(key, _Tally(kind=row.kind, last=row.last))
        tally.add(row.side, row.remaining, (getattr(row, name) for name in PRICES))
    if changing:
        for order in map(order_from, _CHANGING.all(connection, account=account, without=without or "")):
            changed = tallies.get((order.terms.strategy or "", order.terms.symbol, order.terms.product))
            if changed is not None:
                changed.add_change(order)
    lines = {key: _line(connection, venue, key, tally) for key, tally in tallies.items()}
    priced = tuple(filter(None, lines.values()))
    if len(priced) == len(lines):
        return AccountBook(priced, working, frozenset(), unknown=frozenset(unknown))
    missing = [key for key, line in lines.items() if line is None]
    return AccountBook(
        priced,
        working,
        frozenset(symbol for _, symbol, _ in missing),
        tuple(_unpriced(key, tallies[key]) for key in missing if tallies[key].quantity),
        tuple(_estimated(connection, venue, key, tallies[key]) for key in missing),
        frozenset(unknown),
    )


def _add_conversion(tallies: dict[Key, _Tally], row: Any) -> None:
    """Count a conversion under way as two working orders: an exit of the source, an entry of the target."""
    leaving, entering = (Side.SELL, Side.BUY) if row.converting > 0 else (Side.BUY, Side.SELL)
    tallies[row.strategy, row.symbol, row.product].add(leaving, abs(row.converting), ())
    target = tallies.setdefault((row.strategy, row.symbol, row.target), _Tally(kind=row.kind, last=row.last))
    target.add(entering, abs(row.converting), ())


def equity(connection: Connection, account: str, of: AccountBook, strategy: str | None = None) -> Decimal:
    """Return the profit so far, fees included, with open positions at their last prices."""
    row = (
        _OF_ACCOUNT.first(connection, account=account)
        if strategy is None
        else _OF_STRATEGY.first(connection, account=account, strategy=strategy)
    )
    earned = ZERO if row is None or row.earned is None else row.earned + row.earned_low
    return of.unrealised(strategy) + cast(Decimal, earned)


def _line(connection: Connection, venue: str, key: Key, tally: _Tally) -> ExposureLine | None:
    """Return the line, or None if the instrument or its price is missing."""
    if tally.kind is None or tally.last is None:
        return None
    (strategy, symbol, product), kind = key, InstrumentKind(tally.kind)
    return tally.line(
        strategy, symbol, Product(product), kind, tally.last, option_risk(connection, venue, symbol, kind)
    )


def option_risk(connection: Connection, venue: str, symbol: str, kind: InstrumentKind) -> OptionRisk | None:
    """Return what the margin of a written option depends on; None for all other instruments.

    An underlying without a price counts at the strike.
    """
    row = _OPTION.first(connection, venue=venue, symbol=symbol) if kind is InstrumentKind.OPTION else None
    if row is None or row.strike is None or row.expiry is None:
        return None
    return OptionRisk(
        option_type=OptionType(row.option_type),
        strike=row.strike,
        underlying=row.strike if row.underlying_last is None else row.underlying_last,
        days=(row.expiry - row.at.astimezone(EXCHANGE_TIME).date()).days,
        is_index=row.settlement == SettlementMethod.CASH,
    )


def _estimated(connection: Connection, venue: str, key: Key, tally: _Tally) -> ExposureLine:
    """Return a line whose instrument or price is missing, for the limits and funds of other orders.

    Its price is the last known one, or the average of its own trades, and no less than its orders name. Only
    an external order without a price of its own, in a symbol that never had one, counts as nothing. An
    instrument that was never listed counts as a share.
    """
    strategy, symbol, product = key
    instrument = queries.instrument(connection, venue, symbol)
    last = tally.last
    if last is None:
        last = abs(tally.cost / tally.quantity) if tally.quantity else ZERO
    kind = InstrumentKind.EQUITY if instrument is None else instrument.kind
    return tally.line(strategy, symbol, Product(product), kind, last, _last_day_risk(instrument))


def _last_day_risk(instrument: Instrument | None) -> OptionRisk | None:
    """Return the risk of an option without a price, at the money on its last day; None for others."""
    if instrument is None or instrument.strike is None or instrument.option_type is None:
        return None
    is_index = instrument.settlement is SettlementMethod.CASH
    return OptionRisk(instrument.option_type, instrument.strike, instrument.strike, 0, is_index)


def _unpriced(key: Key, tally: _Tally) -> UnpricedPosition:
    strategy, symbol, product = key
    return UnpricedPosition(
        strategy,
        symbol,
        Product(product),
        tally.quantity,
        tally.cost,
        tally.last,
        tally.working_buys,
        tally.working_sells,
    )
