"""The paper broker as the settings want it."""

from __future__ import annotations

from datetime import timedelta

from algosat.brokers.paper import universe
from algosat.brokers.paper.broker import Clock, PaperBroker, utc_now
from algosat.brokers.paper.rules import Rules
from algosat.brokers.paper.venue import Store
from algosat.config.settings import Paper
from algosat.domain.calendar import calendar_for


def paper_rules(paper: Paper) -> Rules:
    return Rules(
        universe=universe.packaged(),
        calendar=calendar_for(always_open=paper.always_open),
        seed=paper.seed,
        latency=timedelta(milliseconds=paper.latency_ms),
    )


def paper_broker(paper: Paper, store: Store, *, now: Clock = utc_now) -> PaperBroker:
    """Reads the exchange's book from the store; trading begins with `start`."""
    return PaperBroker(paper_rules(paper), store, speed=paper.speed, now=now)
