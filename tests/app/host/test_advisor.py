from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from algosat.config.settings import VpsSettings
from algosat.host.advisor import advise, exceeded
from algosat.host.probe import Reading

CALM = Reading(
    cpu_count=2,
    cpu_percent=5,
    load_average=(0.1, 0.1, 0.1),
    memory_total=4 << 30,
    memory_available=3 << 30,
    memory_percent=25,
    swap_total=1 << 30,
    swap_percent=0,
    disk_total=40 << 30,
    disk_free=30 << 30,
    disk_percent=25,
    boot_time=0,
    process_count=100,
)


def thresholds(**differences: Any) -> VpsSettings:
    values = {"optimization_enabled": True, "memory_threshold": 85, "cpu_threshold": 90, "disk_threshold": 90}
    return VpsSettings(**{**values, **differences})


def test_idle_machine_needs_no_advice() -> None:
    assert advise(CALM, thresholds()) == []
    assert exceeded(CALM, thresholds()) == []


@pytest.mark.parametrize(
    ("difference", "subject"),
    [
        ({"memory_percent": 85.0}, "memory"),
        ({"swap_total": 0}, "swap"),
        ({"swap_percent": 60.0}, "swap"),
        ({"cpu_percent": 95.0}, "cpu"),
        ({"load_average": (0.0, 0.0, 4.5)}, "cpu"),
        ({"disk_percent": 99.0}, "disk"),
    ],
)
def test_advice_names_the_scarce_resource_and_a_remedy(difference: dict[str, Any], subject: str) -> None:
    (advice,) = advise(replace(CALM, **difference), thresholds())
    assert advice.subject == subject
    assert advice.remedy


def test_exceeded_threshold_is_reported_with_both_figures() -> None:
    assert exceeded(replace(CALM, disk_percent=93.4), thresholds()) == ["disk at 93 % of 90 %"]


def test_no_advice_is_given_if_optimisation_is_disabled() -> None:
    assert advise(replace(CALM, disk_percent=99), thresholds(optimization_enabled=False)) == []
