"""Running a back-test: from a request and a recording to a report."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Any

from algosat.backtest import data as recordings
from algosat.backtest import market_hours
from algosat.backtest.data import RecordedData
from algosat.backtest.limits import UNLIMITED
from algosat.backtest.report.figures import BacktestReport, moment, report_of
from algosat.backtest.simulation import Simulation, SimulationSettings
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.risk.limits import Limits
from algosat.errors import InvalidRequest
from algosat.exchange import listings
from algosat.strategies import catalog
from algosat.strategies.base import Strategy


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """What to run, and under which assumptions."""

    class_name: str  # a name of the catalogue, or FILE.py:Class
    parameters: Mapping[str, Any]
    seed: int = 1
    capital: Decimal = Decimal(1_000_000)
    market: str = market_hours.ALWAYS
    calendar: str = ""  # text that extends the exchange's calendar, as `algosat_calendar` of the inventory
    limits: Limits = field(default=UNLIMITED)
    brokerage: str = "zerodha"
    exchange: str = "nse"
    charges_of: date | None = None
    square_off_minutes: int = 15
    flattens_on_daily_loss: bool = False
    interval: timedelta | None = None  # length of a recorded bar; None: found from the recording


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """A report, and how long the run took."""

    report: BacktestReport
    events: int
    seconds: float

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds


def from_file(request: BacktestRequest, path: Path) -> BacktestResult:
    """Run a back-test on a file.

    Raises InvalidRequest or InvalidBody if it cannot be run, and the exceptions of the strategy.
    """
    named = {"file": path.name, "sha256": recordings.fingerprint(path)}
    with path.open(encoding="utf-8", newline="") as lines:
        return run(request, lines, named)


def run(request: BacktestRequest, lines: Iterable[str], named: Mapping[str, str]) -> BacktestResult:
    """Run a back-test on the lines of a recording; `named` identifies the recording in the report."""
    strategy = class_of(request.class_name)
    parameters = catalog.parameters_of(strategy, request.parameters)
    recording = recordings.read(lines, request.interval)
    settings = SimulationSettings(
        seed=request.seed,
        capital=request.capital,
        calendar=market_hours.calendar_for(request.market, request.calendar, _zone(parameters.symbols)),
        limits=request.limits,
        brokerage=request.brokerage,
        exchange=request.exchange,
        charges_of=request.charges_of,
        square_off_before_close=timedelta(minutes=request.square_off_minutes),
        flattens_on_daily_loss=request.flattens_on_daily_loss,
    )
    began = perf_counter()
    outcome = Simulation(strategy, parameters, recording, settings).run()
    seconds = perf_counter() - began
    about = {
        "class": request.class_name,
        "parameters": parameters.model_dump(mode="json"),
        "data": {**named, **_described(recording)},
        "terms": _terms(request),
    }
    return BacktestResult(report_of(outcome, about), outcome.events, seconds)


def class_of(name: str) -> type[Strategy[Any]]:
    """Return a class of the catalogue or of a file (FILE.py:Class). Raises InvalidRequest or InvalidBody."""
    path, separator, class_name = name.rpartition(":")
    if not separator:
        return catalog.class_named(name)
    spec = importlib.util.spec_from_file_location("backtest_strategy", path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise InvalidRequest(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise InvalidRequest(f"{path} has no strategy class {class_name}")
    return found


def _zone(symbols: Iterable[str]) -> tzinfo:
    """Return the time zone of the days of the symbols' venue."""
    coins = listings.packaged_coins()
    return UTC if all(symbol in coins for symbol in symbols) else EXCHANGE_TIME


def _described(recording: RecordedData) -> dict[str, Any]:
    return {
        "lines": recording.lines,
        "bars_last_seconds": recording.interval.total_seconds() if recording.interval else None,
        "first": moment(recording.first) if recording.first else None,
        "last": moment(recording.last) if recording.last else None,
    }


def _terms(request: BacktestRequest) -> dict[str, Any]:
    own = {
        name: str(getattr(request.limits, name))
        for name in Limits.__slots__
        if getattr(request.limits, name) != getattr(UNLIMITED, name)
    }
    return {
        "seed": request.seed,
        "capital": str(request.capital),
        "market": request.market,
        **({"calendar": request.calendar} if request.calendar else {}),
        "brokerage": request.brokerage,
        "exchange": request.exchange,
        "charges_of": str(request.charges_of) if request.charges_of else "each trade's own day",
        "square_off_minutes": request.square_off_minutes,
        **({"flatten_on_daily_loss": True} if request.flattens_on_daily_loss else {}),
        "limits": own or "none besides the market's rules and the capital",
    }
