"""All metrics, each declared once with its meaning.

Labels are bounded: a route's template rather than its path, a code rather than a text. If
`multiprocess.share` was called before this module is imported, all processes of a server write to one
directory and each can report the sums.

Counters and histograms are counted where something happens. A `StateMetric` is computed at each scrape, from
the store and the engine's heartbeat, so that it is right while the engine is away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

REGISTRY: Final = CollectorRegistry()
_MOST_CODES: Final = 200  # a broker's own codes are labels, too
_OTHER: Final = "other"

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
REJECTIONS: Final = Counter(
    "algosat_order_rejections_total",
    "Orders rejected after the gate had accepted them, by the engine or the broker, by reason code.",
    ("code", "account", "mode"),
    registry=REGISTRY,
)
DENIALS: Final = Counter(
    "algosat_order_denials_total",
    "Orders denied by the gate, by reason code.",
    ("code", "account", "mode"),
    registry=REGISTRY,
)
ORDER_STAGE_SECONDS: Final = Histogram(
    "algosat_order_stage_seconds",
    "Time of one stage of an order: accept (gate and commit), send (from the commit, or from when the order "
    "is due, until the broker is called), acknowledge (until the broker has answered).",
    ("stage",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
ERRORS: Final = Counter(
    "algosat_errors_total",
    "Errors answered or met, by code and severity (low, medium, high, critical); alerts that were opened, by "
    "kind and the severity of the alert (warning, error, critical).",
    ("code", "severity"),
    registry=REGISTRY,
)
RECOVERIES: Final = Counter(
    "algosat_recoveries_total",
    "What the application did by itself about errors, by action and outcome (succeeded or failed).",
    ("action", "outcome"),
    registry=REGISTRY,
)
WORKER_EXITS: Final = Counter(
    "algosat_worker_exits_total",
    "Workers of the API that ended while it was serving: killed, crashed, or replaced because they hung.",
    registry=REGISTRY,
)
ENGINE_REQUESTS: Final = Counter(
    "algosat_engine_requests_total",
    "Requests to a broker besides orders, by kind, outcome (answered, failed, or late) and account.",
    ("kind", "outcome", "account"),
    registry=REGISTRY,
)
SECURITY_EVENTS: Final = Counter(
    "algosat_security_events_total",
    "What concerns access: login, login_failed, locked_out (a login refused by a lock-out), logout, alert, "
    "token_refused, forbidden, refresh_reused, screened (input that looks like an attack).",
    ("event",),
    registry=REGISTRY,
)


@cache
def orders(outcome: str, account: str, mode: str) -> Counter:
    """Return the counter of orders with these labels, which is looked up once."""
    return ORDERS.labels(outcome, account, mode)


@cache
def order_stage(stage: str) -> Histogram:
    """Return the histogram of a stage: accept, send or acknowledge."""
    return ORDER_STAGE_SECONDS.labels(stage)


def rejections(code: str | None, account: str, mode: str) -> Counter:
    """Return the counter of rejections with these labels."""
    return REJECTIONS.labels(_bounded(code), account, mode)


def denials(code: str | None, account: str, mode: str) -> Counter:
    """Return the counter of denials with these labels."""
    return DENIALS.labels(_bounded(code), account, mode)


_codes: Final[set[str]] = set()


def _bounded(code: str | None) -> str:
    """Return the code as a label: `other` for a missing one, and once there are too many."""
    if code is None or (code not in _codes and len(_codes) >= _MOST_CODES):
        return _OTHER
    _codes.add(code)
    return code


@dataclass(frozen=True, slots=True)
class StateMetric:
    """A gauge that is computed at each scrape."""

    name: str
    help_text: str
    labels: tuple[str, ...] = ()

    def at(self, value: float, *labels: str) -> StateSample:
        """Return a sample with the values of the labels, in their order."""
        return StateSample(self, labels, float(value))


class StateSample(NamedTuple):
    metric: StateMetric
    labels: tuple[str, ...]
    value: float


def families(samples: Iterable[StateSample]) -> Iterator[Metric]:
    """Group samples by their metrics, as an exposition needs them."""
    grouped: dict[StateMetric, GaugeMetricFamily] = {}
    for metric, labels, value in samples:
        family = grouped.get(metric)
        if family is None:
            family = grouped[metric] = GaugeMetricFamily(metric.name, metric.help_text, labels=metric.labels)
        family.add_metric(labels, value)
    yield from grouped.values()


COMPONENT_OK: Final = StateMetric(
    "algosat_component_ok", "Whether a component works (1) or not (0), as in /health.", ("component",)
)
HEARTBEAT_AGE: Final = StateMetric(
    "algosat_engine_heartbeat_age_seconds", "Time since the engine last renewed its heartbeat."
)
ROUND_AGE: Final = StateMetric(
    "algosat_engine_round_age_seconds",
    "Time since the last completed round of a duty of the engine.",
    ("account", "duty"),
)
ORDERS_UNKNOWN: Final = StateMetric(
    "algosat_orders_unknown", "Orders whose outcome at the broker is not known.", ("account",)
)
ORDERS_HELD_BACK: Final = StateMetric(
    "algosat_orders_held_back",
    "Orders that wait because another order of their strategy and symbol is `unknown`.",
    ("account",),
)
ORDERS_WORKING: Final = StateMetric("algosat_orders_working", "Orders that are not final.", ("account",))
ORDER_UNSENT_AGE: Final = StateMetric(
    "algosat_order_unsent_age_seconds",
    "Age of the oldest order that is due and has not been sent; 0 if there is none.",
    ("account",),
)
BOOK_READ_AGE: Final = StateMetric(
    "algosat_book_read_age_seconds",
    "Time since the last complete reading of the broker's order book began.",
    ("account",),
)
FEED_UP: Final = StateMetric(
    "algosat_feed_up",
    "Whether a feed of the broker is up (1) or down (0); absent while the engine is silent.",
    ("account", "feed"),
)
MARKET_OPEN: Final = StateMetric(
    "algosat_market_open",
    "Whether any segment of the account's calendar is in continuous trading (1) or not (0).",
    ("account",),
)
QUOTE_AGE: Final = StateMetric(
    "algosat_quote_age_seconds",
    "Age of the newest quote of the symbols that are held or have working orders, counted from the opening "
    "at the earliest; absent while their markets are closed.",
    ("account",),
)
EXPOSURE: Final = StateMetric(
    "algosat_exposure",
    "Value of all positions if the working orders were filled in the worst sequence.",
    ("account", "currency"),
)
PNL_DAY: Final = StateMetric(
    "algosat_pnl_day", "Profit or loss of the trading day, open positions included.", ("account", "currency")
)
BREAKER_OPEN: Final = StateMetric(
    "algosat_broker_breaker_open",
    "Whether calls of an operation are held back after failures (1) or pass (0).",
    ("account", "operation"),
)
CALLS_LEFT: Final = StateMetric(
    "algosat_broker_calls_left",
    "Calls for new orders that the outbound limits still permit in the current window.",
    ("account", "window"),
)
SESSION_EXPIRES: Final = StateMetric(
    "algosat_broker_session_expires_timestamp_seconds",
    "When the broker session ends; absent if the broker does not say.",
    ("account",),
)
HALTED: Final = StateMetric(
    "algosat_halted",
    "Whether a halt of this scope is in force; the scope of all accounts is always shown.",
    ("scope",),
)
POSITIONS: Final = StateMetric("algosat_positions_current", "Open positions of all accounts.")
ALERTS: Final = StateMetric("algosat_alerts_open", "Open alerts by kind and severity.", ("kind", "severity"))
STORE_BYTES: Final = StateMetric("algosat_store_bytes", "Size of the database.")
STORE_WAL_BYTES: Final = StateMetric(
    "algosat_store_wal_bytes", "Size of SQLite's write-ahead log; absent on PostgreSQL."
)
STORE_WRITE_AGE: Final = StateMetric(
    "algosat_store_write_age_seconds",
    "Time since any process last committed to the store. The engine commits about every second.",
)
KEY_DUE: Final = StateMetric(
    "algosat_encryption_key_due_timestamp_seconds",
    "Time from which the key that encrypts secrets in the store is due for rotation.",
)
PROCESS_BYTES: Final = StateMetric(
    "algosat_process_resident_bytes",
    "Resident memory of Algosat's processes, read every five seconds; those of one name are added up.",
    ("process",),
)
PROCESS_FDS: Final = StateMetric(
    "algosat_process_open_fds", "Open file descriptors of Algosat's processes.", ("process",)
)
PROCESS_THREADS: Final = StateMetric(
    "algosat_process_threads", "Threads of Algosat's processes.", ("process",)
)
PROCESS_CPU: Final = StateMetric(
    "algosat_process_cpu_seconds",
    "Time that Algosat's running processes have used of the processors.",
    ("process",),
)
PROCESS_LEAK: Final = StateMetric(
    "algosat_process_leak_per_minute",
    "Growth a minute of what keeps growing in a process (resident_bytes, open_fds, threads), else absent.",
    ("process", "quantity"),
)
CLOCK_OFFSET: Final = StateMetric(
    "algosat_clock_offset_seconds",
    "By how much the clock was set forward (or back: negative) in the last ten minutes.",
)
