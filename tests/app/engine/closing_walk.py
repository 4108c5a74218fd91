"""A random walk into a state from which "close everything" must end flat.

The walk opens positions of several strategies and products, with stops, targets and fills in part, halts
trading, lets strategies reach their P&L exits, converts positions, lets the feed fall silent or the calendar
end, and takes broker or engine away. Then everything is closed, and market and broker come back; the feed,
the calendar's end and the halts stay as they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final

from algosat.config.settings import Settings
from algosat.domain import market_phases
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import EXCHANGE_TIME, ExchangeCalendar
from algosat.domain.linked_exits import ExitPrices
from algosat.domain.linked_requests import ExitRequest
from algosat.domain.orders import ModifyRequest, OrderTerms, OrderType, Product, Side, Status
from algosat.domain.orders.report import OrderReport
from algosat.domain.scope import ACCOUNT, Scope
from algosat.engine.quotes import QuoteBoard
from algosat.errors import (
    Conflict,
    ConversionRefused,
    Denied,
    IllegalTransition,
    InvalidBody,
    NotFound,
)
from algosat.store import ledger, queries
from algosat.store import linked_exits as stored_exits
from algosat.store import pnl_exits as stored_pnl_exits
from algosat.store.database import Database
from algosat.store.wakeup.unix_socket import SocketNotifier
from algosat.store.writer import Writer
from algosat.trading import (
    alerts,
    cancel,
    close,
    conversion_records,
    conversions,
    halts,
    linked_exits,
    modify,
    place,
    pnl_exits,
)
from algosat.trading import desk as desks
from algosat.trading.conversions import ConversionRequest
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, FUTURE, SECOND, SHARE, instruments, quote_of, replace_instruments
from tests.app.engine.market import Line, Market
from tests.app.engine.rig import build_rig, step_duties
from tests.app.fakes import FakeClock

LOTS: Final = {SHARE: 1, SECOND: 1, FUTURE: 50}
_STRATEGIES: Final = (None, "trend", "swing")
_DISTANCES: Final = (Decimal("0.30"), Decimal(2))  # of linked orders from the market
_ROUNDS: Final = 150  # to become flat, once market and broker allow it


class State(StrEnum):
    """A state in which everything is closed. A walk is in several at once."""

    SEVERAL_STRATEGIES = "several strategies"
    SEVERAL_PRODUCTS = "several products"
    STOP = "stop working"
    TARGET = "target working"
    LINKED = "linked orders"
    PARTIAL_FILL = "filled in part"
    CONVERSION = "conversion under way"
    PNL_EXIT = "P&L exit reached"
    HALT = "halt"
    CLOSED = "closed session"
    STALE = "stale feed"
    CALENDAR_ENDED = "calendar ended"
    BROKER_SLOW = "broker slow"
    TRADES_LAG = "trades lag"
    BROKER_AWAY = "broker away"
    ENGINE_AWAY = "engine away"


# Probabilities of the states that are chosen; the others follow from the positions.
_CHANCES: Final = {
    State.LINKED: 0.4,
    State.STOP: 0.6,
    State.TARGET: 0.5,
    State.PARTIAL_FILL: 0.5,
    State.CONVERSION: 0.45,
    State.PNL_EXIT: 0.3,
    State.HALT: 0.3,
    State.CLOSED: 0.25,
    State.STALE: 0.3,
    State.CALENDAR_ENDED: 0.25,
    State.BROKER_SLOW: 0.3,
    State.TRADES_LAG: 0.3,
    State.BROKER_AWAY: 0.3,
    State.ENGINE_AWAY: 0.25,
}


class ClosingWalk:
    """One walk. `states` names those that it is in when everything is closed."""

    def __init__(
        self, seed: int, desk: Desk, clock: FakeClock, settings: Settings, forced: AbstractSet[State]
    ) -> None:
        self.chance, self.desk, self.clock = random.Random(seed), desk, clock
        self.rules = settings.algosat.engine
        self.market = Market(clock, self.chance, LOTS)
        keeps_number = self.chance.random() < 0.5  # of a changed order
        self.market.capabilities = replace(
            self.market.capabilities, replace_keeps_number=keeps_number, has_positions=True
        )
        self.rig = build_rig(desk, self.market, self.rules)
        self.is_running, self.has_feed = True, True
        self.sides: dict[Line, Side] = {}
        self.conversions: dict[str, int] = {}  # how many the market had made before each, by id
        self.states: set[State] = set()
        self.wanted = {state for state, share in _CHANCES.items() if self.chance.random() < share} | forced
        if State.CALENDAR_ENDED in self.wanted:
            clock.at = datetime(2026, 12, 31, 10, 0, tzinfo=EXCHANGE_TIME)
        self.publish_prices()

    def go(self) -> None:
        """Walk, close everything, and become flat. Raises AssertionError."""
        self._open_positions()
        self._wander()
        self._enter_states()
        self._close_everything()
        for _ in range(self.chance.randint(2, 6)):
            self._tick(self.chance.choice([1, 3, 10]))
        self._settle()

    # --- positions and orders ------------------------------------------------------------------------

    def _open_positions(self) -> None:
        number = self.chance.randint(2, 5)
        for _ in range(number):
            self._enter()
            self._tick(1)
        while not any(self.market.held.values()):
            self._enter()
            self._tick(1, share=1)

    def _enter(self) -> None:
        strategy, symbol = self.chance.choice(_STRATEGIES), self.chance.choice(list(LOTS))
        products = [Product.INTRADAY, Product.CARRY if symbol == FUTURE else Product.DELIVERY]
        product = self.chance.choice(products)
        line = (strategy or "", symbol, product.value)
        side = self.sides.setdefault(line, self._side_of(product))
        quantity = LOTS[symbol] * self.chance.randint(2, 9)
        self._place(strategy, symbol, product, side, quantity, limit=self.chance.choice([None, 0, 0, -20]))

    def _side_of(self, product: Product) -> Side:
        return Side.BUY if product is Product.DELIVERY else self.chance.choice(list(Side))

    def _exit(self, line: Line, *, is_stop: bool) -> None:
        """Place a stop or a target for a part of a position, or all of it."""
        strategy, symbol, product = line
        held, side = self.market.held[line], self.sides[line].opposite
        if not held:
            return
        lots = int(abs(held) / LOTS[symbol])
        quantity = LOTS[symbol] * self.chance.choice([1, max(lots // 2, 1), lots])
        distance = 40 if is_stop else -40
        self._place(
            strategy or None,
            symbol,
            Product(product),
            side,
            quantity,
            limit=distance,
            is_stop=is_stop,
            is_exit=True,
        )

    def _place(
        self,
        strategy: str | None,
        symbol: str,
        product: Product,
        side: Side,
        quantity: int,
        *,
        limit: int | None,
        is_stop: bool = False,
        is_exit: bool = False,
    ) -> None:
        """Place an order at the market, or `limit` ticks from it; a positive distance is a worse price."""
        price = None if limit is None else self.market.prices[symbol] + side.sign * limit * Decimal("0.05")
        kind = OrderType.STOP if is_stop else OrderType.MARKET if price is None else OrderType.LIMIT
        terms = OrderTerms(
            self.desk.account,
            symbol,
            side,
            Decimal(quantity),
            kind,
            limit_price=None if is_stop else price,
            trigger_price=price if is_stop else None,
            product=product,
            reduce_only=is_exit,
            strategy=strategy,
        )
        place.place_order(self.desk, terms, CAUSE)

    def _wander(self) -> None:
        steps: dict[Callable[[], None], float] = {
            self._enter: 3,
            lambda: self._tick(self.chance.choice([0.5, 2, 6])): 6,
            self._cancel: 1,
            self._reprice: 2,
            lambda: self._convert(self.chance.choice(list(self.sides))): 1,
            lambda: self._exit(self.chance.choice(list(self.sides)), is_stop=self.chance.random() < 0.5): 2,
        }
        for _ in range(self.chance.randint(3, 10)):
            (step,) = self.chance.choices(list(steps), list(steps.values()))
            step()

    def _cancel(self) -> None:
        for order in self._working(1):
            with suppress(IllegalTransition, Conflict):
                cancel.cancel_order(self.desk, order, CAUSE)

    def _reprice(self) -> None:
        for order in self._working(1):
            price = Decimal(100) + self.chance.randint(-20, 20) * Decimal("0.05")
            with suppress(IllegalTransition, Conflict, Denied, NotFound):
                modify.modify_order(self.desk, order, ModifyRequest(limit_price=price), CAUSE)

    def _working(self, number: int) -> Sequence[str]:
        with self.desk.database.read() as connection:
            working = queries.working(connection, self.desk.account)
        return self.chance.sample([order.id for order in working], min(number, len(working)))

    # --- states --------------------------------------------------------------------------------------

    def _enter_states(self) -> None:
        steps: dict[State, Callable[[], object]] = {
            State.PARTIAL_FILL: self._leave_in_part,
            State.LINKED: self._link,
            State.STOP: lambda: self._protect(is_stop=True),
            State.TARGET: lambda: self._protect(is_stop=False),
            State.CONVERSION: self._leave_conversions,
            State.PNL_EXIT: self._reach_pnl_exits,
            State.HALT: self._halt,
            State.STALE: self._silence_feed,
            State.CALENDAR_ENDED: self._end_calendar,
            State.CLOSED: self._close_session,
            State.BROKER_SLOW: lambda: setattr(self.market, "share_lost", 0.5),
            State.TRADES_LAG: lambda: setattr(self.market, "shows", _without_trades),
            State.BROKER_AWAY: lambda: setattr(self.market, "is_away", True),
            State.ENGINE_AWAY: self._stop_engine,
        }
        for state, step in steps.items():
            if state in self.wanted:
                step()
        self._note_states()

    def _silence_feed(self) -> None:
        self.has_feed = False
        self.clock.forward(seconds=self.chance.choice([40, 300]))

    def _end_calendar(self) -> None:
        self._move_to(datetime(2027, 1, 1, 11, 0, tzinfo=EXCHANGE_TIME))
        self._protect(is_stop=self.chance.random() < 0.5)

    def _leave_in_part(self) -> None:
        """Leave an order filled in part; without one, place an entry for it."""
        if not self.market.fill_part(lambda _report: True):
            self._enter()
            self._round()
            self.market.fill_part(lambda _report: True)
        self._round()

    def _protect(self, *, is_stop: bool) -> None:
        for line in [line for line, held in self.market.held.items() if held]:
            self._exit(line, is_stop=is_stop)
        self._round()

    def _link(self) -> None:
        """Place a pair of stop and target for each position, and a bracket."""
        for line, held in self.market.held.items():
            if held:
                self._place_linked(line, self.sides[line].opposite, abs(held))
        line = self.chance.choice(list(self.sides))
        self._place_linked(line, self.sides[line], Decimal(LOTS[line[1]] * self.chance.randint(2, 9)))
        self._tick(1)

    def _place_linked(self, line: Line, side: Side, quantity: Decimal) -> None:
        """Place a reduce-only stop with a target, or an entry below the market with both."""
        strategy, symbol, product = line
        is_entry = side is self.sides[line]
        price, sign = self.market.prices[symbol], self.sides[line].sign
        distance = self.chance.choice(_DISTANCES)
        stop, entry, target = (price + sign * each for each in (-2 * distance, -distance, distance))
        terms = OrderTerms(
            self.desk.account,
            symbol,
            side,
            quantity,
            OrderType.LIMIT if is_entry else OrderType.STOP,
            limit_price=entry if is_entry else None,
            trigger_price=None if is_entry else stop,
            product=Product(product),
            reduce_only=not is_entry,
            strategy=strategy or None,
        )
        prices = ExitPrices(trigger_price=stop) if is_entry else None
        exits = ExitRequest(target_price=target, stop_loss=prices)
        with suppress(InvalidBody):
            linked_exits.place_linked(self.desk, terms, exits, CAUSE)

    def _halt(self) -> None:
        scope = self.chance.choice([ACCOUNT, Scope("trend")])
        with suppress(NotFound):
            halts.halt_trading(
                self.desk, CAUSE, "the walk halts", scope=scope, cancel_orders=self.chance.random() < 0.5
            )

    def _reach_pnl_exits(self) -> None:
        """Give each strategy a P&L exit that its result of the day has reached: charges alone do that."""
        for strategy in _STRATEGIES:
            if strategy is not None:
                pnl_exits.set_for_strategy(self.desk, strategy, Decimal(1), Decimal(1), CAUSE)
        self._tick(1, share=0)

    def _leave_conversions(self) -> None:
        """Begin conversions whose outcome the broker does not tell."""
        self.market.loses_conversions = True
        for line in [line for line, held in self.market.held.items() if held]:
            self._convert(line)
        self._round()

    def _convert(self, line: Line) -> None:
        """Ask for the conversion of a part of a position, or all of it."""
        strategy, symbol, product = line
        lots, target = int(abs(self.market.held[line]) / LOTS[symbol]), _converted(symbol, Product(product))
        side = self.sides.setdefault((strategy, symbol, target.value), self.sides[line])
        if not lots or side is not self.sides[line]:
            return
        quantity = Decimal(LOTS[symbol] * self.chance.choice([1, lots]))
        wanted = ConversionRequest(symbol, target, strategy, Product(product), quantity)
        with suppress(ConversionRefused, InvalidBody):
            record = conversions.request_conversion(self.desk, wanted, CAUSE).record
            self.market.converting[symbol] = strategy
            self.conversions[record.id] = len(self.market.converted)

    def _close_session(self) -> None:
        local = self.clock().astimezone(EXCHANGE_TIME)
        self._move_to(local.replace(hour=17, minute=0) + timedelta(days=self.chance.choice([0, 1])))

    def _move_to(self, at: datetime) -> None:
        """Move the clock. The engine sees the time in between only at its end."""
        self.clock.at = at
        self.market.trade(share=0)
        self._tick(1, share=0)

    def _stop_engine(self) -> None:
        self.rig.components.router.stop()
        self.is_running = False

    def _start_engine(self) -> None:
        self.rig = build_rig(self.desk, self.market, self.rules)
        self.rig.components.reconciler.mark_interrupted()
        self.is_running = True

    def _note_states(self) -> None:
        held = [line for line, quantity in self.market.held.items() if quantity]
        with self.desk.database.read() as connection:
            working = queries.working(connection, self.desk.account)
            in_force = halts.all_in_force(connection)
            linked = stored_exits.active(connection, self.desk.account)
            reached = stored_pnl_exits.all_of(connection, self.desk.account)
            converting = conversion_records.under_way(connection, self.desk.account)
        halted = {each.strategy for each in reached if each.halted_at is not None}
        exits = [order for order in working if order.terms.reduce_only]
        found = {
            State.SEVERAL_STRATEGIES: len({strategy for strategy, _, _ in held}) > 1,
            State.SEVERAL_PRODUCTS: len({product for _, _, product in held}) > 1,
            State.STOP: any(order.terms.type.has_trigger for order in exits),
            State.LINKED: bool(linked),
            State.TARGET: any(order.terms.type is OrderType.LIMIT for order in exits),
            State.PARTIAL_FILL: any(order.filled_quantity for order in working),
            State.CONVERSION: bool(converting),
            State.PNL_EXIT: any(strategy in halted for strategy, _, _ in held),
            State.HALT: bool(in_force),
            State.CLOSED: not self.market.is_open(),
            State.STALE: not self.has_feed,
            State.CALENDAR_ENDED: self.clock().astimezone(EXCHANGE_TIME).year > 2026,
            State.BROKER_SLOW: self.market.share_lost > 0,
            State.TRADES_LAG: self.market.shows is _without_trades,
            State.BROKER_AWAY: self.market.is_away,
            State.ENGINE_AWAY: not self.is_running,
        }
        self.states = {state for state, is_in in found.items() if is_in and held}

    # --- closing -------------------------------------------------------------------------------------

    def _close_everything(self) -> None:
        if self.chance.random() < 0.5:
            close.close_all(self.desk, CAUSE)
        else:
            halts.halt_trading(self.desk, CAUSE, "close everything", flatten=True)

    def _settle(self) -> None:
        """Let market and broker come back, and wait until nothing is held and nothing works."""
        self.market.is_away, self.market.share_lost = False, 0.0
        self.market.shows, self.market.loses_conversions = (lambda report: report), False
        if not self.is_running:
            self.clock.forward(minutes=self.chance.choice([1, 20]))
            self._start_engine()
        for _ in range(_ROUNDS):
            self._open_session()
            self._return_prices()
            self._tick(self.chance.choice([2, 5, 10]), share=1)
            self._give_up_orders_not_found()
            self._settle_conversions()
            if self._is_flat():
                return
        raise AssertionError(self._what_is_left())

    def _open_session(self) -> None:
        while not self.market.is_open():
            self.clock.forward(minutes=30)
            if self.market.is_open():
                return
            if self.chance.random() < 0.2:
                self._tick(1, share=0)

    def _return_prices(self) -> None:
        """Without a feed, move the market back to the prices that the desk knows: exits are bound to them."""
        if self.has_feed:
            return
        with self.desk.database.read() as connection:
            known = {symbol: queries.quote(connection, "paper", symbol) for symbol in self.market.prices}
        self.market.prices = {symbol: quote.last for symbol, quote in known.items() if quote is not None}

    def _give_up_orders_not_found(self) -> None:
        """Decide, as a person does, that the broker has none of the orders that were not found there."""
        with self.desk.database.read() as connection:
            working = queries.working(connection, self.desk.account)
        for order in working:
            if order.status is Status.NOT_FOUND:
                cancel.cancel_order(self.desk, order.id, CAUSE)

    def _settle_conversions(self) -> None:
        """Settle, as a person does by the broker's terminal, the conversions that have an alert."""
        with self.desk.database.read() as connection:
            unknown = alerts.open_subjects(connection, self.desk, AlertKind.CONVERSION_UNKNOWN)
            found = [conversion_records.get(connection, each) for each in sorted(unknown)]
        for record in found:
            made = self.market.converted[self.conversions[record.id] :]
            is_made = any(symbol == record.symbol for symbol, *_ in made)
            conversions.settle_conversion(self.desk, record.id, CAUSE, converted=is_made)

    def _is_flat(self) -> bool:
        with self.desk.database.read() as connection:
            held = queries.open_positions(connection, self.desk.account)
            working = queries.working(connection, self.desk.account)
            linked = stored_exits.active(connection, self.desk.account)
        if linked:
            return False
        return not held and not working and not any(self.market.held.values()) and not self.market.live()

    def _what_is_left(self) -> str:
        with self.desk.database.read() as connection:
            held = queries.open_positions(connection, self.desk.account)
            rows = queries.orders_page(connection, limit=30).rows
        names = (
            *("created_at", "strategy", "symbol", "product", "side", "quantity", "type", "reduce_only"),
            *("status", "overlay", "code", "reason"),
        )
        lines = [" ".join(str(getattr(row, name)) for name in names) for row in rows]
        return "\n".join(["not flat:", f"held {dict(self.market.held)}", f"booked {held}", *lines])

    # --- the engine ----------------------------------------------------------------------------------

    def _tick(self, seconds: float, *, share: float = 0.5) -> None:
        self.clock.forward(seconds=seconds)
        self.market.move()
        self.market.trade(share=share)
        self.publish_prices()
        self._round()
        self.market.trade(share=share)
        self._check()

    def _round(self) -> None:
        if not self.is_running:
            return
        components = self.rig.components
        self.rig.route()
        self.clock.forward(milliseconds=1)
        components.reconciler.step()
        components.reconciler.read_book()
        components.conversions.step()
        step_duties(components)
        self.rig.route()

    def publish_prices(self) -> None:
        if self.has_feed and self.market.is_open():
            board, at = QuoteBoard(self.desk), self.clock()
            board.update(
                [quote_of(symbol, at, f"{price:.2f}") for symbol, price in self.market.prices.items()]
            )
            board.flush()

    def _check(self) -> None:
        assert not self.market.failures, self.market.failures


def _converted(symbol: str, product: Product) -> Product:
    """Return the product to which a position is converted."""
    other = Product.CARRY if symbol == FUTURE else Product.DELIVERY
    return other if product is Product.INTRADAY else Product.INTRADAY


def _without_trades(report: OrderReport) -> OrderReport:
    return replace(report, trades=())


@contextmanager
def open_walk(
    seed: int, store: Path, settings: Settings, forced: AbstractSet[State] = frozenset()
) -> Iterator[ClosingWalk]:
    """Open a walk on an empty store."""
    clock = FakeClock(datetime(2026, 11, 25, 10, 0, tzinfo=EXCHANGE_TIME))
    database = Database(f"sqlite:///{store}")
    writer, notifier = Writer(database), SocketNotifier(settings.algosat.runtime_directory)
    try:
        desk = desks.build_all(settings, database, writer, notifier, clock).first
        calendar = ExchangeCalendar(market_phases.packaged())
        generous = replace(
            desk.defaults,
            max_orders_per_second=10_000,
            max_orders_per_day=100_000,
            max_daily_loss=Decimal(10**9),
            price_band_percent=Decimal(50),
        )
        desk = replace(desk, calendar=calendar, defaults=generous)
        replace_instruments(desk, instruments())
        writer.run(lambda connection: ledger.deposit(connection, desk.account, Decimal(10**9)))
        try:
            yield ClosingWalk(seed, desk, clock, settings, forced)
        finally:
            desk.errors.close()
    finally:
        writer.close()
        notifier.close()
        database.close()
