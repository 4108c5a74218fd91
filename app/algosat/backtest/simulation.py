"""The simulation of a back-test: a recording, processed quote by quote, and the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

import orjson

from algosat.backtest.contract_notes import ContractNotes
from algosat.backtest.data import RecordedData
from algosat.backtest.execution import Execution
from algosat.backtest.report.equity_curve import EquityCurve
from algosat.backtest.simulated_context import SimulatedContext
from algosat.backtest.simulated_ledger import SimulatedLedger
from algosat.domain.calendar import Calendar
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.risk.limits import Limits
from algosat.errors import CalendarUnknown, InvalidRequest
from algosat.exchange.rules import Rules
from algosat.strategies.bars import window_of
from algosat.strategies.base import Strategy
from algosat.strategies.parameters import Parameters
from algosat.strategies.runner import Runner

_RUN: Final = "backtest"
_RESOLUTION: Final = timedelta(microseconds=1)  # of times


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """Seed, capital, calendar, limits and charges of a run."""

    seed: int
    capital: Decimal
    calendar: Calendar
    limits: Limits
    brokerage: str = "zerodha"  # the plan in the table of charges
    exchange: str = "nse"  # whose transaction charges apply
    charges_of: date | None = None  # the day whose rates apply to all trades; None: each trade's own day
    square_off_before_close: timedelta = timedelta(minutes=10)
    flattens_on_daily_loss: bool = False
    participation: Decimal = Decimal("0.25")  # share of the traded volume that a resting order can take


@dataclass(slots=True)
class SimulationOutcome:
    """Everything a report needs of a run."""

    ledger: SimulatedLedger
    curve: EquityCurve
    denied: Mapping[str, int]  # number of denials, by code
    quotes: Mapping[str, Quote]  # the last of each symbol
    firsts: Mapping[str, Quote]  # the first of each symbol
    closes: Mapping[str, list[tuple[datetime, Decimal]]]  # close of each bar, by symbol
    events: int  # quotes processed
    zone: tzinfo  # of the venue's days


class Simulation:
    """One run of a strategy on recorded data."""

    def __init__(
        self,
        strategy: type[Strategy[Any]],
        parameters: Parameters,
        data: RecordedData,
        settings: SimulationSettings,
    ) -> None:
        _require_multiple(parameters, data)
        self._parameters = parameters
        self._settings = settings
        self._data = data
        rules = Rules(
            universe=data.listings,
            calendar=settings.calendar,
            seed=settings.seed,
            participation=settings.participation,
        )
        self._exchange = Execution(rules)
        self._ledger = SimulatedLedger(
            "backtest", _RUN, parameters.product, settings.capital, self._notes(), self._instrument
        )
        self._context = SimulatedContext(
            self._ledger,
            self._exchange,
            data.listings,
            settings.calendar,
            settings.limits,
            settings.square_off_before_close,
            settings.flattens_on_daily_loss,
        )
        self._strategy = strategy(parameters, self._context, {})
        self._runner = Runner(self._strategy, self._context)
        self._curve = EquityCurve()
        self._firsts: dict[str, Quote] = {}
        self._closes: dict[str, list[tuple[datetime, Decimal]]] = {}
        self._window_ends: datetime | None = None

    def run(self) -> SimulationOutcome:
        """Process the whole recording. An exception of the strategy is not caught."""
        events = 0
        for quote in self._data.quotes(self._settings.seed, self._settings.calendar):
            if not events:
                self._runner.start(quote.at, _RUN)
            events += 1
            self._process(quote)
        self._require_all_symbols()
        end = self._window_ends or self._context.now
        self._runner.pass_time(end)
        self._sample(end)
        self._runner.stop(end, _RUN)
        orjson.dumps(self._strategy.state)  # a live process can store only JSON: fail here too
        return SimulationOutcome(
            ledger=self._ledger,
            curve=self._curve,
            denied=self._context.denied,
            quotes=self._context.quotes,
            firsts=self._firsts,
            closes=self._closes,
            events=events,
            zone=self._settings.calendar.zone,
        )

    def _process(self, quote: Quote) -> None:
        """Process a quote without look-ahead: closed bars first, then order reports, then the quote."""
        context, at = self._context, quote.at
        for cancelled in context.take_cancelled():
            self._runner.order(cancelled)
        if self._window_ends is None or at >= self._window_ends:
            self._enter_window(at)
        self._runner.pass_time(at)
        context.now = at
        context.quotes[quote.symbol] = quote
        self._firsts.setdefault(quote.symbol, quote)
        for rejected in context.send_kept(quote.symbol):
            self._runner.order(rejected)
        reports = self._exchange.tick(quote)
        for report in reports:
            changed = self._ledger.apply_report(report)
            if changed is not None:
                self._runner.order(changed)
        for refused in filter(None, map(context.fail_change, self._exchange.take_refused())):
            self._runner.order(refused)
        context.now = at
        if reports:
            context.cancel_oversized_exits()
        for changed in context.advance_exits(quote):
            self._runner.order(changed)
        for placed in context.trigger_gtts(quote):
            self._runner.order(placed)
        context.check_daily_pnl()
        context.flatten_halted(quote.symbol)
        context.square_off(quote.symbol)
        self._runner.quote(quote)

    def _enter_window(self, at: datetime) -> None:
        """Sample equity at the end of the last bar, and start a new trading day if there is one.

        Bars that ended with continuous trading, before their window, are delivered on their own day.
        """
        if self._window_ends is not None:
            self._runner.pass_time(self._window_ends - _RESOLUTION)
            self._sample(self._window_ends)
        seconds = self._parameters.bar_seconds
        self._window_ends = window_of(at, seconds, self._settings.calendar.zone) + timedelta(seconds=seconds)
        try:
            self._context.enter_day(self._settings.calendar.trading_day(at))
        except CalendarUnknown as error:
            raise InvalidRequest(
                f"{error.detail}; give the market hours instead, for example --market 09:15-15:30"
            ) from error

    def _sample(self, at: datetime) -> None:
        quotes, ledger = self._context.quotes, self._ledger
        self._curve.add(at, ledger.deposited + ledger.net_pnl(quotes), ledger.exposure(quotes))
        for symbol in self._parameters.symbols:
            if symbol in quotes:
                self._closes.setdefault(symbol, []).append((at, quotes[symbol].last))

    def _instrument(self, symbol: str) -> Instrument:
        return self._data.listings[symbol].instrument

    def _notes(self) -> ContractNotes:
        settings, listings = self._settings, self._data.listings
        return ContractNotes(
            kind_of=lambda symbol: listings[symbol].instrument.kind,
            broker=settings.brokerage,
            exchange=settings.exchange,
            rates_of=settings.charges_of,
        )

    def _require_all_symbols(self) -> None:
        currencies = {self._instrument(symbol).currency or "" for symbol in self._firsts}
        if len(currencies) > 1:
            named = ", ".join(sorted(currencies - {""}))
            raise InvalidRequest(
                f"the symbols have prices in different currencies ({named}): test them apart"
            )
        missing = [symbol for symbol in self._parameters.symbols if symbol not in self._firsts]
        if missing:
            found = ", ".join(sorted(self._firsts)[:20])
            raise InvalidRequest(f"the recording has no prices of {', '.join(missing)}; it has {found}")


def _require_multiple(parameters: Parameters, data: RecordedData) -> None:
    if data.interval is None or not timedelta(seconds=parameters.bar_seconds) % data.interval:
        return
    raise InvalidRequest(
        f"bars of {parameters.bar_seconds} s cannot be built from recorded bars of "
        f"{data.interval.total_seconds():g} s: set bar_seconds to a multiple"
    )
