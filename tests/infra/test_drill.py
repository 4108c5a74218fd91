"""What the drill calls wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from tests.drill.faults import FAULTS
from tests.drill.judge import Record, findings
from tests.drill.traffic import Answer
from tests.infra.test_alert_rules import alerts

OF_OVERLOAD: Final = Answer("/orders", 503, is_problem=True, retry_after="1", body={}, seconds=0.1)
RIGHT: Final = Record(
    name="engine hung",
    told_within=15,
    told_after=12.4,
    told_by="EngineSilent",
    answers=(OF_OVERLOAD,),
    acknowledged=frozenset({"a", "b"}),
    stored=frozenset({"a", "b"}),
    changed_keys=0,
    exit_after=5.5,
    is_halted=True,
    healthy_after=0.6,
    starts=1,
    proof="",
)


def test_right_record_has_no_findings() -> None:
    assert list(findings(RIGHT)) == []


@pytest.mark.parametrize(
    ("difference", "finding"),
    [
        ({"told_after": None}, "told never"),
        ({"told_after": 15.1}, "told after 15 s"),
        ({"answers": (replace(OF_OVERLOAD, retry_after=None),)}, "without Retry-After"),
        ({"answers": (replace(OF_OVERLOAD, status=502, is_problem=False),)}, "without a problem document"),
        ({"stored": frozenset({"a"})}, "lost"),
        ({"acknowledged": frozenset({"a"})}, "unknown to any client"),
        ({"changed_keys": 1}, "another order"),
        ({"exit_after": None}, "not closed"),
        ({"is_halted": False}, "not halted"),
        ({"healthy_after": None}, "not healthy"),
        ({"starts": 5}, "restart loop"),
        ({"proof": "event 3 was changed"}, "event 3 was changed"),
    ],
)
def test_each_fault_of_a_server_is_found(difference: dict[str, object], finding: str) -> None:
    (found,) = findings(replace(RIGHT, **difference))  # type: ignore[arg-type]
    assert finding in found


def test_each_fault_is_named_by_an_alert_that_exists() -> None:
    known = {rule["alert"] for rule in alerts()}
    assert {alert.partition(":")[0] for fault in FAULTS for alert in fault.alerts} <= known


def test_faults_have_different_names() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
