from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algosat.config.settings import AlgosatFile, VpsSettings
from algosat.host.advisor import Advice, Facts, advise, exceeded, is_exceeded
from algosat.host.history import History
from tests.app.builders import algosat_data
from tests.app.host.readings import GIB, minutes, process, reading

MIB = 2**20


def settings(**differences: Any) -> AlgosatFile:
    return AlgosatFile.model_validate(algosat_data(Path("/x"), **differences))


def advice_on(history: History, **differences: Any) -> list[Advice]:
    return advise(Facts(history, settings(**differences)))


def thresholds(**differences: Any) -> VpsSettings:
    return settings().vps.model_copy(update=differences)


def growing(number: int, **each_minute: float) -> History:
    """Return the history of a machine one of whose figures grows each minute."""
    readings = tuple(
        reading(
            at=60.0 * at, **{name: getattr(reading(), name) + at * by for name, by in each_minute.items()}
        )
        for at in range(number)
    )
    return History(readings, readings[-1:])


def test_idle_machine_needs_no_advice() -> None:
    assert advice_on(minutes(60)) == []
    assert exceeded(minutes(60), thresholds()) == []
    assert advice_on(History()) == []
    assert exceeded(History(), thresholds()) == []


@pytest.mark.parametrize(
    ("difference", "subject", "variable"),
    [
        ({"memory_percent": 85.0}, "memory", "algosat_api_workers"),
        ({"swap_total": 0}, "swap", "common_swapfile_mib"),
        ({"swap_percent": 60.0}, "swap", "algosat_api_workers"),
        ({"cpu_percent": 95.0}, "cpu", None),
        ({"load_average": (0.0, 0.0, 4.5)}, "cpu", None),
        ({"disk_percent": 99.0}, "disk", "backup_keep"),
        ({"inodes_percent": 99.0}, "inodes", None),
        ({"descriptors_percent": 90.0}, "descriptors", "sysctl_settings"),
    ],
)
def test_advice_names_the_scarce_resource_its_reason_and_the_variable(
    difference: dict[str, Any], subject: str, variable: str | None
) -> None:
    (advice,) = advice_on(minutes(60, **difference))
    assert (advice.subject, advice.variable) == (subject, variable)
    assert advice.remedy
    assert advice.reason
    if advice.evidence is not None:
        assert len(advice.evidence.values) == 21
        assert advice.evidence.since == 0.0


def test_every_variable_of_advice_is_a_default_of_a_role() -> None:
    roles = Path(__file__).parents[3] / "roles"
    known = "".join(file.read_text() for file in roles.glob("*/defaults/main.yml"))
    found = {
        advice.variable
        for difference in ({"memory_percent": 99.0}, {"swap_total": 0}, {"disk_percent": 99.0})
        for advice in advice_on(minutes(60, descriptors_percent=99.0, **difference))
    }
    small = reading(memory_total=GIB // 2)
    found |= {each.variable for each in advice_on(History((small,), (small,)), api__workers=4)}
    found |= {each.variable for each in advice_on(minutes(1), database__url="postgresql+psycopg://x/y")}
    named = {variable for variable in found if variable is not None}
    assert named >= {"algosat_api_workers", "algosat_database_pool_size", "common_swapfile_mib"}
    assert [name for name in sorted(named) if f"\n{name}:" not in known] == []


def test_swap_advice_agrees_with_the_default_of_the_role() -> None:
    (advice,) = advice_on(minutes(1, swap_total=0))
    defaults = (Path(__file__).parents[3] / "roles/common/defaults/main.yml").read_text()
    size = advice.remedy.split("common_swapfile_mib to ")[1].split(",")[0]
    assert f"\ncommon_swapfile_mib: {size}\n" in defaults


def test_container_is_not_advised_about_swap() -> None:
    facts = Facts(minutes(1, swap_total=0), settings(), is_container=True)
    assert advise(facts) == []


@pytest.mark.parametrize("lasts", [1, 5])
def test_threshold_is_exceeded_after_so_many_values_and_until_it_is_clearly_passed(lasts: int) -> None:
    values = [50.0] * 3 + [95.0] * lasts
    assert not is_exceeded(values[:-1], 90, lasts=lasts)
    assert is_exceeded(values, 90, lasts=lasts)
    assert is_exceeded([*values, 89.0, 86.0, 89.0], 90, lasts=lasts)  # around the threshold: no flapping
    assert is_exceeded([*values, 10.0], 90, lasts=lasts)
    assert not is_exceeded([*values, 10.0, 10.0], 90, lasts=lasts)


def test_short_load_exceeds_nothing() -> None:
    busy = reading(cpu_percent=100.0)
    calm = minutes(10)
    assert exceeded(replace(calm, recent=(busy,) * 12), thresholds()) == []
    assert exceeded(History((*calm.minutes, *(busy,) * 4), (busy,) * 12), thresholds()) == [
        "cpu at 100 % of 90 %"
    ]


def test_full_disk_is_exceeded_at_the_next_reading() -> None:
    calm = minutes(10)
    full = replace(calm, recent=(*calm.recent, reading(disk_percent=93.4)))
    assert exceeded(full, thresholds()) == ["disk at 93 % of 90 %"]


def test_disk_that_is_full_within_a_week_is_told() -> None:
    (advice,) = advice_on(growing(240, disk_free=-4 * MIB))
    assert advice.subject == "disk"
    assert "full in 5.2 days" in advice.finding
    assert advice_on(growing(240, disk_free=-MIB)) == []
    assert advice_on(growing(60, disk_free=-4 * MIB)) == []  # too short to tell


def test_one_large_file_is_no_growth() -> None:
    before, after = minutes(200).minutes, minutes(40, disk_free=20 * GIB).minutes
    assert advice_on(History((*before, *after))) == []


def test_leak_is_told_with_its_figures_and_end() -> None:
    readings = tuple(
        reading(at=60.0 * at, processes=(process("engine", pid=7, resident_bytes=(60 + at) * MIB),))
        for at in range(30)
    )
    (advice,) = advice_on(History(readings, readings[-1:]))
    assert advice.subject == "leak"
    assert (
        advice.finding == "Memory grows by 1.0 MiB a minute in the process engine (7), with 100.0% confidence"
    )
    assert advice.reason == "The machine's memory ends in about 51 hours at this growth"
    assert "systemctl restart algosat-engine" in advice.remedy
    assert advice.evidence is not None
    assert advice.evidence.values[-1] == 89 * MIB


def test_load_names_the_busiest_process() -> None:
    readings = tuple(
        reading(at=60.0 * at, cpu_percent=99.0, processes=(process("api", cpu_seconds=50.0 * at),))
        for at in range(6)
    )
    (advice,) = advice_on(History(readings, readings[-1:]))
    assert "api used 50 s in the last minute" in advice.remedy


def test_no_advice_is_given_if_optimisation_is_disabled() -> None:
    assert advice_on(minutes(60, disk_percent=99.0), vps__optimization_enabled=False) == []
