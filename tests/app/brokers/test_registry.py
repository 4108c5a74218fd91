from __future__ import annotations

from typing import get_args

import yaml

from algosat.brokers.registry import BROKERS, configured_broker
from algosat.config.settings import AlgosatFile, Settings
from algosat.domain.calendar import AlwaysOpen
from algosat.store.writer import Writer
from tools.paths import ROOT


def test_each_broker_of_the_settings_can_be_built() -> None:
    assert set(get_args(AlgosatFile.model_fields["broker"].annotation)) == BROKERS.keys()


def test_role_offers_the_same_brokers() -> None:
    specs = yaml.safe_load((ROOT / "roles" / "algosat" / "meta" / "argument_specs.yml").read_text())
    choices = specs["argument_specs"]["main"]["options"]["algosat_broker"]["choices"]
    assert set(choices) == BROKERS.keys()


def test_configured_broker_trades_the_configured_account(settings: Settings, writer: Writer) -> None:
    broker = configured_broker(settings.algosat, writer, AlwaysOpen())
    assert (broker.name, broker.account) == ("paper", "paper")
