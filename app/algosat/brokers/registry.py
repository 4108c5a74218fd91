"""The brokers by their names in the settings: what each can do, and the function that builds its adapter.

Every process reads the capabilities; only the engine imports an adapter, and only one that is configured.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from algosat.brokers.paper import capabilities as paper
from algosat.domain.capabilities import Capabilities

if TYPE_CHECKING:
    from algosat.brokers.base import Broker
    from algosat.config.settings import AccountSettings, AlgosatFile
    from algosat.domain.calendar import Calendar
    from algosat.store.writer import Writer

    BuildBroker = Callable[[AlgosatFile, AccountSettings, Writer, Calendar], Broker]


@dataclass(frozen=True, slots=True)
class RegisteredBroker:
    capabilities: Capabilities
    build: str  # "module:function"


BROKERS: Final[Mapping[str, RegisteredBroker]] = {
    "paper": RegisteredBroker(paper.CAPABILITIES, "algosat.brokers.paper.build:paper_broker"),
}


def configured_broker(
    settings: AlgosatFile, account: AccountSettings, writer: Writer, calendar: Calendar
) -> Broker:
    """Build the broker of an account."""
    build: BuildBroker = pkgutil.resolve_name(BROKERS[account.broker].build)
    return build(settings, account, writer, calendar)
