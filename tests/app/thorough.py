"""Numbers of examples of property tests: few in `make test`, THOROUGH times as many in `make prove`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The number of examples for tests that set none.
USUAL = 100


FACTOR = int(os.environ.get("THOROUGH", "1"))


def examples(usual: int) -> int:
    """Return how many examples, or seeds, to try where `make test` tries `usual`."""
    return usual * FACTOR


def load_profile() -> None:
    """Load the profile of every property test.

    `make test` repeats the same examples, so that a new failure comes from the change under test;
    `make prove` draws new examples. Examples have no time limit, which a busy machine would exceed.
    """
    settings.register_profile(
        "algosat",
        max_examples=examples(USUAL),
        derandomize=FACTOR == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("algosat")
