"""All metrics, each declared once with its meaning.

Labels are bounded: a route's template rather than its path, a code rather than a text. If
`multiprocess.share` was called before this module is imported, all processes of a server write to one
directory and each can report the sums.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry()

REQUESTS: Final = Counter(
    "algosat_requests_total",
    "HTTP requests answered, by method, route template and status.",
    ("method", "endpoint", "status"),
    registry=REGISTRY,
)
REQUEST_SECONDS: Final = Histogram(
    "algosat_request_duration_seconds",
    "Time from a request's arrival in the worker to its answer, by method and route template.",
    ("method", "endpoint"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
ORDERS: Final = Counter(
    "algosat_orders_total",
    "Orders by what became of them (accepted or denied by the gate, and each state that a report led to), "
    "account and mode (PAPER or LIVE).",
    ("outcome", "account", "mode"),
    registry=REGISTRY,
)
POSITIONS: Final = Gauge(
    "algosat_positions_current",
    "Open positions, as the engine last counted them.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
ERRORS: Final = Counter(
    "algosat_errors_total",
    "Errors answered or met, by their code and severity.",
    ("code", "severity"),
    registry=REGISTRY,
)
ALERTS: Final = Gauge(
    "algosat_alerts_open",
    "Open alerts by kind and severity, as the engine last counted them.",
    ("kind", "severity"),
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
ENGINE_REQUESTS: Final = Counter(
    "algosat_engine_requests_total",
    "Requests to a broker besides orders, by kind, outcome (answered, failed, or late) and account.",
    ("kind", "outcome", "account"),
    registry=REGISTRY,
)
SECURITY_EVENTS: Final = Counter(
    "algosat_security_events_total",
    "What concerns access: logins, failures, lock-outs, refused tokens, reused refresh tokens.",
    ("event",),
    registry=REGISTRY,
)


@cache
def orders(outcome: str, account: str, mode: str) -> Counter:
    """Return the counter of orders with these labels, which is looked up once."""
    return ORDERS.labels(outcome, account, mode)
