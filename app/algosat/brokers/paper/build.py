"""Construction of the paper broker from the settings, with injected faults where they are configured."""

from __future__ import annotations

import os
from datetime import timedelta

from algosat import clock
from algosat.brokers.base import Broker
from algosat.brokers.faults import plan
from algosat.brokers.faults.faulty_broker import FaultyBroker
from algosat.brokers.paper.broker import PaperBroker
from algosat.brokers.paper.persistence import UnitRunner
from algosat.clock import Clock
from algosat.config.settings import AccountSettings, AlgosatFile, PaperSettings
from algosat.domain.calendar import Calendar
from algosat.exchange import contracts, listings
from algosat.exchange.rules import Rules
from algosat.store import ledger


def paper_rules(paper: PaperSettings, calendar: Calendar) -> Rules:
    """Return the rules of the exchange.

    Listings are those of the release; which of them, seed and latency come from the settings. After the end
    of the calendar every weekday is an ordinary trading day, so that exits are filled.
    """
    is_of_coins = paper.listings == "coins"
    return Rules(
        universe=listings.packaged_coins() if is_of_coins else listings.packaged(),
        calendar=calendar.assuming_weekdays(),
        seed=paper.seed,
        latency=timedelta(milliseconds=paper.latency_ms),
        chains=() if is_of_coins else contracts.packaged_chains(),
    )


def paper_broker(
    settings: AlgosatFile,
    account: AccountSettings,
    store: UnitRunner,
    calendar: Calendar,
    *,
    now: Clock = clock.now,
) -> Broker:
    """Build the paper broker, and deposit its starting cash once.

    Its `start` takes over the exchange in the store.
    """
    paper = account.paper
    rules = paper_rules(paper, calendar)
    broker = PaperBroker(rules, store, speed=paper.speed, account=account.name, now=now)
    store.run(lambda connection: ledger.deposit(connection, account.name, paper.starting_cash))
    faults = plan.configured(settings.environment, account.name)
    if faults is None:
        return broker
    # Each process draws other faults: otherwise a fault that ends one start would end every start.
    return FaultyBroker(broker, faults, first_call=1_000_000 * os.getpid(), cross=broker.cross)
