from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Final

import pytest

from algosat.host import trends
from algosat.host.history import History
from algosat.host.trends import QUANTITIES, WINDOW, leaks, trend
from tests.app.host.readings import process, reading
from tests.app.thorough import examples

MIB: Final = 2**20
MEMORY, DESCRIPTORS, THREADS = QUANTITIES
SEEDS: Final = range(examples(10))

Shape = Callable[[int, Random], float]  # MiB after so many minutes


def series(shape: Shape, minutes: int, seed: int) -> list[float]:
    draw = Random(seed)
    return [shape(minute, draw) * MIB for minute in range(minutes)]


def first_named(values: list[float]) -> int | None:
    """Return after how many minutes the leak is named; None: never."""
    return next((end for end in range(1, len(values) + 1) if trend(values[:end], MEMORY)), None)


def leak(noise: float, steady: int = 0, teeth: float = 0) -> Shape:
    return lambda minute, draw: 60 + max(0, minute - steady) + draw.gauss(0, noise) + teeth * (minute % 5) / 5


def steady(noise: float) -> Shape:
    return lambda _minute, draw: 60 + draw.gauss(0, noise)


def sawtooth(height: float, period: int, noise: float = 1) -> Shape:
    return lambda minute, draw: 60 + height * (minute % period) / period + draw.gauss(0, noise)


def irregular() -> Shape:
    """Return teeth of random length and height."""
    tooth = [0, 1, 0.0]  # beginning, length, height

    def level(minute: int, draw: Random) -> float:
        if minute == 0 or minute >= tooth[0] + tooth[1]:
            tooth[:] = [minute, draw.randint(3, 14), draw.uniform(10, 80)]
        return 60 + tooth[2] * (minute - tooth[0]) / tooth[1] + draw.gauss(0, 0.5)

    return level


def warm_up(minute: int, draw: Random) -> float:
    return 40 + 60 * (1 - math.exp(-minute / 8)) + draw.gauss(0, 0.5)


def step(minute: int, draw: Random) -> float:
    return (60 if minute < 40 else 120) + draw.gauss(0, 1)


@pytest.mark.parametrize("noise", [0, 1, 2])
def test_leak_of_a_mebibyte_a_minute_is_named_within_30_minutes(noise: float) -> None:
    late = {
        seed: named
        for seed in SEEDS
        if (named := first_named(series(leak(noise), 30, seed))) is None or named > 30
    }
    assert late == {}


def test_leak_that_begins_later_is_named_within_30_minutes_of_its_beginning() -> None:
    named = [first_named(series(leak(1, steady=180), 210, seed)) for seed in range(10)]
    assert all(at is not None and 180 < at <= 210 for at in named), named


@pytest.mark.parametrize("teeth", [20, 60])
def test_leak_below_the_teeth_of_a_collector_is_named(teeth: float) -> None:
    named = [first_named(series(leak(0.5, teeth=teeth), 60, seed)) for seed in range(5)]
    assert None not in named, named


@pytest.mark.parametrize(
    "shape",
    [
        *(steady(noise) for noise in (0, 0.5, 5)),
        *(sawtooth(height, period) for height in (10, 50) for period in (3, 7, 12, 20)),
    ],
)
def test_steady_and_sawtooth_memory_is_never_named(shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trends, "_CONFIRMATIONS", 1)  # the strictest case: each minute counts
    assert named_seeds(shape) == {}


@pytest.mark.parametrize("shape", [warm_up, step])
def test_cache_that_fills_up_and_single_step_are_never_named(shape: Shape) -> None:
    assert named_seeds(shape) == {}


def test_irregular_teeth_are_hardly_ever_named() -> None:
    """Two teeth of which the second one is higher look like a leak for a while."""
    assert len(named_seeds(irregular())) <= len(SEEDS) / 100


def named_seeds(shape: Shape) -> dict[int, int]:
    named = {seed: first_named(series(shape, 75, seed)) for seed in SEEDS}
    return {seed: at for seed, at in named.items() if at is not None}


def test_tooth_longer_than_the_window_is_not_named_again_once_it_has_fallen() -> None:
    values = series(sawtooth(90, 60), 180, 1)
    assert not any(trend(values[:end], MEMORY) for end in range(62, 181))


def test_few_minutes_are_no_trend() -> None:
    assert trend([float(minute * MIB) for minute in range(WINDOW - 1)], MEMORY) is None


@pytest.mark.parametrize(("quantity", "each"), [(DESCRIPTORS, 1), (THREADS, 1)])
def test_descriptors_and_threads_leak_too(quantity: trends.Quantity, each: int) -> None:
    found = trend([20 + each * minute for minute in range(30)], quantity)
    assert found is not None
    assert found[0] == each
    assert trend([20 + minute % 2 for minute in range(30)], quantity) is None


def test_leak_names_process_slope_and_beginning() -> None:
    minutes = tuple(
        reading(
            at=60.0 * minute,
            processes=(
                process("engine", pid=7, resident_bytes=60 * MIB + minute * MIB),
                process("api", pid=8, resident_bytes=60 * MIB),
            ),
        )
        for minute in range(30)
    )
    (found,) = leaks(History(minutes))
    assert (found.process.name, found.process.pid, found.quantity) == ("engine", 7, "resident_bytes")
    assert found.per_minute == MIB
    assert found.since == 60.0 * 5
    assert len(found.values) == WINDOW


def test_process_that_has_ended_or_restarted_does_not_leak() -> None:
    ended = tuple(
        reading(at=60.0 * minute, processes=(process("engine", pid=7, resident_bytes=minute * MIB),))
        for minute in range(30)
    )
    restarted = reading(at=1800.0, processes=(process("engine", pid=9, resident_bytes=29 * MIB),))
    assert list(leaks(History((*ended, restarted)))) == []
    assert list(leaks(History())) == []
