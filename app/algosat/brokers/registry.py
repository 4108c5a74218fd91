"""The brokers by their names in the settings, each with the function that builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from algosat.brokers.base import Broker
from algosat.brokers.paper.build import paper_broker
from algosat.config.settings import AccountSettings, AlgosatFile
from algosat.domain.calendar import Calendar
from algosat.store.writer import Writer

BROKERS: Final[Mapping[str, Callable[[AlgosatFile, AccountSettings, Writer, Calendar], Broker]]] = {
    "paper": paper_broker,
}


def configured_broker(
    settings: AlgosatFile, account: AccountSettings, writer: Writer, calendar: Calendar
) -> Broker:
    """Build the broker of an account."""
    return BROKERS[account.broker](settings, account, writer, calendar)
