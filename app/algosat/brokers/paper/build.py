"""The paper broker as the settings want it."""

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
from algosat.config.settings import AlgosatFile, PaperSettings
from algosat.domain.calendar import calendar_for
from algosat.exchange import listings
from algosat.exchange.rules import Rules


def paper_rules(paper: PaperSettings) -> Rules:
    return Rules(
        universe=listings.packaged(),
        calendar=calendar_for(always_open=paper.always_open),
        seed=paper.seed,
        latency=timedelta(milliseconds=paper.latency_ms),
    )


def paper_broker(settings: AlgosatFile, store: UnitRunner, *, now: Clock = clock.now) -> Broker:
    """Takes the exchange over, as it stands in the store, with `start`."""
    broker = PaperBroker(paper_rules(settings.paper), store, speed=settings.paper.speed, now=now)
    faults = plan.configured(settings.environment)
    # Another process draws other faults, lest the one that ended the last start ends every start.
    return FaultyBroker(broker, faults, first_call=1_000_000 * os.getpid()) if faults else broker
