"""Prices out of nothing: a seeded synthetic market as a pure step function.

    paths, quotes = follow(rules, paths, span, at)

It goes on from a checkpoint as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime

from algosat.domain.instruments import Quote
from algosat.domain.market_phases import Phase
from algosat.exchange import display
from algosat.exchange.listings import Listing, Universe
from algosat.exchange.prices import random_walk
from algosat.exchange.prices.random_walk import Path, Paths, circuit
from algosat.exchange.rules import Rules


def begin(universe: Universe) -> Paths:
    """The market before its first day."""
    return {symbol: random_walk.unborn(listing) for symbol, listing in universe.items()}


def roll(paths: Paths, symbol: str, day: date) -> Paths:
    """Bring one symbol to a new trading day: its last price is the close that the circuit is taken from."""
    path = paths[symbol]
    return paths if path.day == day else {**paths, symbol: random_walk.rolled(path, day)}


def advance(
    universe: Universe, seed: int, paths: Paths, symbols: Collection[str], span: float, at: datetime
) -> tuple[Paths, tuple[Quote, ...]]:
    """Move the named symbols by `span` trading seconds, and quote them at `at`."""
    moved = dict(paths)
    for symbol, listing in universe.items():  # in this order a future finds what it stands on already moved
        if symbol in symbols:
            moved[symbol] = random_walk.moved(universe, listing, seed, moved, span, at)
    return moved, tuple(
        quote(universe[symbol], seed, moved[symbol], at) for symbol in universe if symbol in symbols
    )


def follow(rules: Rules, paths: Paths, span: float, at: datetime) -> tuple[Paths, Sequence[Quote]]:
    """Move what trades at this moment, and quote it.

    On a new day every symbol is first brought to it, and quoted at its last close, as it is before its
    first day, whenever that is; in a pre-open session it then moves once, to the price of the match.
    """
    today = rules.day(at)
    phases = {symbol: rules.phase(listing, at) for symbol, listing in rules.universe.items()}
    new = {
        symbol
        for symbol, phase in phases.items()
        if paths[symbol].day == date.min or (phase is not Phase.CLOSED and paths[symbol].day != today)
    }
    for symbol in new:
        paths = roll(paths, symbol, today)
    moving = {
        symbol
        for symbol, phase in phases.items()
        if phase is Phase.CONTINUOUS or (phase is Phase.PRE_OPEN_MATCH and not paths[symbol].opened)
    }
    paths, quotes = advance(rules.universe, rules.seed, paths, moving, span, at)
    at_close = [
        quote(rules.universe[symbol], rules.seed, paths[symbol], at) for symbol in sorted(new - moving)
    ]
    return paths, (*quotes, *at_close)


def quote(listing: Listing, seed: int, path: Path, at: datetime) -> Quote:
    lower, upper = circuit(listing, path.previous_close)
    shown = display.around(listing, seed, path.step, path.last, lower, upper)
    return Quote(
        symbol=listing.symbol,
        at=at,
        last=path.last,
        bid=shown.bid,
        ask=shown.ask,
        bid_quantity=shown.bid_quantity,
        ask_quantity=shown.ask_quantity,
        volume=path.volume,
        open=path.open,
        high=path.high,
        low=path.low,
        lower_circuit=lower,
        upper_circuit=upper,
    )
