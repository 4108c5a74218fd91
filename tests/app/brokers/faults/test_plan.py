from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import orjson
import pytest

from algosat.brokers.faults import plan
from algosat.brokers.faults.plan import OF_WRITES, Fault, FaultPlan, PlanFile
from algosat.errors import ConfigurationError


def test_same_calls_draw_the_same_faults() -> None:
    plan = FaultPlan(seed=3, rates={Fault.LOST: 0.3, Fault.DOWN: 0.2})
    drawn = [plan.draw(OF_WRITES, "place", number) for number in range(200)]
    assert drawn == [plan.draw(OF_WRITES, "place", number) for number in range(200)]
    assert drawn != [
        FaultPlan(seed=4, rates=plan.rates).draw(OF_WRITES, "place", number) for number in range(200)
    ]


def test_faults_are_drawn_at_the_rates_of_the_plan() -> None:
    plan = FaultPlan(rates={Fault.LOST: 0.3, Fault.DOWN: 0.2})
    drawn = Counter(plan.draw(OF_WRITES, "place", number) for number in range(4000))
    assert 0.27 < drawn[Fault.LOST] / 4000 < 0.33
    assert 0.17 < drawn[Fault.DOWN] / 4000 < 0.23
    assert set(drawn) == {None, Fault.LOST, Fault.DOWN}


def test_plan_without_rates_draws_no_fault() -> None:
    assert {FaultPlan().draw(OF_WRITES, "place", number) for number in range(100)} == {None}


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    file = PlanFile(path, "paper")
    assert file() == FaultPlan()
    path.write_bytes(orjson.dumps({"seed": 5, "rates": {"down": 1}, "delay_seconds": 0.5}))
    assert file() == FaultPlan(5, {Fault.DOWN: 1.0}, 0.5)
    path.write_bytes(b"{}")
    os.utime(path, ns=(1, 1))
    assert file() == FaultPlan()
    path.unlink()
    assert file() == FaultPlan()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"rates": {"typo": 1}}', b'{"seed": "x"}'])
def test_invalid_plan_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        plan.read(content, "paper")


def test_plan_may_name_the_accounts_that_have_faults() -> None:
    content = orjson.dumps({"rates": {"down": 1}, "accounts": ["dollars"]})
    assert plan.read(content, "dollars") == FaultPlan(rates={Fault.DOWN: 1.0})
    assert plan.read(content, "paper") == FaultPlan()


def test_faults_are_off_without_a_file() -> None:
    assert plan.configured("testing", "paper", {}) is None
    assert plan.configured("testing", "paper", {plan.FILE_VARIABLE: "/nowhere"}) is not None


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_faults_are_refused_outside_testing(environment: str) -> None:
    with pytest.raises(ConfigurationError, match="testing only"):
        plan.configured(environment, "paper", {plan.FILE_VARIABLE: "/tmp/faults"})  # type: ignore[arg-type]
