"""Expiry: contracts are settled when their trading ends, and new ones are listed on the next trading day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from algosat.domain.instruments import FinalSettlement
from algosat.exchange import contracts
from algosat.exchange.prices import random_walk
from algosat.exchange.prices.random_walk import Paths
from algosat.exchange.rules import Rules

Settlements = Mapping[str, FinalSettlement]


def next_settlement(rules: Rules, settled: Settlements) -> datetime | None:
    """Return when the next contract is to be settled, or None if no contract is listed."""
    times = (
        contracts.settles_at(rules.calendar, listing.instrument)
        for symbol, listing in rules.universe.items()
        if symbol not in settled
    )
    return min((at for at in times if at is not None), default=None)


def settle(rules: Rules, paths: Paths, settled: Settlements, at: datetime) -> Settlements:
    """Return the settlements with those of the contracts whose trading has ended by `at`.

    The final settlement price is the close of the underlying. The settlement is dated at the end of trading,
    however late this function is called.
    """
    new: dict[str, FinalSettlement] = {}
    for symbol, listing in rules.universe.items():
        ended_at = contracts.settles_at(rules.calendar, listing.instrument)
        if symbol not in settled and ended_at is not None and ended_at <= at:
            (underlying,) = listing.underlying
            value = listing.instrument.value_at_expiry(paths[underlying].last)
            new[symbol] = FinalSettlement(symbol, ended_at, value)
    return {**settled, **new}


def list_contracts(rules: Rules, paths: Paths, day: date, at: datetime) -> tuple[Rules, Paths]:
    """Return the rules with the contracts of a trading day, and the paths with those of new contracts.

    The paths of contracts that are no longer listed are kept.
    """
    continuing = {
        symbol: listing for symbol, listing in rules.universe.items() if listing.instrument.expiry is None
    }
    listed = contracts.listed_contracts(
        rules.chains, rules.calendar, day, _closes(rules, paths), rules.universe.keys()
    )
    new = {
        symbol: random_walk.contract_path(listing, paths, at)
        for symbol, listing in listed.items()
        if symbol not in paths
    }
    return replace(rules, universe={**continuing, **listed}), {**paths, **new}


def relist(rules: Rules, paths: Paths, symbols: Iterable[str]) -> Rules:
    """Return the rules with the contracts among these symbols, expired or not, after a restart."""
    known = contracts.rebuild_contracts(rules.chains, symbols, _closes(rules, paths))
    return replace(rules, universe={**rules.universe, **known})


def _closes(rules: Rules, paths: Paths) -> dict[str, Decimal]:
    return {chain.underlying: paths[chain.underlying].last for chain in rules.chains}
