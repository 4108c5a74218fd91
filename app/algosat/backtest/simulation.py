"""The run itself: quote after quote, what each sets off, and what is left of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import orjson

from algosat.backtest.data import Data
from algosat.backtest.execution import Execution
from algosat.backtest.report.equity_curve import Curve
from algosat.backtest.simulated_context import SimulatedContext
from algosat.backtest.simulated_ledger import SimulatedLedger
from algosat.domain import fee_table
from algosat.domain.calendar import EXCHANGE_TIME, Calendar
from algosat.domain.fees import Charges, charges_of_fill
from algosat.domain.instruments import Quote
from algosat.domain.orders import Order, Trade
from algosat.domain.risk.limits import Limits
from algosat.errors import CalendarUnknown, FeesUnknown, InvalidRequest
from algosat.exchange.rules import Rules
from algosat.strategies.bars import window_of
from algosat.strategies.base import Strategy
from algosat.strategies.parameters import Parameters
from algosat.strategies.runner import Runner

_RUN: Final = "backtest"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a back-test is run under."""

    seed: int
    capital: Decimal
    calendar: Calendar
    limits: Limits
    brokerage: str = "zerodha"  # whose plan, in the table of charges
    charges_of: date | None = None  # the day whose rates hold throughout; None: each trade's own
    square_off_before_close: timedelta = timedelta(minutes=10)
    participation: Decimal = Decimal("0.25")  # of the traded volume, how much an order at rest may take


@dataclass(slots=True)
class Outcome:
    """What a run left behind."""

    ledger: SimulatedLedger
    curve: Curve
    denied: Mapping[str, int]
    quotes: Mapping[str, Quote]  # the last of each symbol
    firsts: Mapping[str, Quote]
    closes: Mapping[str, list[tuple[datetime, Decimal]]]  # of each bar, by symbol
    events: int  # quotes that were lived through


class Simulation:
    def __init__(
        self, strategy: type[Strategy[Any]], parameters: Parameters, data: Data, terms: Terms
    ) -> None:
        _require_that_bars_fit(parameters, data)
        self._parameters = parameters
        self._terms = terms
        self._data = data
        rules = Rules(
            universe=data.listings,
            calendar=terms.calendar,
            seed=terms.seed,
            participation=terms.participation,
        )
        self._exchange = Execution(rules)
        self._ledger = SimulatedLedger("backtest", _RUN, parameters.product, terms.capital, self._charges())
        self._floor = SimulatedContext(
            self._ledger,
            self._exchange,
            data.listings,
            terms.calendar,
            terms.limits,
            terms.square_off_before_close,
        )
        self._strategy = strategy(parameters, self._floor, {})
        self._runner = Runner(self._strategy, self._floor)
        self._curve = Curve()
        self._firsts: dict[str, Quote] = {}
        self._closes: dict[str, list[tuple[datetime, Decimal]]] = {}
        self._window_ends: datetime | None = None

    def run(self) -> Outcome:
        """Live through the whole recording. What the strategy raises ends it."""
        events = 0
        for quote in self._data.quotes(self._terms.seed):
            if not events:
                self._runner.start(quote.at, _RUN)
            events += 1
            self._live_through(quote)
        self._require_that_all_were_there()
        end = self._window_ends or self._floor.now
        self._runner.pass_time(end)
        self._sample(end)
        self._runner.stop(end, _RUN)
        orjson.dumps(self._strategy.state)  # a live process could not keep anything else: say so now
        return Outcome(
            ledger=self._ledger,
            curve=self._curve,
            denied=self._floor.denied,
            quotes=self._floor.quotes,
            firsts=self._firsts,
            closes=self._closes,
            events=events,
        )

    def _live_through(self, quote: Quote) -> None:
        """In this order nothing sees what comes after it: past bars, then the price, then what it did."""
        context, at = self._floor, quote.at
        for cancelled in context.take_cancelled():
            self._runner.order(cancelled)
        if self._window_ends is None or at >= self._window_ends:
            self._enter_window(at)
        self._runner.pass_time(at)
        context.now = at
        context.quotes[quote.symbol] = quote
        self._firsts.setdefault(quote.symbol, quote)
        reports = self._exchange.tick(quote)
        for report in reports:
            changed = self._ledger.settle(report)
            if changed is not None:
                self._runner.order(changed)
        for refused in filter(None, map(context.give_up_change, self._exchange.take_refused())):
            self._runner.order(refused)
        context.now = at
        if reports:
            context.trim()
        context.watch_losses()
        context.square_off(quote.symbol)
        self._runner.quote(quote)

    def _enter_window(self, at: datetime) -> None:
        """A bar's time has passed: note how everything stood at its end, and look at the day."""
        if self._window_ends is not None:
            self._sample(self._window_ends)
        seconds = self._parameters.bar_seconds
        self._window_ends = window_of(at, seconds) + timedelta(seconds=seconds)
        try:
            self._floor.enter_day(self._terms.calendar.trading_day(at))
        except CalendarUnknown as error:
            raise InvalidRequest(
                f"{error.detail}; state the market's hours instead, for example --market 09:15-15:30"
            ) from error

    def _sample(self, at: datetime) -> None:
        quotes, ledger = self._floor.quotes, self._ledger
        self._curve.add(at, ledger.deposited + ledger.worth(quotes), ledger.exposure(quotes))
        for symbol in self._parameters.symbols:
            if symbol in quotes:
                self._closes.setdefault(symbol, []).append((at, quotes[symbol].last))

    def _charges(self) -> Callable[[Order, Trade], Charges]:
        table, terms, listings = fee_table.packaged(), self._terms, self._data.listings

        def charges(order: Order, trade: Trade) -> Charges:
            kind = listings[order.terms.symbol].instrument.kind
            day = terms.charges_of or trade.at.astimezone(EXCHANGE_TIME).date()
            try:
                return charges_of_fill(table, kind, order, trade, day, broker=terms.brokerage)
            except FeesUnknown as error:
                raise InvalidRequest(
                    f"{error.detail}; name a day whose charges are to hold throughout with --charges-of"
                ) from error

        return charges

    def _require_that_all_were_there(self) -> None:
        missing = [symbol for symbol in self._parameters.symbols if symbol not in self._firsts]
        if missing:
            there = ", ".join(sorted(self._firsts)[:20])
            raise InvalidRequest(f"the recording has no prices of {', '.join(missing)}; it has {there}")


def _require_that_bars_fit(parameters: Parameters, data: Data) -> None:
    if data.interval is None or not timedelta(seconds=parameters.bar_seconds) % data.interval:
        return
    raise InvalidRequest(
        f"bars of {parameters.bar_seconds} s cannot be made of the recording's, which last "
        f"{data.interval.total_seconds():g} s: set bar_seconds to a multiple"
    )
