"""Nothing is restarted while the market is open or a request to the broker is under way, unless told so."""

from __future__ import annotations

from algosat_release.layout import Layout
from algosat_release.machine import Refused, unit_states
from algosat_release.store import ask_running

MARKET_OPEN, UNDER_WAY = 5, 6  # how `algosat engine idle` ends when a restart would cut into something
LULL_SECONDS = 10  # how long a moment is sought in which no request is under way


def require_idle(layout: Layout) -> None:
    """Return at a moment at which the services may be restarted.

    The release in force is asked: it knows its calendar and its orders. One that cannot answer is no
    reason to keep a better one out, nor is one that was cut off already: its engine is stopped. Raises
    Refused with what speaks against it, and the remedy.
    """
    running = layout.running()
    if running is None or _no_engine_runs(layout):
        return
    # It looks again by itself: on a slow server each start of it takes longer than a lull lasts.
    answer = ask_running(layout, running, "engine", "idle", f"--within={LULL_SECONDS}")
    if answer.returncode in (MARKET_OPEN, UNDER_WAY):
        raise Refused(
            f"a restart now would cut into trading:\n{answer.stdout.strip()[:2000]}\n"
            "Wait until the market has closed and every order has come to rest, or, if it must be now,"
            " repeat it with -e algosat_force=true (on the server: --force)"
        )


def _no_engine_runs(layout: Layout) -> bool:
    states = unit_states([layout.services[0], layout.standby]).values()
    return all(it["ActiveState"] in ("inactive", "failed") for it in states)
