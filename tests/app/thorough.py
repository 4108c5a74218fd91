"""How many examples a property is tried with: few in `make test`, THOROUGH times as many in `make prove`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Hypothesis tries this many where a test names no number.
USUAL = 100


FACTOR = int(os.environ.get("THOROUGH", "1"))


def examples(usual: int) -> int:
    """Return how many examples, or seeds, to try where `make test` tries `usual`."""
    return usual * FACTOR


def load_profile() -> None:
    """Set what applies to every property.

    `make test` tries the same examples each time, so that a failure is the change's; `make prove` draws new
    ones. No example has a time limit: it would fail on a busy machine.
    """
    settings.register_profile(
        "algosat",
        max_examples=examples(USUAL),
        derandomize=FACTOR == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("algosat")
