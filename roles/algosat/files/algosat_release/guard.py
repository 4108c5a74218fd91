"""Guard against restarts that interrupt trading: market open, or a request to the broker in flight."""

from __future__ import annotations

from algosat_release.layout import Layout
from algosat_release.machine import Refused, unit_states
from algosat_release.store import ask_current

MARKET_OPEN, IN_FLIGHT = 5, 6  # exit codes of `algosat engine idle`
IDLE_WAIT_SECONDS = 10  # how long to wait for a moment without a request in flight


def require_idle(layout: Layout) -> None:
    """Return at a moment when the services may be restarted.

    The current release decides, because it knows its calendar and its orders. If it cannot answer, or if an
    interrupted switch has stopped its engine, the restart is allowed.

    Raises:
        Refused: A restart now would interrupt trading. The message names the reason and the remedy.
    """
    current = layout.current_release()
    if current is None or _no_engine_runs(layout):
        return
    # One process polls: on a slow server each start of the program takes longer than an idle moment lasts.
    answer = ask_current(layout, current, "engine", "idle", f"--within={IDLE_WAIT_SECONDS}")
    if answer.returncode in (MARKET_OPEN, IN_FLIGHT):
        raise Refused(
            f"a restart now would interrupt trading:\n{answer.stdout.strip()[:2000]}\n"
            "Wait until the market has closed and no request is in flight. To restart in spite of that,"
            " repeat it with -e algosat_force=true (on the server: --force)."
        )


def _no_engine_runs(layout: Layout) -> bool:
    states = unit_states([layout.services[0], layout.standby]).values()
    return all(it["ActiveState"] in ("inactive", "failed") for it in states)
