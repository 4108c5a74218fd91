from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from algosat.host.history import RECENT
from algosat.host.probe import Reading
from algosat.host.sampler import Sampler, silence
from tests.app.events import wait_for
from tests.app.host.readings import reading


class Machine:
    """A machine whose readings are five seconds apart."""

    def __init__(self) -> None:
        self.at = 0.0

    def read(self) -> Reading:
        self.at += 5
        return reading(at=self.at, cpu_percent=self.at)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def samplers(tmp_path: Path, machine: Machine) -> Iterator[list[Sampler]]:
    both = [Sampler(tmp_path, machine.read) for _ in range(2)]
    yield both
    for sampler in both:
        sampler.close()


def test_one_process_keeps_the_history_that_all_read(samplers: list[Sampler], machine: Machine) -> None:
    first, second = samplers
    first.step()
    second.step()
    assert machine.at == 5.0
    assert second.history() == first.history()
    assert second.history().latest is not None


def test_next_process_takes_over_when_the_first_one_ends(samplers: list[Sampler]) -> None:
    first, second = samplers
    for _ in range(13):
        first.step()
    first.close()
    second.step()
    history = second.history()
    assert len(history.minutes) == 1
    assert history.latest is not None
    assert history.latest.at == 70.0


def test_minutes_are_means_and_the_last_minute_is_kept_whole(samplers: list[Sampler]) -> None:
    sampler = samplers[0]
    for _ in range(36):
        sampler.step()
    history = sampler.history()
    assert [minute.cpu_percent for minute in history.minutes] == [30.0, 87.5, 147.5]
    assert len(history.recent) == RECENT
    assert history.mean is not None
    assert history.mean.cpu_percent == 152.5
    assert history.series(lambda each: each.cpu_percent) == [30.0, 87.5, 147.5, 152.5]


def test_history_that_nobody_keeps_is_noticed(samplers: list[Sampler]) -> None:
    samplers[0].step()
    history = samplers[1].history()
    assert silence(history, now=35.0) is None
    assert silence(history, now=36.0) == 31.0
    assert silence(history, now=-26.0) == 31.0  # the clock was put back


def test_reading_that_fails_does_not_end_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("algosat.host.sampler._FIRST_WAIT", 0.001)
    monkeypatch.setattr("algosat.host.sampler._EVERY", 0.001)
    attempts: list[int] = []

    def read() -> Reading:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("no such file")
        return reading()

    sampler = Sampler(tmp_path, read)
    sampler.start()
    wait_for(lambda: sampler.history().latest is not None)
    sampler.close()
