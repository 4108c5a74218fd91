"""A broker that keeps books of its own over many trading days, and a desk that trades there day after day.

The exchange counts positions, holdings, cash and charges from its own trades, and never looks at the ledger.
Days bring orders of several strategies, orders placed elsewhere, lost answers, ended sessions, restarts of
the engine, changes of the instruments, expiring contracts, and trades that no engine saw.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Final

from sqlalchemy import select

from algosat.brokers.base import BrokerFunds, BrokerHolding, BrokerPosition
from algosat.config.settings import EngineSettings
from algosat.domain import fee_table
from algosat.domain.book_comparison import item_of
from algosat.domain.calendar import EXCHANGE_TIME, ExchangeCalendar
from algosat.domain.contract_note import NoteTotals
from algosat.domain.decimals import ZERO
from algosat.domain.fees import note_for
from algosat.domain.instruments import FinalSettlement, Instrument, InstrumentKind, SettlementMethod
from algosat.domain.orders import LIVE, Order, OrderTerms, OrderType, Product, Side, Status, Trade
from algosat.domain.orders.report import OrderReport
from algosat.domain.scope import EXTERNAL
from algosat.engine.quotes import QuoteBoard
from algosat.errors import BrokerRejected, BrokerUncertain, Conflict, NothingToClose
from algosat.store import queries
from algosat.store.tables import days
from algosat.store.verify.verify import verify
from algosat.trading import book_differences, cancel, close, place
from algosat.trading.book_adjustments import Adjustment, adjust
from algosat.trading.desk import Desk
from tests.app.builders import exchange as exchange_time
from tests.app.desks import CAUSE, SECOND, SHARE, instruments, quote_of
from tests.app.engine.rig import EngineRig, build_rig, step_duties
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

CASH: Final = Decimal(1_000_000)  # as `open_desk` deposits
MISSED: Final = Decimal(7)  # shares bought while no engine ran
OWNED: Final = "CEDAR-EQ"  # shares that the account held before Algosat
_PAISA: Final = Decimal("0.01")
_TABLE: Final = fee_table.packaged()


def future(name: str, expiry: date, lot: int) -> Instrument:
    return Instrument(
        name,
        "Nova",
        InstrumentKind.FUTURE,
        "derivatives",
        Decimal("0.05"),
        Decimal(lot),
        Decimal(1000 * lot),
        expiry=expiry,
        underlying=SHARE,
        settlement=SettlementMethod.CASH,
    )


@dataclass(slots=True)
class _Held:
    quantity: Decimal = ZERO
    cost: Fraction = Fraction(0)  # of margin products; shares paid in full cost cash at once


@dataclass(frozen=True, slots=True)
class _Execution:
    number: str
    terms: OrderTerms
    trade: Trade

    @property
    def value(self) -> Decimal:
        return self.trade.quantity * self.trade.price


class BookkeepingExchange(FakeExchange):
    """An exchange and broker in one, whose statements follow from its own trades."""

    def __init__(self, clock: FakeClock, chance: random.Random) -> None:
        super().__init__(clock)
        self.capabilities = replace(self.capabilities, has_positions=True, has_holdings=True, has_funds=True)
        self.chance = chance
        self.listed = {each.symbol: each for each in instruments() if each.kind is InstrumentKind.EQUITY}
        self.listed[OWNED] = replace(self.listed[SHARE], symbol=OWNED, name="Cedar")
        self.prices = dict.fromkeys(self.listed, Decimal(100))
        self.held: dict[tuple[str, Product], _Held] = {(OWNED, Product.DELIVERY): _Held(Decimal(40))}
        self.today: list[_Execution] = []
        self.charges = ZERO  # of the day, not yet taken from the cash
        self.cash = CASH
        self.is_open = False
        self.share_lost = 0.0
        self.before, self.after = self._lose, self._lose
        self._numbers = 0

    # --- statements ----------------------------------------------------------------------------------

    def instruments(self) -> Sequence[Instrument]:
        return list(self.listed.values())

    def positions(self) -> Sequence[BrokerPosition]:
        shares = [
            BrokerPosition(symbol, Product.DELIVERY, quantity)
            for symbol, quantity in self._delivered_today().items()
        ]
        return shares + [
            BrokerPosition(symbol, product, held.quantity)
            for (symbol, product), held in self.held.items()
            if product is not Product.DELIVERY
        ]

    def holdings(self) -> Sequence[BrokerHolding]:
        today = self._delivered_today()
        return [
            BrokerHolding(symbol, held.quantity - today.get(symbol, ZERO), Decimal("82.5"))
            for (symbol, product), held in self.held.items()
            if product is Product.DELIVERY
        ]

    def funds(self) -> Sequence[BrokerFunds]:
        return [BrokerFunds("INR", self.cash.quantize(_PAISA, ROUND_HALF_UP))]

    def place(self, order: Order) -> OrderReport:
        if not self.is_open:
            raise BrokerRejected("the session is closed", code="session_closed")
        return super().place(order)

    # --- the market ----------------------------------------------------------------------------------

    def live(self) -> list[OrderReport]:
        return [report for report in self.book.values() if report.status in LIVE]

    def move(self) -> None:
        for symbol, price in self.prices.items():
            moved = price + self.chance.randint(-8, 8) * Decimal("0.1")
            self.prices[symbol] = min(max(moved, Decimal(90)), Decimal(110))

    def trade(self) -> None:
        """Fill some of the live orders, some of them in part."""
        for report in self.live() if self.is_open else ():
            lot = self.listed[report.terms.symbol].lot
            lots = int((report.terms.quantity - report.filled_quantity) / lot)
            if self.chance.random() < 0.7:
                whole = self.chance.random() < 0.7
                self.execute(report, lot * (lots if whole else self.chance.randint(1, lots)))

    def execute(self, report: OrderReport, quantity: Decimal) -> None:
        terms = report.terms
        price = terms.limit_price or self.prices[terms.symbol]
        number = f"{report.broker_order_id}-{len(report.trades)}"
        trade = Trade(number, quantity, price, self.clock())
        filled = report.filled_quantity + quantity
        status = Status.FILLED if filled == terms.quantity else Status.PARTIALLY_FILLED
        self._put(replace(report, status=status, filled_quantity=filled, trades=(*report.trades, trade)))
        self.today.append(_Execution(report.broker_order_id, terms, trade))
        self._change(terms.symbol, terms.product, terms.side.sign * quantity, price)

    def fill_elsewhere(self, symbol: str, side: Side, quantity: int, product: Product) -> str:
        """Execute an order that was placed in the broker's own terminal. Returns its number."""
        self._numbers += 1
        number = f"X{self.clock():%m%d}-{self._numbers}"
        terms = OrderTerms("paper", symbol, side, Decimal(quantity), OrderType.MARKET, product)
        self.book[number] = OrderReport(number, None, Status.OPEN, terms, ZERO, (), self.clock())
        self.execute(self.book[number], terms.quantity)
        return number

    def end_day(self, closed_at: datetime) -> None:
        """Let orders expire, settle contracts that end today, and compute the day's charges."""
        self.is_open = False
        for report in self.live():
            self._put(replace(report, status=Status.EXPIRED))
        self.charges += sum(note_of(each) for each in self._notes())
        for symbol, listed in list(self.listed.items()):
            if listed.expiry == closed_at.astimezone(EXCHANGE_TIME).date():
                self._settle(symbol, closed_at)

    def post_charges(self) -> None:
        self.cash, self.charges = self.cash - self.charges, ZERO

    def begin_day(self) -> None:
        self.post_charges()
        self.book.clear()
        self.today.clear()
        self.covers_from = self.clock()

    def _settle(self, symbol: str, at: datetime) -> None:
        price = self.prices[SHARE]
        self.settled.append(FinalSettlement(symbol, at, price))
        del self.listed[symbol]
        for product in (Product.CARRY, Product.INTRADAY):
            held = self.held.pop((symbol, product), _Held())
            if held.quantity:
                value = abs(held.quantity) * price
                plan = _TABLE.plan("zerodha", InstrumentKind.FUTURE, product)
                brokerage = plan.brokerage(value).quantize(_PAISA, ROUND_HALF_UP)
                tax = brokerage * _TABLE.rates(InstrumentKind.FUTURE, product, at.date()).gst
                self.cash += held.quantity * price - _exact(held.cost)
                self.charges += brokerage + tax.quantize(_PAISA, ROUND_HALF_UP)

    def _change(self, symbol: str, product: Product, signed: Decimal, price: Decimal) -> None:
        held = self.held.setdefault((symbol, product), _Held())
        if product is Product.DELIVERY:
            held.quantity += signed
            self.cash -= signed * price
            return
        closing = ZERO if held.quantity * signed >= 0 else min(abs(signed), abs(held.quantity))
        if closing:
            sign = 1 if held.quantity > 0 else -1
            released = held.cost * Fraction(closing) / Fraction(abs(held.quantity))
            self.cash += _exact(sign * Fraction(closing * price) - released)
            held.cost -= released
        opening = abs(signed) - closing
        held.quantity += signed
        held.cost += Fraction(opening * price) * (1 if signed > 0 else -1)

    def _delivered_today(self) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for each in self.today:
            if each.terms.product is Product.DELIVERY:
                signed = each.terms.side.sign * each.trade.quantity
                found[each.terms.symbol] = found.get(each.terms.symbol, ZERO) + signed
        return found

    def _notes(self) -> list[list[_Execution]]:
        by_kind: dict[bool, list[_Execution]] = {}
        for each in self.today:
            by_kind.setdefault(each.terms.symbol.endswith("-EQ"), []).append(each)
        return list(by_kind.values())

    def _lose(self, request: str) -> None:
        if request in ("place", "cancel", "reports") and self.chance.random() < self.share_lost:
            raise BrokerUncertain("lost")


def _exact(amount: Fraction) -> Decimal:
    return Decimal(amount.numerator) / Decimal(amount.denominator)


def note_of(executions: Sequence[_Execution]) -> Decimal:
    """Return the charges of a whole day's executions in shares, or in futures, computed at once."""
    is_equity = executions[0].terms.symbol.endswith("-EQ")
    kind = InstrumentKind.EQUITY if is_equity else InstrumentKind.FUTURE
    day = executions[0].trade.at.astimezone(EXCHANGE_TIME).date()
    usual = Product.DELIVERY if is_equity else Product.CARRY
    bought = sum((each.value for each in executions if each.terms.side is Side.BUY), ZERO)
    sold = sum((each.value for each in executions if each.terms.side is Side.SELL), ZERO)
    delivered = {Side.BUY: ZERO, Side.SELL: ZERO}
    netted = set()
    for symbol in {each.terms.symbol for each in executions} if is_equity else ():
        of_symbol = [
            each
            for each in executions
            if each.terms.symbol == symbol and each.terms.product is Product.DELIVERY
        ]
        quantity = {
            side: sum((each.trade.quantity for each in of_symbol if each.terms.side is side), ZERO)
            for side in Side
        }
        both = min(quantity.values())
        if both:
            netted.add(symbol)
        for side in Side:
            value = sum((each.value for each in of_symbol if each.terms.side is side), ZERO)
            if quantity[side]:
                delivered[side] += value * (quantity[side] - both) / quantity[side]
    brokerage = ZERO
    for number in {each.number for each in executions}:
        of_order = [each for each in executions if each.number == number]
        terms = of_order[0].terms
        product = Product.INTRADAY if terms.symbol in netted else terms.product
        plan = _TABLE.plan("zerodha", kind, product)
        value = sum((each.value for each in of_order), ZERO)
        brokerage += plan.brokerage(value).quantize(_PAISA, ROUND_HALF_UP)
    note = note_for(_TABLE, kind, usual, day, broker="zerodha", exchange="nse")
    return note.charges(NoteTotals(bought, sold, delivered[Side.BUY], delivered[Side.SELL], brokerage)).total


class TradingDays:
    """Trades on each trading day of a period. Each evening both sides must agree."""

    def __init__(
        self, seed: int, desk: Desk, clock: FakeClock, rules: EngineSettings, calendar: ExchangeCalendar
    ) -> None:
        self.chance, self.desk, self.clock, self.rules = random.Random(seed), desk, clock, rules
        self.calendar = calendar
        self.exchange = BookkeepingExchange(clock, self.chance)
        self.board = QuoteBoard(desk)
        self.rig: EngineRig | None = None
        self.evenings: list[date] = []
        self.adjusted = 0  # number of adjustments by an admin

    def live_through(self, first: date, last: date) -> None:
        """Trade on each trading day from the first to the last."""
        day = first
        while day <= last:
            if self.calendar.is_trading_day(day):
                self._trade_on(day, is_missed=len(self.evenings) % 5 == 3)
            day += timedelta(days=1)

    def _trade_on(self, day: date, *, is_missed: bool) -> None:
        opens, closes = self._hours(day)
        self.clock.at = exchange_time(day.isoformat(), "07:00")
        self.exchange.begin_day()
        self._change_master(day)
        if self.rig is None or self.chance.random() < 0.3:
            self.start()
        self.clock.at, self.exchange.is_open = opens, True
        assert self.rig is not None
        self.rig.components.instruments.step()
        trouble = self.chance.choice(["none", "session", "lost", "restart"])
        steps = 12
        for number in range(steps):
            self.clock.at = opens + (closes - opens) * number / steps + timedelta(seconds=number)
            self._suffer(trouble, number)
            self._publish_prices()
            self._act()
            self.step()
        self._suffer("none", 0)
        for minutes in (14, 13, 12, 11, 10, 9, 8):
            self.clock.at = closes - timedelta(minutes=minutes)
            self._publish_prices()
            self.step()
        if is_missed:  # no engine sees this trade, and later the broker no longer shows it
            self.clock.at = closes - timedelta(minutes=2)
            unseen = self.exchange.fill_elsewhere(SECOND, Side.BUY, int(MISSED), Product.DELIVERY)
            del self.exchange.book[unseen]
        self.clock.at = closes + timedelta(minutes=15)
        self.exchange.end_day(self._closes_at(day))
        charges = self.exchange.charges
        if is_missed or self.chance.random() < 0.5:
            self.exchange.post_charges()
        for minutes in (20, 30, 75):
            self.clock.at = closes + timedelta(minutes=minutes)
            self.step()
            self._give_up_lost_orders()
        self._look_for(30)
        missing = charges - self._fees(day)
        if is_missed:
            self._settle_by_hand(missing)
        else:
            assert missing == 0, f"charges on {day}: {charges}, not {self._fees(day)}"
        self._judge(day)

    def differences(self) -> dict[str, int]:
        """Return the number of differences found so far, by kind."""
        with self.desk.database.read() as connection:
            rows = queries.differences_page(connection, "paper", limit=1000).rows
        return dict(Counter(row.kind for row in rows))

    def traded(self, strategy: str) -> bool:
        """Return whether a strategy has traded."""
        with self.desk.database.read() as connection:
            return bool(queries.trades_page(connection, limit=1, strategy=strategy).rows)

    def start(self) -> None:
        """Start an engine; it replaces the one before."""
        self.rig = build_rig(self.desk, self.exchange, self.rules)
        self.rig.components.reconciler.mark_interrupted()

    def _publish_prices(self) -> None:
        self.exchange.move()
        at, prices = self.clock(), self.exchange.prices
        self.board.update([quote_of(symbol, at, str(price)) for symbol, price in prices.items()])
        self.board.flush()

    def step(self) -> None:
        """Let the engine do what is due, and the market fill orders."""
        assert self.rig is not None
        components = self.rig.components
        components.instruments.step()
        components.send_due()
        self.exchange.trade()
        self.clock.forward(seconds=6)
        components.reconciler.step()
        step_duties(components)
        components.book_check.step()
        components.send_due()

    def _look_for(self, seconds: int) -> None:
        assert self.rig is not None
        for _ in range(seconds):
            self.clock.forward(seconds=1)
            self.rig.components.book_check.step()

    def _hours(self, day: date) -> tuple[datetime, datetime]:
        noon = exchange_time(day.isoformat())
        opens = self.calendar.opens_at("equity", False, noon)
        closes = self.calendar.closes_at("equity", False, noon)
        assert opens is not None
        assert closes is not None
        return opens, closes

    def _closes_at(self, day: date) -> datetime:
        closes = self.calendar.closes_at("derivatives", False, exchange_time(day.isoformat()))
        assert closes is not None
        return closes

    def _change_master(self, day: date) -> None:
        """List a future if none is, with another lot each time, and change the tick of a share."""
        if not any(each.expiry for each in self.exchange.listed.values()):
            expiry = day + timedelta(days=1)
            while not self.calendar.is_trading_day(expiry):
                expiry += timedelta(days=1)
            name = f"NOVA-{expiry:%d%b}-FUT".upper()
            self.exchange.listed[name] = future(name, expiry, 25 if len(self.evenings) % 2 else 50)
            self.exchange.prices[name] = Decimal(100)
        share = self.exchange.listed[SECOND]
        tick = Decimal("0.10") if share.tick == Decimal("0.05") else Decimal("0.05")
        self.exchange.listed[SECOND] = replace(share, tick=tick)
        self.exchange.prices = {each: self.exchange.prices[each] for each in self.exchange.listed}

    def _suffer(self, trouble: str, number: int) -> None:
        self.exchange.active = not (trouble == "session" and 3 <= number < 6)
        self.exchange.share_lost = 0.25 if trouble == "lost" and number < 10 else 0.0
        if trouble == "restart" and number in (4, 8):
            self.start()

    def _act(self) -> None:
        """Place and close, as people and strategies do, here and in the broker's terminal."""
        actions = (
            self._buy_shares,
            self._sell_shares,
            self._trade_intraday,
            self._trade_future,
            self._buy_elsewhere,
            self._sell_elsewhere,
            self._sell_external,
            self._close,
        )
        for action in self.chance.sample(actions, 2):
            with suppress(NothingToClose, Conflict):
                action()

    def _buy_shares(self) -> None:
        self._place(SHARE, Side.BUY, self.chance.randint(1, 20), self.chance.choice((None, "trend")))

    def _sell_shares(self) -> None:
        strategy = self.chance.choice((None, "trend"))
        held = int(self._held(strategy or "", SHARE))
        if held > 1:
            self._place(SHARE, Side.SELL, self.chance.randint(1, held), strategy)

    def _trade_intraday(self) -> None:
        side, quantity = self.chance.choice(list(Side)), self.chance.randint(1, 30)
        self._place(SECOND, side, quantity, "swing", Product.INTRADAY)

    def _trade_future(self) -> None:
        listed = next(each for each in self.exchange.listed.values() if each.expiry)
        self._place(listed.symbol, self.chance.choice(list(Side)), int(listed.lot), "trend", Product.CARRY)

    def _buy_elsewhere(self) -> None:
        self.exchange.fill_elsewhere(SECOND, Side.BUY, self.chance.randint(1, 9), Product.DELIVERY)

    def _sell_elsewhere(self) -> None:
        """Reduce in the terminal what was bought there, or a position of manual orders."""
        symbol, strategy = self.chance.choice(((SECOND, EXTERNAL), (SHARE, "")))
        held = int(self._held(strategy, symbol))
        if held > 0:
            self.exchange.fill_elsewhere(symbol, Side.SELL, self.chance.randint(1, held), Product.DELIVERY)

    def _sell_external(self) -> None:
        """Sell here what was bought elsewhere, naming it."""
        if self._held(EXTERNAL, OWNED) > 0:
            self._place(OWNED, Side.SELL, 1, EXTERNAL)
        close.close_position(self.desk, SECOND, CAUSE, strategy=EXTERNAL)

    def _close(self) -> None:
        close.close_position(self.desk, SHARE, CAUSE)

    def _place(
        self,
        symbol: str,
        side: Side,
        quantity: int,
        strategy: str | None,
        product: Product = Product.DELIVERY,
    ) -> None:
        price = self.exchange.prices[symbol]
        terms = OrderTerms(
            "paper", symbol, side, Decimal(quantity), OrderType.LIMIT, product, limit_price=price
        )
        place.place_order(self.desk, replace(terms, strategy=strategy), CAUSE)

    def _held(self, strategy: str, symbol: str) -> Decimal:
        with self.desk.database.read() as connection:
            return queries.held(connection, "paper", strategy, symbol, Product.DELIVERY)

    def _give_up_lost_orders(self) -> None:
        """Cancel orders that were not found, as a person does who has looked at the broker's screen."""
        with self.desk.database.read() as connection:
            working = queries.working(connection, "paper")
        for order in working:
            if order.status is Status.NOT_FOUND:
                cancel.cancel_order(self.desk, order.id, CAUSE)

    # --- the evening ---------------------------------------------------------------------------------

    def _settle_by_hand(self, missing: Decimal) -> None:
        """Adjust the books by the trade that only the contract note shows, with its charges."""
        with self.desk.database.read() as connection:
            found = {row.kind: row for row in book_differences.open_differences(connection, "paper")}
        row = found.get("holding")
        assert row is not None, f"{self.clock()}: {found}"
        assert (row.symbol, row.theirs - row.ours) == (SECOND, MISSED), row
        assert set(found) == {"holding", "cash"}, found
        adjust(
            self.desk,
            Adjustment(
                reason="trade on the contract note that was made while the engine was down",
                symbol=SECOND,
                product=Product.DELIVERY,
                strategy=EXTERNAL,
                quantity=MISSED,
                price=self.exchange.today[-1].trade.price,
                cash=-missing,
            ),
            CAUSE,
        )
        self.adjusted += 1
        self._look_for(3)

    def _judge(self, day: date) -> None:
        with self.desk.database.read() as connection:
            state = book_differences.read_state(connection, "paper")
            open_rows = book_differences.open_differences(connection, "paper")
            ours = book_differences.own_positions(connection, "paper")
            findings = verify(connection).findings if len(self.evenings) % 5 == 4 else []
        found = (state.outcome, state.evening, open_rows, findings)
        assert found == ("agree", day, [], []), f"{day}: {found}"
        held = {item: each.amount for item, each in ours.items() if each.amount}
        theirs = self.exchange.held.items()
        stated = {item_of(*key): each.quantity for key, each in theirs if each.quantity}
        assert held == stated, f"{day}: {held}, not {stated}"
        self.evenings.append(day)

    def _fees(self, day: date) -> Decimal:
        with self.desk.database.read() as connection:
            return sum(connection.execute(select(days.c.fees).where(days.c.day == day)).scalars(), ZERO)
