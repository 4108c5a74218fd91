from __future__ import annotations

from datetime import timedelta

from algosat.resilience.circuit_breaker import CircuitBreaker
from tests.app.builders import NOW

PAUSE = timedelta(seconds=5)


def breaker() -> CircuitBreaker:
    return CircuitBreaker(failures=3, pause=PAUSE)


def opened() -> CircuitBreaker:
    circuit = breaker()
    assert [circuit.record_failure(NOW) for _ in range(3)] == [False, False, True]
    return circuit


def test_circuit_opens_at_the_last_of_the_failures() -> None:
    circuit = breaker()
    for _ in range(2):
        circuit.record_failure(NOW)
        assert not circuit.is_open(NOW)
    circuit.record_failure(NOW)
    assert circuit.is_open(NOW)


def test_success_between_failures_starts_the_count_again() -> None:
    circuit = breaker()
    for _ in range(4):
        circuit.record_failure(NOW)
        circuit.record_failure(NOW)
        circuit.record_success()
    assert not circuit.is_open(NOW)


def test_circuit_is_closed_once_the_rest_is_over() -> None:
    circuit = opened()
    assert circuit.is_open(NOW + PAUSE - timedelta(milliseconds=1))
    assert not circuit.is_open(NOW + PAUSE)


def test_first_failure_after_the_rest_opens_the_circuit_again() -> None:
    circuit = opened()
    assert circuit.record_failure(NOW + PAUSE)
    assert circuit.is_open(NOW + PAUSE)


def test_first_success_after_the_rest_closes_the_circuit() -> None:
    circuit = opened()
    circuit.record_success()
    assert not circuit.record_failure(NOW + PAUSE)


def test_setting_the_clock_back_does_not_prolong_the_pause() -> None:
    assert not opened().is_open(NOW - timedelta(hours=1))
