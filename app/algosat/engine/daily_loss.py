"""The daily loss limit and P&L exits: the P&L of the day against the amounts of account and strategies.

A scope that has lost its limit is halted. A position without a price does not suspend the check:
it counts at its last known price, or at cost if it never had one. An alert names its symbol, in
which the gate denies entries meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Final

from sqlalchemy import Connection

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import date_at
from algosat.domain.decimals import ZERO
from algosat.domain.scope import ACCOUNT, Scope
from algosat.monitoring import correlation
from algosat.store import pnl_exits, queries
from algosat.store.audit import Cause
from algosat.trading import account_book, alerts, daily_pnl, halts, limits, totals
from algosat.trading.account_book import AccountBook, UnpricedPosition
from algosat.trading.desk import Desk
from algosat.trading.pnl_exits import carry_out

_ACTOR: Final = "clock"
_Position = tuple[str, str]  # strategy and symbol


class DailyLossWatch:
    def __init__(self) -> None:
        self._at_cost: frozenset[_Position] = frozenset()  # positions that never had a price
        self.unpriced: tuple[str, ...] = ()  # symbols of open positions without a current price
        self._day: date | None = None  # the trading day of the last check

    def check(self, desk: Desk) -> None:
        """Store the day's baselines, halt the scopes that lost their limit, and carry out P&L exits."""
        day = desk.books.trading_day(desk.clock())
        with desk.database.read() as connection:
            book = account_book.read_book(connection, desk.account, desk.venue)
            scopes, exits = limits.scopes(connection), pnl_exits.all_of(connection, desk.account)
            watched = [*scopes, *(scope for each in exits if (scope := Scope(each.strategy)) not in scopes)]
            unopened = [
                scope for scope in watched if not daily_pnl.has_baseline(connection, desk.account, scope, day)
            ]
            alerted = alerts.open_subjects(connection, desk, AlertKind.RISK_UNPRICED)
            old_prices = daily_pnl.old_prices(connection, desk, day, book) if day != self._day else {}
            unpriced = [each for each in book.unpriced_positions if not _has_expired(connection, desk, each)]
        self._alert_unpriced(desk, unpriced, alerted)
        _alert_old_prices(desk, old_prices)
        self._day = day
        if unopened:
            desk.writer.run(lambda connection: _open_day(connection, desk, unopened, day))
        self._exclude_gains(desk, book, day, [scope for scope in watched if scope not in unopened])
        with desk.database.read() as connection:
            book = account_book.read_book(connection, desk.account, desk.venue)
            breaches = [_breach(connection, desk, scope, day, book) for scope in scopes]
            breaches.append(_breach_together(connection, desk, day, book))
        for scope, reason in filter(None, breaches):
            _halt(desk, desk.halt_scope if scope == ACCOUNT else scope, reason)
        if exits:
            carry_out(desk, exits, day, book)

    def _alert_unpriced(
        self, desk: Desk, positions: Iterable[UnpricedPosition], alerted: AbstractSet[str]
    ) -> None:
        """Open an alert for each symbol without a price, and close those of symbols that have one again."""
        by_symbol = {each.symbol: each for each in positions}
        self.unpriced = tuple(sorted(by_symbol))
        cause = Cause(_ACTOR, correlation.new())

        def unit(connection: Connection) -> None:
            for symbol in sorted(by_symbol.keys() - alerted):
                detail = _valuation(by_symbol[symbol])
                alerts.open_alert(connection, desk, AlertKind.RISK_UNPRICED, symbol, cause, detail)
            for symbol in sorted(alerted - by_symbol.keys()):
                alerts.close_alert(connection, desk, AlertKind.RISK_UNPRICED, symbol, cause)

        if by_symbol.keys() != alerted:
            desk.writer.run(unit)

    def _exclude_gains(self, desk: Desk, book: AccountBook, day: date, scopes: list[Scope]) -> None:
        """Raise the baselines by the gains of positions that counted at cost and now have a price.

        A loss that the first price shows counts as today's. A gain may be older, and would hide
        today's losses.
        """
        at_cost = frozenset(
            (each.strategy, each.symbol) for each in book.unpriced_positions if each.last is None
        )
        newly_priced = self._at_cost - at_cost
        gains = [
            (each.strategy, each.unrealised)
            for each in book.valued
            if (each.strategy, each.symbol) in newly_priced and each.unrealised > 0
        ]

        def unit(connection: Connection) -> None:
            for scope in scopes:
                gain = sum((gain for strategy, gain in gains if scope.covers(strategy)), ZERO)
                daily_pnl.raise_baseline(connection, desk.account, scope, day, gain)

        if gains and scopes:
            desk.writer.run(unit)
        self._at_cost = at_cost


def _has_expired(connection: Connection, desk: Desk, position: UnpricedPosition) -> bool:
    """Return whether the position waits for the settlement of its contract, which has an alert of its own."""
    instrument = queries.instrument(connection, desk.venue, position.symbol)
    today = date_at(desk.calendar, desk.clock())
    return instrument is not None and instrument.expiry is not None and instrument.expiry < today


def _alert_old_prices(desk: Desk, prices: Mapping[str, date]) -> None:
    """Open an alert for each symbol whose previous close is not known."""
    cause = Cause(_ACTOR, correlation.new())

    def unit(connection: Connection) -> None:
        for symbol, day in prices.items():
            detail = (
                f"the day's loss is measured from the price of {day}, the last one received before today; "
                "a gain up to today's first price is not counted"
            )
            alerts.open_alert(connection, desk, AlertKind.RISK_START_PRICE_OLD, symbol, cause, detail)

    if prices:
        desk.writer.run(unit)


def _halt(desk: Desk, scope: Scope, reason: str) -> None:
    """Halt the scope. The halt of a P&L exit is replaced, and the exits that it sent are left alone."""
    with desk.database.read() as connection:
        is_halted = any(halt.scope == scope for halt in halts.all_in_force(connection))
    halts.halt_trading(
        desk,
        Cause(_ACTOR, correlation.new()),
        reason,
        scope=scope,
        cancel_orders=not is_halted,
        flatten=desk.flattens_on_daily_loss and not is_halted,
    )


def _valuation(position: UnpricedPosition) -> str:
    """Return how a position without a current price is valued, for the alert."""
    if position.last is None:
        return "the open position has no price: it is valued at cost, and the gate denies entries in it"
    return (
        "the open position's symbol is no longer listed: it counts at its last known price "
        f"{position.last}, and the gate denies entries in it meanwhile"
    )


def _open_day(connection: Connection, desk: Desk, scopes: Iterable[Scope], day: date) -> None:
    book = account_book.read_book(connection, desk.account, desk.venue)
    for scope in scopes:
        daily_pnl.open_day(connection, desk, scope, day, book)


def _breach_together(
    connection: Connection, desk: Desk, day: date, book: AccountBook
) -> tuple[Scope, str] | None:
    """Return the account to halt and the reason, if all accounts of its currency lost their limit."""
    if any(halt.covers(None) for halt in halts.known(connection, desk)):
        return None
    reason = totals.breach(connection, desk, daily_pnl.daily_pnl(connection, desk, ACCOUNT, day, book))
    return None if reason is None else (ACCOUNT, reason)


def _breach(
    connection: Connection, desk: Desk, scope: Scope, day: date, book: AccountBook
) -> tuple[Scope, str] | None:
    """Return the scope to halt and the reason, or None if it is within its limit or halted already.

    The halt of a P&L exit ends with the day, and that of a limit does not: the first does not replace the
    second.
    """
    found = [halt for halt in halts.known(connection, desk) if halt.covers(scope.strategy)]
    passing = pnl_exits.halts_begun(connection) if found else set()
    if any((halt.scope.strategy, halt.at) not in passing for halt in found):
        return None
    in_force = limits.in_force(connection, desk, (scope,))[scope]
    pnl = daily_pnl.daily_pnl(connection, desk, scope, day, book)
    if -pnl < in_force.max_daily_loss:
        return None
    return scope, f"lost {-pnl:.2f} today; the limit is {in_force.max_daily_loss}"
