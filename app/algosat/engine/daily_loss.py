"""The day's loss, measured from what a book was worth when the day began; too much of it is a halt.

What has no price keeps nobody from being judged: it counts by what is known of it (`book.Stranded`),
everything else at its price, and what was lost for good in any case. That this is so is said aloud, and
the gate lets nothing be opened meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from algosat.domain.scope import Scope
from algosat.engine.alerts import alert
from algosat.monitoring import correlation
from algosat.store.audit import Cause
from algosat.trading import account_book, daily_pnl, halts, limits
from algosat.trading.account_book import AccountBook, UnpricedPosition
from algosat.trading.desk import Desk

_ACTOR: Final = "clock"
_At = tuple[str, str]  # strategy and symbol
_ZERO: Final = Decimal(0)


class DailyLossWatch:
    def __init__(self) -> None:
        self._at_cost: frozenset[_At] = frozenset()
        self.unpriced: tuple[str, ...] = ()  # symbols that are held and have no price of now

    def watch(self, desk: Desk) -> None:
        """Open the day of every book that has limits, and halt those that lost what they may."""
        day = desk.calendar.trading_day(desk.clock())
        with desk.database.read() as connection:
            seen = account_book.read_book(connection, desk.account)
            scopes = limits.scopes(connection)
            worth = {
                scope: account_book.equity(connection, desk.account, seen, scope.strategy) for scope in scopes
            }
            unopened = [
                scope for scope in scopes if not daily_pnl.has_baseline(connection, desk.account, scope, day)
            ]
        self._warn(desk, seen.stranded)
        if unopened:
            desk.writer.run(
                lambda connection: [
                    daily_pnl.open_day(connection, desk.account, scope, day, worth[scope])
                    for scope in unopened
                ]
            )
        self._leave_out_gains(desk, seen, day, [scope for scope in scopes if scope not in unopened])
        with desk.database.read() as connection:
            breaches = [_breach(connection, desk, scope, worth[scope]) for scope in scopes]
        for halted, reason in filter(None, breaches):
            halts.halt_trading(desk, Cause(_ACTOR, correlation.new()), reason, scope=halted)

    def _warn(self, desk: Desk, stranded: Iterable[UnpricedPosition]) -> None:
        found = {each.symbol: each for each in stranded}
        for symbol in sorted(found.keys() - set(self.unpriced)):
            alert(desk, "risk.unpriced", symbol, Cause(_ACTOR, correlation.new()), _words(found[symbol]))
        self.unpriced = tuple(sorted(found))

    def _leave_out_gains(self, desk: Desk, seen: AccountBook, day: date, opened: list[Scope]) -> None:
        """What counted at its cost has a price now. A loss that shows is taken for one of today; a gain is
        not: it may be old, and would hide what is lost today."""
        at_cost = frozenset((each.strategy, each.symbol) for each in seen.stranded if each.last is None)
        found = self._at_cost - at_cost
        gains = [
            (each.strategy, each.unrealised)
            for each in seen.valued
            if (each.strategy, each.symbol) in found and each.unrealised > 0
        ]

        def unit(connection: Connection) -> None:
            for scope in opened:
                gain = sum((won for of, won in gains if scope.covers(of)), _ZERO)
                daily_pnl.raise_baseline(connection, desk.account, scope, day, gain)

        if gains and opened:
            desk.writer.run(unit)
        self._at_cost = at_cost


def _words(stranded: UnpricedPosition) -> str:
    if stranded.last is None:
        return "it is held and has no price: it counts as what it cost, and nothing can be opened meanwhile"
    return (
        f"it is held and listed no more: it counts at its last known price {stranded.last}, and nothing can "
        "be opened meanwhile"
    )


def _breach(connection: Connection, desk: Desk, scope: Scope, equity: Decimal) -> tuple[Scope, str] | None:
    """Return the scope to halt and the reason, unless it is halted already."""
    if any(halt.covers(scope.strategy) for halt in halts.in_force(connection)):
        return None
    in_force = limits.in_force(connection, desk.defaults, (scope,))[scope]
    day = desk.calendar.trading_day(desk.clock())
    pnl = daily_pnl.daily_pnl(connection, desk.account, scope, day, equity)
    if -pnl < in_force.max_daily_loss:
        return None
    return scope, f"lost {-pnl:.2f} today; the limit is {in_force.max_daily_loss}"
