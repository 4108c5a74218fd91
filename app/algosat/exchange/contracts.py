"""Dated contracts of the simulated exchange: which futures and options are listed on a day.

A symbol is its chain, expiry (year, month, day), and `FUT`, or the strike and `CE` (call) or `PE` (put):
`BREADTH-261229-24800-CE`. A contract can be rebuilt from its symbol, so the exchange stores no list of them.

Contracts expire on Tuesday, monthly ones on the last Tuesday of the month; if that is not a trading day, on
the trading day before (NSE/FAOP/68747, in force since September 2025). New strikes are added around the
underlying's last close; a listed contract stays listed until it expires.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final

import yaml

from algosat.domain.calendar import EXCHANGE_TIME, Calendar, moment
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, InstrumentKind, OptionType, SettlementMethod
from algosat.errors import CalendarUnknown
from algosat.exchange.listings import DERIVATIVES, SPREAD, Listing, Universe, tick_for

_TUESDAY: Final = 1
_WEEK: Final = timedelta(days=7)
_ROLL: Final = timedelta(days=7)  # before a monthly expiry, the next month is listed beside it
_OPTION_TICK: Final = Decimal("0.05")
_OPTION_SPREAD: Final = Decimal("0.005")  # as a share of the premium
_LETTERS: Final = {OptionType.CALL: "CE", OptionType.PUT: "PE"}
_SYMBOL: Final = re.compile(r"(?P<chain>.+)-(?P<expiry>\d{6})-(?:FUT|(?P<strike>[0-9.]+)-(?P<type>CE|PE))")


@dataclass(frozen=True, slots=True)
class Chain:
    """The futures and options of one underlying, and the parameters of their synthetic market."""

    symbol: str  # first part of the symbols of its contracts
    name: str
    underlying: str
    settlement: SettlementMethod
    carry: float  # yearly return by which the forward price exceeds the underlying
    lot: Decimal
    freeze: Decimal
    volume: int  # daily, of each contract
    band: Decimal  # of a future around its last close, in percent; of an option, in percent of the strike
    index: bool = False
    weekly: bool = False  # whether options also expire in the nearest week
    volatility: float = 0.0  # per year, of its options
    interval: Decimal = ZERO  # between strikes; 0: the chain has no options
    strikes: int = 0  # listed on each side of the one nearest to the underlying's price


@dataclass(frozen=True, slots=True)
class _Key:
    """The parts of a contract's symbol."""

    chain: Chain
    expiry: date
    strike: Decimal | None = None
    option_type: OptionType | None = None

    @property
    def symbol(self) -> str:
        start = f"{self.chain.symbol}-{self.expiry:%y%m%d}"
        if self.strike is None or self.option_type is None:
            return f"{start}-FUT"
        return f"{start}-{self.strike.normalize():f}-{_LETTERS[self.option_type]}"


def packaged_chains() -> tuple[Chain, ...]:
    """Return the chains of this release."""
    data = yaml.safe_load(files("algosat.exchange").joinpath("listings.yaml").read_text("utf-8"))
    return tuple(_chain(entry) for entry in data["chains"])


def listed_contracts(
    chains: Sequence[Chain],
    calendar: Calendar,
    day: date,
    closes: Mapping[str, Decimal],
    known: Iterable[str] = (),
) -> Universe:
    """Return the contracts that are listed on a trading day, by symbol.

    Args:
        closes: The last price of each underlying.
        known: Symbols listed before. Those of contracts that have not expired stay listed.
    """
    by_symbol = {chain.symbol: chain for chain in chains}
    kept = (_parse(symbol, by_symbol) for symbol in known)
    keys = {key.symbol: key for key in kept if key is not None and key.expiry >= day}
    for chain in chains:
        keys |= {key.symbol: key for key in _introduced(chain, calendar, day, closes[chain.underlying])}
    ordered = sorted(keys.values(), key=lambda key: (key.strike is not None, key.symbol))
    return {
        key.symbol: _listing(key, closes[key.chain.underlying], number) for number, key in enumerate(ordered)
    }


def rebuild_contracts(
    chains: Sequence[Chain], symbols: Iterable[str], closes: Mapping[str, Decimal]
) -> Universe:
    """Return the contracts among these symbols, expired or not."""
    by_symbol = {chain.symbol: chain for chain in chains}
    keys = (_parse(symbol, by_symbol) for symbol in symbols)
    return {key.symbol: _listing(key, closes[key.chain.underlying], 0) for key in keys if key is not None}


def settles_at(calendar: Calendar, instrument: Instrument) -> datetime | None:
    """Return when a contract is settled: at the end of its last day's trading. None without an expiry.

    A market that never closes, or is closed on that day, settles at the end of the day.
    """
    if instrument.expiry is None:
        return None
    noon = _noon(instrument.expiry)
    try:
        closes_at = calendar.closes_at(instrument.segment, instrument.has_derivatives, noon)
    except CalendarUnknown:
        closes_at = None
    return closes_at or moment(instrument.expiry, time(23, 59, 59))


def _introduced(chain: Chain, calendar: Calendar, day: date, close: Decimal) -> Iterator[_Key]:
    """Yield the contracts that the exchange lists on a day if they are not listed already."""
    monthly = _monthly_expiries(calendar, day)
    for expiry in monthly:
        yield _Key(chain, expiry)
    if not chain.interval:
        return
    middle = (close / chain.interval).to_integral_value() * chain.interval
    for expiry in dict.fromkeys([*_weekly_expiry(chain, calendar, day), *monthly]):
        for step in range(-chain.strikes, chain.strikes + 1):
            strike = middle + step * chain.interval
            if strike > 0:
                yield from (_Key(chain, expiry, strike, option_type) for option_type in OptionType)


def _monthly_expiries(calendar: Calendar, day: date) -> list[date]:
    """Return the nearest monthly expiry, and the next one too in the last week before it.

    An expiry that the calendar does not cover is not listed.
    """
    found: list[date] = []
    month = day.replace(day=1)
    while not found or found[0] - day < _ROLL:
        following = (month + timedelta(days=31)).replace(day=1)
        last = following - timedelta(days=1)
        expiry = _expiry_of(calendar, last - timedelta(days=(last.weekday() - _TUESDAY) % 7))
        if expiry is None or len(found) == 2:
            break
        if expiry >= day:
            found.append(expiry)
        month = following
    return found


def _weekly_expiry(chain: Chain, calendar: Calendar, day: date) -> Iterator[date]:
    if not chain.weekly:
        return
    tuesday = day + timedelta(days=(_TUESDAY - day.weekday()) % 7)
    expiry = _expiry_of(calendar, tuesday)
    if expiry is not None and expiry < day:  # this week's was moved to an earlier day
        expiry = _expiry_of(calendar, tuesday + _WEEK)
    if expiry is not None:
        yield expiry


def _expiry_of(calendar: Calendar, day: date) -> date | None:
    """Return the last trading day up to and including this one, or None if the calendar does not cover it.

    A calendar that assumes trading days beyond its end does not cover them: they may be holidays.
    """
    left = calendar.days_left(_noon(day))
    if left is not None and left < 0:
        return None
    try:
        while calendar.trading_day(_noon(day)) != day:
            day -= timedelta(days=1)
    except CalendarUnknown:
        return None
    return day


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), EXCHANGE_TIME)


def _parse(symbol: str, chains: Mapping[str, Chain]) -> _Key | None:
    """Return the parts of a symbol, or None if it is not a contract of these chains."""
    match = _SYMBOL.fullmatch(symbol)
    if match is None or match["chain"] not in chains:
        return None
    expiry = datetime.strptime(match["expiry"], "%y%m%d").date()  # noqa: DTZ007 - a date has no time zone
    if match["strike"] is None:
        return _Key(chains[match["chain"]], expiry)
    option_type = next(each for each, letters in _LETTERS.items() if letters == match["type"])
    return _Key(chains[match["chain"]], expiry, Decimal(match["strike"]), option_type)


def _listing(key: _Key, close: Decimal, number: int) -> Listing:
    chain, is_option = key.chain, key.strike is not None
    what = f"{key.strike:f} {key.option_type}" if is_option else "future"
    return Listing(
        instrument=Instrument(
            symbol=key.symbol,
            name=f"{chain.name} {key.expiry:%d %b %Y} {what}",
            kind=InstrumentKind.OPTION if is_option else InstrumentKind.FUTURE,
            segment=DERIVATIVES,
            tick=_OPTION_TICK if is_option else tick_for(close, index=chain.index),
            lot=chain.lot,
            freeze_quantity=chain.freeze,
            expiry=key.expiry,
            underlying=chain.underlying,
            strike=key.strike,
            option_type=key.option_type,
            settlement=chain.settlement,
        ),
        price=close,
        daily_volume=chain.volume,
        volatility=chain.volatility if is_option else 0.0,
        band_percent=chain.band,
        underlying=(chain.underlying,),
        basis=chain.carry,
        spread=_OPTION_SPREAD if is_option else SPREAD,
        turn=number,
    )


def _chain(entry: Mapping[str, Any]) -> Chain:
    decimals = {name: Decimal(entry[name]) for name in ("lot", "freeze", "band", "interval") if name in entry}
    return Chain(**{**entry, **decimals, "settlement": SettlementMethod(entry["settlement"])})
