"""The paper broker as the settings want it."""

from __future__ import annotations

import os
from datetime import timedelta

from algosat import clock
from algosat.brokers.base import Broker
from algosat.brokers.paper import faults, universe
from algosat.brokers.paper.broker import PaperBroker
from algosat.brokers.paper.faulty import FaultyBroker
from algosat.brokers.paper.records import Store
from algosat.brokers.paper.rules import Rules
from algosat.clock import Clock
from algosat.config.settings import Algosat, Paper
from algosat.domain.calendar import calendar_for


def paper_rules(paper: Paper) -> Rules:
    return Rules(
        universe=universe.packaged(),
        calendar=calendar_for(always_open=paper.always_open),
        seed=paper.seed,
        latency=timedelta(milliseconds=paper.latency_ms),
    )


def paper_broker(settings: Algosat, store: Store, *, now: Clock = clock.now) -> Broker:
    """Takes the exchange over, as it stands in the store, with `start`."""
    broker = PaperBroker(paper_rules(settings.paper), store, speed=settings.paper.speed, now=now)
    plan = faults.configured(settings.environment)
    # Another process draws other faults, lest the one that ended the last start ends every start.
    return FaultyBroker(broker, plan, first_call=1_000_000 * os.getpid()) if plan else broker
