from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import orjson
import pytest

from algosat.brokers.faults import plan
from algosat.brokers.faults.plan import OF_WRITES, Fault, FaultPlan, PlanFile
from algosat.errors import ConfigurationError


def test_a_plan_draws_the_same_faults_for_the_same_calls() -> None:
    plan = FaultPlan(seed=3, rates={Fault.LOST: 0.3, Fault.DOWN: 0.2})
    drawn = [plan.draw(OF_WRITES, "place", number) for number in range(200)]
    assert drawn == [plan.draw(OF_WRITES, "place", number) for number in range(200)]
    assert drawn != [
        FaultPlan(seed=4, rates=plan.rates).draw(OF_WRITES, "place", number) for number in range(200)
    ]


def test_faults_are_drawn_as_often_as_the_plan_says() -> None:
    plan = FaultPlan(rates={Fault.LOST: 0.3, Fault.DOWN: 0.2})
    drawn = Counter(plan.draw(OF_WRITES, "place", number) for number in range(4000))
    assert 0.27 < drawn[Fault.LOST] / 4000 < 0.33
    assert 0.17 < drawn[Fault.DOWN] / 4000 < 0.23
    assert set(drawn) == {None, Fault.LOST, Fault.DOWN}


def test_a_plan_without_rates_harms_nobody() -> None:
    assert {FaultPlan().draw(OF_WRITES, "place", number) for number in range(100)} == {None}


def test_a_file_is_read_anew_whenever_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    switch = PlanFile(path)
    assert switch() == FaultPlan()
    path.write_bytes(orjson.dumps({"seed": 5, "rates": {"down": 1}, "delay_seconds": 0.5}))
    assert switch() == FaultPlan(5, {Fault.DOWN: 1.0}, 0.5)
    path.write_bytes(b"{}")
    os.utime(path, ns=(1, 1))
    assert switch() == FaultPlan()
    path.unlink()
    assert switch() == FaultPlan()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"rates": {"typo": 1}}', b'{"seed": "x"}'])
def test_a_file_that_is_no_plan_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        plan.read(content)


def test_faults_are_off_unless_a_file_is_named() -> None:
    assert plan.configured("testing", {}) is None
    assert plan.configured("testing", {plan.FILE_VARIABLE: "/nowhere"}) is not None


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_faults_are_refused_outside_of_testing(environment: str) -> None:
    with pytest.raises(ConfigurationError, match="testing only"):
        plan.configured(environment, {plan.FILE_VARIABLE: "/tmp/faults"})  # type: ignore[arg-type]
