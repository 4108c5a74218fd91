from __future__ import annotations

import pytest

from algosat.clock import ClockWatch


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.passed, self.set_by = 1000.0, 0.0

    def wall(self) -> float:
        return 1_795_000_000.0 + self.passed + self.set_by

    def elapsed(self) -> float:
        return self.passed


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def watch(machine: Machine) -> ClockWatch:
    return ClockWatch(machine.wall, machine.elapsed)


def test_clock_that_only_runs_has_no_offset(machine: Machine, watch: ClockWatch) -> None:
    for _ in range(1000):
        machine.passed += 5
        assert watch.offset() == 0


@pytest.mark.parametrize("step", [40.0, -40.0, 600.0, -3600.0])
def test_step_is_shown_for_ten_minutes(machine: Machine, watch: ClockWatch, step: float) -> None:
    watch.offset()
    machine.set_by = step
    for _ in range(118):
        machine.passed += 5
        assert watch.offset() == step
    for _ in range(5):
        machine.passed += 5
        last = watch.offset()
    assert last == 0


def test_step_back_to_the_right_time_ends_the_offset(machine: Machine, watch: ClockWatch) -> None:
    machine.set_by = -600
    machine.passed += 5
    assert watch.offset() == -600
    machine.set_by = 0
    machine.passed += 5
    assert watch.offset() == 0


def test_slewing_of_ntp_is_no_step(machine: Machine, watch: ClockWatch) -> None:
    for _ in range(400):
        machine.passed += 5
        machine.set_by += 5 * 500e-6  # the fastest that the kernel slews
        assert abs(watch.offset()) < 0.5


def test_clock_of_this_machine_is_watched() -> None:
    assert abs(ClockWatch().offset()) < 60
