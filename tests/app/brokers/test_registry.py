from __future__ import annotations

from typing import get_args

import yaml

from algosat.brokers.registry import BROKERS, configured_broker
from algosat.config.settings import AccountSettings, Settings
from algosat.domain.calendar import AlwaysOpen
from algosat.store.writer import Writer
from tools.paths import ROOT


def test_each_broker_of_the_settings_can_be_built() -> None:
    assert set(get_args(AccountSettings.model_fields["broker"].annotation)) == BROKERS.keys()


def test_role_offers_the_same_brokers() -> None:
    specs = yaml.safe_load((ROOT / "roles" / "algosat" / "meta" / "argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    for variable in ("algosat_accounts", "algosat_account_defaults"):
        assert set(options[variable]["options"]["broker"]["choices"]) == BROKERS.keys()


def test_configured_broker_trades_the_configured_account(settings: Settings, writer: Writer) -> None:
    account = settings.algosat.accounts[0].model_copy(update={"name": "trial"})
    broker = configured_broker(settings.algosat, account, writer, AlwaysOpen())
    assert (broker.name, broker.account) == ("paper", "trial")
