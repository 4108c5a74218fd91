from __future__ import annotations

from contextvars import Context

import pytest

from algosat.resilience.bulkhead import Bulkhead, Precedence


def entered(bulkhead: Bulkhead, precedence: Precedence) -> int:
    """Return how many threads of a precedence get a place."""
    leaves = []
    while (leave := bulkhead.enter(precedence)) is not None:
        leaves.append(leave)
    for leave in leaves:
        leave()
    return len(leaves)


@pytest.mark.parametrize(
    ("threads", "entries", "acknowledgements", "exits"),
    [(8, 5, 6, 7), (4, 1, 2, 3), (2, 1, 1, 1), (1, 1, 1, 1)],
)
def test_threads_are_left_to_exits_and_one_to_probes(
    threads: int, entries: int, acknowledgements: int, exits: int
) -> None:
    bulkhead = Bulkhead(threads)
    assert entered(bulkhead, Precedence.ENTRY) == entries
    assert entered(bulkhead, Precedence.ACKNOWLEDGEMENT) == acknowledgements
    assert entered(bulkhead, Precedence.EXIT) == exits
    assert entered(bulkhead, Precedence.READ) == 0


def test_places_of_all_precedences_are_the_same_threads() -> None:
    bulkhead = Bulkhead(8)
    for _ in range(6):
        assert bulkhead.enter(Precedence.ACKNOWLEDGEMENT) is not None
    assert entered(bulkhead, Precedence.ENTRY) == 0
    assert entered(bulkhead, Precedence.EXIT) == 1


def test_request_without_a_precedence_is_an_entry() -> None:
    bulkhead = Bulkhead(8)
    places = Context().run(lambda: [bulkhead.enter() for _ in range(6)])
    assert [place is None for place in places] == [False] * 5 + [True]
