"""Health of the release as a client sees it: over HTTPS through nginx, with its certificate verified."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from typing import Any

from algosat_release.layout import Layout
from algosat_release.machine import Failed, unit_states

PAUSE_SECONDS = 0.5
NEEDED = ("database", "config", "engine")


def wait(layout: Layout) -> None:
    """Return once the release is healthy. Raises Failed with the last problem after the timeout."""
    deadline = time.monotonic() + layout.health_wait_seconds
    while (problem := _problem(layout)) is not None:
        if time.monotonic() > deadline:
            raise Failed(f"not healthy within {layout.health_wait_seconds:.0f} s: {problem}")
        time.sleep(PAUSE_SECONDS)


def _problem(layout: Layout) -> str | None:
    for unit, state in unit_states(layout.units).items():
        if state["ActiveState"] != "active":
            return f"{unit} is {state['ActiveState']}"
    try:
        status, body = _ask(layout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"https://{layout.server_name}/health does not answer: {error}"
    return problem_in(status, body)


def problem_in(status: int, body: Any) -> str | None:
    """Return the problem that a response of /health reports, or None."""
    if not isinstance(body, dict):
        return f"/health answered {status} with something other than a JSON object"
    if status != http.client.OK or body.get("status") not in ("healthy", "degraded"):
        return f"/health answered {status}: {json.dumps(body)}"
    components = body.get("components", {})
    broken = [name for name in NEEDED if components.get(name) is False]
    return f"/health reports {', '.join(broken)} as broken: {json.dumps(body)}" if broken else None


def _ask(layout: Layout) -> tuple[int, Any]:
    trust = ssl.create_default_context()
    if layout.ca_file.exists():  # in addition to the system's CAs
        trust.load_verify_locations(layout.ca_file)
    with socket.create_connection(("127.0.0.1", 443), timeout=5) as plain:
        connection = http.client.HTTPSConnection(layout.server_name, timeout=5)
        connection.sock = trust.wrap_socket(plain, server_hostname=layout.server_name)
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
