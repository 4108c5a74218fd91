from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from algosat.monitoring import health
from algosat.monitoring.health import Check, Finding, Health, State
from tests.app.events import PATIENCE, wait_for


class FakeMonotonic:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def check(name: str, answer: Callable[[], Finding], *, vital: bool = False, keep: float = 10) -> Check:
    return Check(name, vital, answer, lambda: keep)


def ok() -> Finding:
    return Finding(True, "fine")


def bad() -> Finding:
    return Finding(False, "broken")


@pytest.mark.parametrize(
    ("store", "broker", "state"),
    [
        (ok, ok, State.HEALTHY),
        (ok, bad, State.DEGRADED),
        (bad, ok, State.UNHEALTHY),
        (bad, bad, State.UNHEALTHY),
    ],
)
def test_state_is_unhealthy_if_a_vital_check_fails(
    store: Callable[[], Finding], broker: Callable[[], Finding], state: State
) -> None:
    board = Health([check("store", store, vital=True), check("broker", broker)])
    assert board.report().state is state
    board.close()


def test_check_that_raises_counts_as_failed() -> None:
    def broken() -> Finding:
        raise ZeroDivisionError("secret")

    board = Health([check("store", broken, vital=True)])
    finding = board.report().findings["store"]
    assert not finding.ok
    assert "secret" not in finding.detail
    board.close()


def test_hanging_check_fails_in_time_and_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE", 0.05)
    release, asked = threading.Event(), []

    def hanging() -> Finding:
        asked.append(1)
        release.wait(PATIENCE)
        return ok()

    clock = FakeMonotonic()
    board = Health([check("store", hanging, vital=True), check("other", ok)], clock)
    assert board.report().findings["store"].detail == "no answer within 0.05 s"
    clock.now += 5
    assert board.report().state is State.UNHEALTHY
    assert len(asked) == 1
    release.set()

    def recovered() -> bool:
        clock.now += 5
        return board.report().state is State.HEALTHY

    wait_for(recovered)
    board.close()


def test_result_is_kept_for_the_time_of_its_check() -> None:
    asked: list[int] = []

    def counted() -> Finding:
        asked.append(1)
        return ok()

    clock = FakeMonotonic()
    board = Health([check("config", counted, keep=30)], clock)
    for moment in (0, 29, 31):
        clock.now = moment
        board.report()
    assert len(asked) == 2
    board.close()


def test_failed_check_runs_again_soon() -> None:
    answers = iter([bad(), ok()])
    clock = FakeMonotonic()
    board = Health([check("config", lambda: next(answers), keep=3600)], clock)
    assert board.report().state is State.DEGRADED
    clock.now = 1.5
    assert board.report().state is State.HEALTHY
    board.close()


def test_request_gets_the_recent_findings_while_another_waits_for_a_check() -> None:
    release, asked, clock = threading.Event(), threading.Semaphore(0), FakeMonotonic()
    release.set()

    def slow() -> Finding:
        asked.release()
        release.wait(PATIENCE)
        return ok()

    board = Health([check("store", slow, keep=1)], clock)
    assert board.report().state is State.HEALTHY
    assert asked.acquire(timeout=PATIENCE)
    release.clear()
    clock.now += 2
    other = threading.Thread(target=board.report)
    other.start()
    assert asked.acquire(timeout=PATIENCE)  # the other request waits for the check
    assert board.report().state is State.HEALTHY  # and this one does not
    release.set()
    other.join()
    board.close()
