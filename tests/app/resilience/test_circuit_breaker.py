"""The circuit breaker: failures, hangs, the pause and the probe after it."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from algosat.resilience.circuit_breaker import CallOutcome, CircuitBreaker, CircuitState
from tests.app.builders import NOW

PAUSE, HANGS_AFTER = timedelta(seconds=5), timedelta(seconds=15)
FAILED, ANSWERED, HUNG = CallOutcome.FAILED, CallOutcome.ANSWERED, CallOutcome.HUNG
CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
SECOND = timedelta(seconds=1)


def breaker(*, draw: float = 1.0) -> CircuitBreaker:
    return CircuitBreaker(failures=3, pause=PAUSE, hangs_after=HANGS_AFTER, draw=lambda: draw)


def begun(circuit: CircuitBreaker, at: timedelta = timedelta(), *, always: bool = False) -> int:
    call = circuit.try_begin(NOW + at, always=always)
    assert call is not None
    return call


def record(circuit: CircuitBreaker, outcome: CallOutcome, at: timedelta = timedelta()) -> bool:
    """Make a call that ends at once. Return whether it opened the circuit."""
    return circuit.end(begun(circuit, at), NOW + at, outcome)


def opened(*, draw: float = 1.0) -> CircuitBreaker:
    circuit = breaker(draw=draw)
    assert [record(circuit, FAILED) for _ in range(3)] == [False, False, True]
    return circuit


def test_circuit_opens_at_the_last_of_the_failures() -> None:
    circuit = breaker()
    for _ in range(2):
        record(circuit, FAILED)
        assert circuit.state(NOW) is CLOSED
    record(circuit, FAILED)
    assert circuit.state(NOW) is OPEN
    assert circuit.try_begin(NOW) is None


def test_answer_between_failures_starts_the_count_again() -> None:
    circuit = breaker()
    for _ in range(4):
        record(circuit, FAILED)
        record(circuit, FAILED)
        record(circuit, ANSWERED)
    assert circuit.state(NOW) is CLOSED


def test_one_call_passes_after_the_pause_and_the_others_wait_for_its_outcome() -> None:
    circuit = opened()
    assert circuit.try_begin(NOW + PAUSE - timedelta(milliseconds=1)) is None
    assert circuit.state(NOW + PAUSE) is HALF_OPEN
    probe = begun(circuit, PAUSE)
    assert circuit.try_begin(NOW + PAUSE) is None
    circuit.end(probe, NOW + PAUSE, ANSWERED)
    assert circuit.state(NOW + PAUSE) is CLOSED
    assert not record(circuit, FAILED, PAUSE)


def test_failed_probe_opens_the_circuit_for_another_pause() -> None:
    circuit = opened()
    assert record(circuit, FAILED, PAUSE)
    assert circuit.state(NOW + PAUSE) is OPEN
    assert circuit.state(NOW + 2 * PAUSE) is HALF_OPEN


def test_pause_is_shorter_by_up_to_a_fifth() -> None:
    assert opened(draw=0).state(NOW + 4 * SECOND) is HALF_OPEN
    assert opened(draw=0.5).state(NOW + 4.4 * SECOND) is OPEN


def test_call_that_must_pass_passes_and_its_answer_closes_the_circuit() -> None:
    circuit = opened()
    circuit.end(begun(circuit, always=True), NOW, FAILED)
    assert circuit.state(NOW) is OPEN
    circuit.end(begun(circuit, always=True), NOW, ANSWERED)
    assert circuit.state(NOW) is CLOSED


def test_one_call_that_hangs_opens_the_circuit() -> None:
    circuit = breaker()
    begun(circuit)
    assert circuit.state(NOW + HANGS_AFTER) is CLOSED
    later = NOW + HANGS_AFTER + SECOND
    assert circuit.state(later) is OPEN
    assert circuit.try_begin(later) is None


def test_call_that_was_given_up_opens_the_circuit() -> None:
    circuit = breaker()
    assert record(circuit, HUNG)
    assert circuit.state(NOW) is OPEN


def test_late_answer_of_a_call_that_hung_proves_nothing() -> None:
    circuit = breaker()
    call = begun(circuit)
    later = HANGS_AFTER + SECOND
    assert circuit.state(NOW + later) is OPEN
    circuit.end(call, NOW + later, ANSWERED)
    assert circuit.state(NOW + later) is OPEN


def test_probe_that_hangs_makes_room_for_another_one() -> None:
    circuit = opened()
    begun(circuit, PAUSE)
    later = PAUSE + HANGS_AFTER + SECOND
    assert circuit.state(NOW + later) is OPEN
    circuit.end(begun(circuit, later + PAUSE), NOW + later + PAUSE, ANSWERED)
    assert circuit.state(NOW + later + PAUSE) is CLOSED


def test_setting_the_clock_back_does_not_prolong_the_pause() -> None:
    assert opened().state(NOW - timedelta(hours=1)) is HALF_OPEN


def test_call_under_way_has_not_hung_because_the_clock_was_set_back() -> None:
    circuit = breaker()
    begun(circuit)
    assert circuit.state(NOW - timedelta(hours=1)) is CLOSED
    assert circuit.state(NOW - timedelta(hours=1) + HANGS_AFTER) is CLOSED
    assert circuit.state(NOW - timedelta(hours=1) + HANGS_AFTER + SECOND) is OPEN


@given(
    st.lists(st.tuples(st.sampled_from(["begin", *CallOutcome]), st.integers(0, 20)), max_size=60),
    st.floats(0, 1),
)
def test_circuit_always_closes_after_an_answer_and_never_admits_two_probes(
    steps: list[tuple[str, int]], draw: float
) -> None:
    circuit, at, calls = breaker(draw=draw), NOW, list[int]()
    for step, seconds in steps:
        at += timedelta(seconds=seconds)
        if step == "begin":
            before = circuit.state(at)
            call = circuit.try_begin(at)
            assert before is not OPEN or call is None
            if before is HALF_OPEN:
                assert circuit.try_begin(at) is None
            calls += [] if call is None else [call]
        elif calls:
            circuit.end(calls.pop(0), at, CallOutcome(step))
    at += HANGS_AFTER + PAUSE + SECOND  # whatever was under way has hung
    circuit.state(at)
    at += PAUSE
    call = circuit.try_begin(at)
    assert call is not None
    circuit.end(call, at, ANSWERED)
    assert circuit.state(at) is CLOSED
