from __future__ import annotations

from pathlib import Path

from algosat.config.loader import load
from algosat.config.summary import MASK, summarise
from tests.app.builders import FERNET_KEY, SECRET_KEY, write_configuration


def test_secrets_are_masked_in_every_section(tmp_path: Path) -> None:
    summary = summarise(load(write_configuration(tmp_path)))
    assert summary["security"]["secret_key"]["value"] == MASK
    assert summary["database"]["url"]["value"] == MASK
    assert summary["encryption"]["keys"]["value"] == [MASK]
    assert SECRET_KEY not in str(summary)
    assert FERNET_KEY not in str(summary)


def test_value_is_shown_with_its_origin_and_inventory_variable(tmp_path: Path) -> None:
    summary = summarise(load(write_configuration(tmp_path)), {("vps", "cpu_threshold")})
    assert summary["vps"]["cpu_threshold"] == {
        "value": 90,
        "origin": "override",
        "changeable": True,
        "inventory_variable": "algosat_vps_cpu_threshold",
    }
    assert summary["general"]["environment"]["origin"] == "file"
    assert summary["general"]["environment"]["changeable"] is False
