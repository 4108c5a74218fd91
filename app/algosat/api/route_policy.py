"""What each route requires of a request, and its request metrics."""

from __future__ import annotations

from typing import Any

from algosat.monitoring import metrics
from algosat.resilience.bulkhead import Precedence
from algosat.security.principals import Role


class RoutePolicy:
    """The role and rate limit of one route. Its metrics are looked up once, not on every request."""

    def __init__(self, method: str, path: str, role: Role | None, limited: bool) -> None:
        self.path = path
        self.role = role
        self.limited = limited
        self.precedence = _precedence(method, limited)
        self._method = method
        # Not before the first request: each histogram is 15 lines of every scrape, in each process.
        self._seconds: Any = None
        self._counts: dict[int, Any] = {}

    def count(self, status: int, seconds: float | None) -> None:
        """Count a response, and observe its duration if it was measured."""
        if status not in self._counts:
            self._counts[status] = metrics.REQUESTS.labels(self._method, self.path, str(status))
        self._counts[status].inc()
        if seconds is not None:
            if self._seconds is None:
                self._seconds = metrics.REQUEST_SECONDS.labels(self._method, self.path)
            self._seconds.observe(seconds)


def _precedence(method: str, limited: bool) -> Precedence:
    """Return what may wait for the store before others. Routes that close positions have no rate limit."""
    if method in ("GET", "HEAD"):
        return Precedence.READ
    return Precedence.ENTRY if limited else Precedence.EXIT
