"""The rules of the exchange: listings, calendar, seed and latency.

Only the listings change while it runs: contracts expire, and new ones are listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from algosat.domain.calendar import Calendar, date_at, moment
from algosat.domain.market_phases import Phase
from algosat.errors import CalendarUnknown
from algosat.exchange.contracts import Chain
from algosat.exchange.listings import Listing, Universe
from algosat.exchange.prices import seeded

_A_DAY: Final = timedelta(days=1)
_AUCTION_BAND: Final = Decimal("0.03")  # of the closing auction, around its reference price


@dataclass(frozen=True, slots=True)
class Rules:
    """Parameters of one exchange."""

    universe: Universe  # underlyings before their futures and options
    calendar: Calendar
    seed: int
    latency: timedelta = timedelta(0)  # minimum time from sending a request to its arrival
    jitter: float = 0.5  # maximum additional time, as a share of the latency
    participation: Decimal = Decimal("0.25")  # maximum share of the traded volume for our resting orders
    stale_after: timedelta = timedelta(seconds=60)  # nothing trades on an older quote
    chains: tuple[Chain, ...] = ()  # of the contracts that are listed beside the universe

    def phase(self, listing: Listing, at: datetime) -> Phase:
        """Return the market phase. Dates that the calendar does not cover are closed."""
        try:
            return self.calendar.phase(listing.instrument.segment, listing.has_derivatives, at)
        except CalendarUnknown:
            return Phase.CLOSED

    def phases(self, at: datetime) -> dict[str, Phase]:
        """Return the phase of every symbol; it is looked up once for all that share their hours."""
        known: dict[tuple[str, bool], Phase] = {}
        found: dict[str, Phase] = {}
        for symbol, listing in self.universe.items():
            hours = listing.instrument.segment, listing.has_derivatives
            if hours not in known:
                known[hours] = self.phase(listing, at)
            found[symbol] = known[hours]
        return found

    def day(self, at: datetime) -> date:
        """Return the trading day; after the end of the calendar the date, so that orders still expire."""
        try:
            return self.calendar.trading_day(at)
        except CalendarUnknown:
            return date_at(self.calendar, at)

    def began(self, day: date) -> datetime:
        """Return the first moment of a trading day. It follows the trading day before, holidays included."""
        start = moment(day, time(), self.calendar.zone)
        while self.day(start - _A_DAY) == day:
            start -= _A_DAY
        return start

    def entry_is_over(self, listing: Listing, at: datetime) -> bool:
        """Whether the random close of an auction's order entry has passed."""
        if self.phase(listing, at) is Phase.CLOSED:
            return True
        window = self.calendar.window(listing.instrument.segment, listing.has_derivatives, at)
        if window is None or window.random_close_from is None:
            return False
        day, zone = date_at(self.calendar, at), self.calendar.zone
        earliest, latest = moment(day, window.random_close_from, zone), moment(day, window.end, zone)
        # One moment for the whole market, as at the real exchange.
        share = seeded.uniform(self.seed, "random close", str(day), window.phase)
        return at >= earliest + share * (latest - earliest)

    def travel_time(self, request: int) -> timedelta:
        return self.latency * (1 + self.jitter * seeded.uniform(self.seed, "latency", request))


def within_auction_band(price: Decimal, reference: Decimal) -> bool:
    return abs(price - reference) <= _AUCTION_BAND * reference
