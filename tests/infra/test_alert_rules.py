"""Alert rules: each fires for its fault and no other, has a runbook entry, and reads metrics that exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.infra.rendering import Server, load, server
from tests.infra.test_docs import HEADING, slug
from tools import prometheus
from tools.paths import ROOT
from tools.say import Trouble

RULES: Final = {
    "machine": ROOT / "roles/monitoring/templates/etc/prometheus/rules/machine.yml.j2",
    "algosat": ROOT / "templates/etc/prometheus/rules/algosat.yml.j2",
}
RUNBOOK: Final = ROOT / "docs" / "runbook.md"
DASHBOARD: Final = ROOT / "docs" / "grafana" / "algosat.json"
COMPONENTS: Final = re.findall(r'Check\("(\w+)"', (ROOT / "app/algosat/health_checks.py").read_text())
VITAL: Final = {"database", "security", "engine"}
EVERY: Final = 5  # seconds between two samples
FAULT: Final = 60  # seconds until the fault of a case begins
UNTIL: Final = 720
SOON: Final = 60
ABSENT: Final = "_"
# A metric in an expression: a word before a selector, an operator or the end, with an underscore.
METRIC: Final = re.compile(r"\b(?:algosat|node|prometheus|alertmanager|process|scrape)_[a-z0-9_]+\b|\bup\b")
DECLARED: Final = (
    "app/algosat/**/*.py",
    "roles/*/templates/usr/**/*.j2",
    "templates/opt/**/*.j2",
    "playbooks/drift.yml",
)


def steady(value: float) -> str:
    return f"{value:g}+0x{UNTIL // EVERY}"


def then(before: float, after: float, rise: float = 0) -> str:
    """Return a series that changes when the fault begins, and rises by `rise` a second from then on."""
    return f"{before:g}+0x{FAULT // EVERY - 1} {after:g}+{rise * EVERY:g}x{(UNTIL - FAULT) // EVERY}"


def ends(value: float) -> str:
    """Return a series that is stale from the fault on."""
    return f"{value:g}+0x{FAULT // EVERY - 1} stale"


def begins(value: float, rise: float = 0) -> str:
    """Return a series that does not exist before the fault."""
    return f"_x{FAULT // EVERY} {value:g}+{rise * EVERY:g}x{(UNTIL - FAULT) // EVERY}"


HEALTHY: Final = {
    **{f'up{{job="{job}"}}': steady(1) for job in ("algosat", "node", "prometheus", "alertmanager")},
    'scrape_duration_seconds{job="algosat"}': steady(0.05),
    **{f'algosat_component_ok{{component="{it}"}}': steady(1) for it in COMPONENTS},
    "algosat_engine_heartbeat_age_seconds": steady(0.6),
    'algosat_engine_round_age_seconds{account="paper",duty="reconcile"}': steady(1),
    'algosat_order_unsent_age_seconds{account="paper"}': steady(0),
    'algosat_orders_held_back{account="paper"}': steady(0),
    'algosat_orders_unknown{account="paper"}': steady(0),
    'algosat_book_read_age_seconds{account="paper"}': steady(9),
    'algosat_broker_breaker_open{account="paper",operation="place"}': steady(0),
    'algosat_feed_up{account="paper",feed="quotes"}': steady(1),
    'algosat_market_open{account="paper"}': steady(1),
    'algosat_quote_age_seconds{account="paper"}': steady(0.7),
    'algosat_broker_calls_left{account="paper",window="day"}': steady(2900),
    'algosat_broker_session_expires_timestamp_seconds{account="paper"}': steady(30000),
    'algosat_halted{scope="all"}': steady(0),
    "algosat_store_write_age_seconds": steady(0.8),
    "algosat_store_wal_bytes": steady(16e6),
    "algosat_clock_offset_seconds": steady(0.01),
    **{f'algosat_process_resident_bytes{{process="{it}"}}': steady(9e7) for it in ("engine", "api")},
    'algosat_process_open_fds{process="engine"}': steady(20),
    'algosat_process_threads{process="engine"}': steady(12),
    'algosat_requests_total{status="200"}': "100+50x240",
    'algosat_requests_total{status="503"}': steady(2),
    'algosat_order_rejections_total{account="paper",code="margin",mode="PAPER"}': "3+0x100 4+0x140",
    'algosat_order_denials_total{account="paper",code="duplicate",mode="PAPER"}': "0+0.1x240",
    'algosat_errors_total{code="store_busy",severity="error"}': steady(1),
    'algosat_errors_total{code="not_found",severity="info"}': "0+5x240",
    'algosat_security_events_total{event="login_failed"}': "0+0.05x240",
    'algosat_security_events_total{event="login"}': "0+3x240",
    **{
        f'node_systemd_unit_state{{name="{unit}",state="{state}"}}': steady(state == "active")
        for unit in ("algosat.service", "algosat-engine.service", "nginx.service")
        for state in ("active", "failed", "inactive")
    },
    'node_systemd_service_restart_total{name="algosat-engine.service"}': steady(1),
    'node_filesystem_avail_bytes{device="/dev/vda1",mountpoint="/"}': steady(20e9),
    'node_filesystem_size_bytes{device="/dev/vda1",mountpoint="/"}': steady(40e9),
    'node_filesystem_files{device="/dev/vda1",mountpoint="/"}': steady(2e6),
    'node_filesystem_files_free{device="/dev/vda1",mountpoint="/"}': steady(1.5e6),
    # Of a file system without a fixed number of inodes.
    'node_filesystem_files{device="/dev/vdb",mountpoint="/srv"}': steady(0),
    'node_filesystem_files_free{device="/dev/vdb",mountpoint="/srv"}': steady(0),
    "node_memory_MemAvailable_bytes": steady(1e9),
    "node_memory_MemTotal_bytes": steady(2e9),
    "node_vmstat_oom_kill": steady(2),
    "node_vmstat_pswpin": "0+100x240",
    "node_vmstat_pswpout": "0+100x240",
    'node_cpu_seconds_total{mode="idle",cpu="0"}': "0+4x240",
    "node_filefd_allocated": steady(2000),
    "node_filefd_maximum": steady(100000),
    "node_timex_sync_status": steady(1),
    "node_timex_maxerror_seconds": steady(0.1),
    "node_boot_time_seconds": steady(-864000),
    'alertmanager_notification_requests_failed_total{integration="webhook"}': steady(0),
    "alertmanager_config_last_reload_successful": steady(1),
    "prometheus_config_last_reload_successful": steady(1),
    "prometheus_notifications_dropped_total": steady(0),
    'prometheus_rule_evaluation_failures_total{rule_group="a"}': steady(0),
}


@dataclass(frozen=True)
class Case:
    """A fault, and the names of all alerts that fire `after` seconds."""

    name: str
    series: Mapping[str, str]
    after: int
    alerts: frozenset[str]


def case(name: str, series: Mapping[str, str], after: int, *alerts: str) -> Case:
    return Case(name, series, after, frozenset(alerts))


def engine(state: str) -> dict[str, str]:
    """Return the series of an engine's unit that goes from active to the state."""
    unit = 'node_systemd_unit_state{name="algosat-engine.service",state='
    return {f'{unit}"active"}}': then(1, 0), f'{unit}"{state}"}}': then(0, 1)}


API_GONE: Final = {
    **{name: ends(1) for name in HEALTHY if name.startswith("algosat_")},
    'up{job="algosat"}': then(1, 0),
    'scrape_duration_seconds{job="algosat"}': then(0.05, 3),
}
ACCEPTED: Final = 'algosat_order_rejections_total{account="paper",code="send_deadline",mode="PAPER"}'
ENGINE_ACTIVE: Final = 'node_systemd_unit_state{name="algosat-engine.service",state="active"}'
BUSY: Final = 'algosat_component_ok{component="vps"}'
CASES: Final = (
    case("ordinary load for 11 minutes", {}, UNTIL - FAULT),
    *(
        case(
            f"{it} of /health",
            {f'algosat_component_ok{{component="{it}"}}': then(1, 0)},
            *((6, "VitalComponentFailed") if it in VITAL else (30, "ComponentFailed")),
        )
        for it in COMPONENTS
    ),
    # Rows of the table of what was measured, in their order.
    case("orders are refused after their acceptance", {ACCEPTED: begins(1)}, 10, "OrdersRefused"),
    case("a refusal is no longer news after a minute", {ACCEPTED: begins(1)}, 70),
    case(
        "a counter that Prometheus has not read before is no refusal",
        {
            ACCEPTED: steady(7),
            'up{job="algosat"}': begins(1),
            'algosat_component_ok{component="vps"}': begins(1),
        },
        10,
    ),
    case("more orders are refused", {ACCEPTED: then(4, 5, 0.1)}, 10, "OrdersRefused"),
    case("an order is unknown", {'algosat_orders_unknown{account="paper"}': then(0, 1)}, 20, "OrdersUnknown"),
    case(
        "an order was unknown for a moment",
        {'algosat_orders_unknown{account="paper"}': "0+0x11 1 0+0x200"},
        4,
    ),
    case(
        "orders are held back",
        {'algosat_orders_held_back{account="paper"}': then(0, 9)},
        10,
        "OrdersHeldBack",
    ),
    case("the clock was put back", {"algosat_clock_offset_seconds": then(0.01, -600)}, 6, "ClockWrong"),
    case(
        "a duty of the engine hangs",
        {'algosat_engine_round_age_seconds{account="paper",duty="reconcile"}': then(1, 5, 1)},
        18,
        "EngineDutyLate",
    ),
    case(
        "the router hangs",
        {'algosat_order_unsent_age_seconds{account="paper"}': then(0, 2, 1)},
        10,
        "OrderNotSent",
    ),
    case(
        "the book is not read",
        {'algosat_book_read_age_seconds{account="paper"}': then(9, 14, 1)},
        35,
        "BookNotRead",
    ),
    case(
        "the store is locked",
        {
            "algosat_store_write_age_seconds": then(0.8, 5, 1),
            "algosat_engine_heartbeat_age_seconds": then(0.6, 5, 1),
        },
        10,
        "StoreNotWritten",
        "EngineSilent",
    ),
    case(
        "the store rests because the engine was stopped",
        {
            **engine("inactive"),
            "algosat_store_write_age_seconds": then(0.8, 5, 1),
            "algosat_engine_heartbeat_age_seconds": then(0.6, 5, 1),
        },
        30,
        "EngineSilent",
        "UnitDown",
    ),
    case(
        "too many requests wait",
        {'algosat_errors_total{code="overloaded",severity="error"}': then(0, 1, 0.1)},
        20,
        "Overloaded",
    ),
    case(
        "the disk is full",
        {'node_filesystem_avail_bytes{device="/dev/vda1",mountpoint="/"}': then(20e9, 1e8)},
        15,
        "DiskFull",
    ),
    case(
        "the disk is filling",
        {'node_filesystem_avail_bytes{device="/dev/vda1",mountpoint="/"}': then(20e9, 3e9)},
        80,
        "DiskFilling",
    ),
    case(
        "no inodes",
        {'node_filesystem_files_free{device="/dev/vda1",mountpoint="/"}': then(1.5e6, 100)},
        45,
        "InodesShort",
    ),
    case(
        "counters went backwards",
        {'algosat_requests_total{status="200"}': "100+50x11 5+50x200"},
        15,
        "CountersReset",
    ),
    case(
        "counters begin anew when the machine restarts",
        {
            'algosat_requests_total{status="200"}': "100+50x11 5+50x200",
            "node_boot_time_seconds": then(-864000, 40),
        },
        15,
    ),
    case(
        "orders are refused because the disk is full",
        {'algosat_errors_total{code="store_full",severity="critical"}': then(0, 2)},
        10,
        "StoreRefuses",
    ),
    case(
        "a worker of the API died and was replaced",
        {"algosat_worker_exits_total": then(0, 1)},
        15,
        "WorkersDied",
    ),
    case(
        "reading the metrics is slow",
        {'scrape_duration_seconds{job="algosat"}': then(0.05, 1.4)},
        45,
        "MetricsSlow",
    ),
    case(
        "a worker keeps memory",
        {'algosat_process_resident_bytes{process="api"}': then(9e7, 9e8)},
        150,
        "ProcessMemoryLarge",
    ),
    case(
        "the engine is silent", {"algosat_engine_heartbeat_age_seconds": then(0.6, 5.1, 1)}, 4, "EngineSilent"
    ),
    case(
        "a component fails and recovers all the time", {BUSY: "1+0x11" + " 0 1" * 30}, 60, "ComponentUnsteady"
    ),
    case(
        "errors",
        {'algosat_errors_total{code="IntegrityError",severity="CRITICAL"}': then(0, 3, 1)},
        30,
        "ErrorsRising",
    ),
    case("requests fail", {'algosat_requests_total{status="503"}': then(2, 12, 10)}, 15, "RequestsFailing"),
    case("the API hangs", API_GONE, 12, "ApiDown"),
    case("one reading of the metrics failed", {'up{job="algosat"}': "1+0x11 0 1+0x200"}, 4),
    case(
        "the API was never deployed",
        {
            **{name: ABSENT for name in HEALTHY if name.startswith("algosat_") or "algosat" in name},
            'up{job="algosat"}': steady(0),
        },
        600,
    ),
    case("a unit does not start", engine("failed"), 30, "UnitDown"),
    case(
        "a unit restarts",
        {**engine("activating"), ENGINE_ACTIVE: "1+0x11 0 0 0 1+0x200"},
        14,
    ),
    case(
        "a unit hung and was started again",
        {'node_systemd_service_restart_total{name="algosat.service"}': then(1, 2)},
        15,
        "UnitRestarts",
    ),
    case(
        "a reader holds the log of the store",
        {"algosat_store_wal_bytes": then(16e6, 2e8)},
        20,
        "StoreLogLarge",
    ),
    case(
        "another program answers",
        {name: ends(1) for name in HEALTHY if name.startswith("algosat_")},
        20,
        "MetricsMissing",
    ),
    case(
        "the API cannot read its store",
        {'algosat_halted{scope="all"}': ends(0)},
        20,
        "MetricsMissing",
    ),
    case(
        "passwords are guessed",
        {'algosat_security_events_total{event="login_failed"}': then(0, 1, 0.5)},
        40,
        "LoginsAttacked",
    ),
    case(
        "a process leaks",
        {'algosat_process_leak_per_minute{process="engine",quantity="resident_bytes"}': begins(1e6)},
        80,
        "ProcessLeaks",
    ),
    case(
        "descriptors",
        {'algosat_process_open_fds{process="engine"}': then(20, 30000)},
        20,
        "ProcessFilesMany",
    ),
    case("threads", {'algosat_process_threads{process="engine"}': then(12, 480)}, 20, "ProcessThreadsMany"),
    # The market, the broker and orders.
    case(
        "the broker fails",
        {'algosat_broker_breaker_open{account="paper",operation="place"}': then(0, 1)},
        8,
        "BrokerCallsHeldBack",
    ),
    case("a feed is down", {'algosat_feed_up{account="paper",feed="quotes"}': then(1, 0)}, 30, "FeedDown"),
    case(
        "feed, broker and session rest because the market is closed",
        {
            'algosat_market_open{account="paper"}': then(1, 0),
            'algosat_quote_age_seconds{account="paper"}': ends(1),
            'algosat_feed_up{account="paper",feed="quotes"}': then(1, 0),
            'algosat_book_read_age_seconds{account="paper"}': then(9, 14, 1),
            'algosat_broker_breaker_open{account="paper",operation="place"}': then(0, 1),
            'algosat_broker_session_expires_timestamp_seconds{account="paper"}': then(30000, -50),
        },
        600,
    ),
    case(
        "a feed of one account is down, and only the market of the other one is open",
        {
            'algosat_feed_up{account="night",feed="quotes"}': steady(0),
            'algosat_market_open{account="night"}': steady(0),
        },
        600,
    ),
    case("quotes stop", {'algosat_quote_age_seconds{account="paper"}': then(0.7, 5, 1)}, 32, "QuotesOld"),
    case(
        "the session ends",
        {'algosat_broker_session_expires_timestamp_seconds{account="paper"}': then(30000, 1500)},
        20,
        "BrokerSessionEnds",
    ),
    case(
        "calls are used up",
        {'algosat_broker_calls_left{account="paper",window="day"}': then(2900, 10)},
        20,
        "BrokerCallsUsedUp",
    ),
    case(
        "the broker rejects",
        {'algosat_order_rejections_total{account="paper",code="margin",mode="PAPER"}': then(3, 4, 0.5)},
        40,
        "OrdersRejected",
    ),
    case(
        "the gate denies",
        {'algosat_order_denials_total{account="paper",code="stale_quote",mode="PAPER"}': then(0, 1, 2)},
        40,
        "OrdersDenied",
    ),
    case("trading is halted", {'algosat_halted{scope="all"}': then(0, 1)}, 10, "TradingHalted"),
    case(
        "a critical alert",
        {'algosat_alerts_open{kind="broker.ghost",severity="critical"}': begins(1)},
        6,
        "AlertOpen",
    ),
    case(
        "another alert",
        {'algosat_alerts_open{kind="calendar.ending",severity="warning"}': begins(1)},
        20,
        "AlertOpenForPerson",
    ),
    # The machine and the monitoring itself.
    case("memory is short", {"node_memory_MemAvailable_bytes": then(1e9, 1e8)}, 45, "MemoryShort"),
    case("a process was killed for want of memory", {"node_vmstat_oom_kill": then(2, 3)}, 15, "OutOfMemory"),
    case(
        "the processors are busy",
        {'node_cpu_seconds_total{mode="idle",cpu="0"}': "0+0.1x240"},
        UNTIL - FAULT,
        "ProcessorBusy",
    ),
    case(
        "memory is swapped",
        {"node_vmstat_pswpin": then(0, 0, 2000), "node_vmstat_pswpout": then(0, 0, 2000)},
        300,
        "Swapping",
    ),
    case("descriptors of the machine", {"node_filefd_allocated": then(2000, 90000)}, 45, "FilesShort"),
    case(
        "no time server",
        {"node_timex_sync_status": steady(0), "node_timex_maxerror_seconds": steady(16)},
        UNTIL - FAULT,
        "ClockNotSynchronised",
    ),
    case("the exporter is down", {'up{job="node"}': then(1, 0)}, 45, "TargetDown"),
    case(
        "messages are refused",
        {'alertmanager_notification_requests_failed_total{integration="webhook"}': then(0, 1, 0.2)},
        30,
        "NotificationsFailing",
    ),
    case(
        "a rule fails",
        {'prometheus_rule_evaluation_failures_total{rule_group="a"}': then(0, 1)},
        30,
        "RulesFailing",
    ),
    case("a reload fails", {"alertmanager_config_last_reload_successful": then(1, 0)}, 30, "RulesFailing"),
)
STOPS_ORDERS: Final = {
    *("EngineSilent", "OrderNotSent", "OrdersHeldBack", "OrdersRefused", "StoreNotWritten", "ClockWrong"),
    *("BrokerCallsHeldBack", "VitalComponentFailed", "StoreRefuses"),
}
# Rows of the table of what was measured (issue 18), with the alerts that name the fault. Row 22 is about
# `make serve`; on a server, the same fault is another program at the API's address.
ROWS: Final = {
    1: ["OrdersRefused"],
    2: ["OrdersUnknown", "OrdersHeldBack"],
    3: ["ClockWrong", "ClockNotSynchronised", "OrdersDenied"],
    4: ["EngineDutyLate", "BookNotRead"],
    5: ["OrderNotSent"],
    6: ["ApiDown", "Overloaded", "StoreNotWritten"],
    7: ["DiskFull", "DiskFilling", "InodesShort", "StoreNotWritten"],
    9: ["CountersReset"],
    10: ["MetricsSlow"],
    11: ["ProcessMemoryLarge", "ProcessLeaks", "MemoryShort"],
    12: ["EngineSilent", "OrdersRefused"],
    13: ["ProcessorBusy", "ComponentUnsteady"],
    14: ["ComponentFailed"],
    15: ["StoreNotWritten", "VitalComponentFailed"],
    16: ["ErrorsRising"],
    17: ["ErrorsRising"],
    18: ["RequestsFailing"],
    19: ["ApiDown"],
    20: ["UnitDown", "UnitRestarts", "WorkersDied"],
    21: ["StoreLogLarge"],
    22: ["MetricsMissing"],
    23: ["LoginsAttacked"],
    24: ["ApiDown", "MetricsSlow"],
    25: ["ProcessFilesMany", "FilesShort"],
}


@cache
def rendered(name: str) -> str:
    return server("staging").render(RULES[name], monitoring_instance="trade")


@cache
def rules() -> list[dict[str, Any]]:
    return [
        rule
        for name in RULES
        for group in yaml.safe_load(rendered(name))["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


@pytest.fixture
def promtool() -> Path:
    return program("promtool")


def program(name: str) -> Path:
    """Return the path of a program. Skips the test without it: `make unit` unpacks it."""
    try:
        return prometheus.programs()[name]
    except Trouble as trouble:
        pytest.skip(str(trouble))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name in RULES:
        (tmp_path / f"{name}.yml").write_text(rendered(name))
    return [tmp_path / f"{name}.yml" for name in RULES]


@pytest.mark.parametrize(
    "lasting", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["soon", "later"]
)
def test_each_fault_is_named_by_its_alerts_and_by_no_other(
    promtool: Path, files: list[Path], tmp_path: Path, lasting: bool
) -> None:
    """Run each case as a server of its own, so that one evaluation of a rule covers all cases."""
    chosen = [(f"server-{number}", it) for number, it in enumerate(CASES) if (it.after > SOON) == lasting]
    series = [
        {"series": with_labels(name, on), "values": values}
        for on, it in chosen
        for name, values in {**HEALTHY, **it.series}.items()
        if values != ABSENT
    ]
    expected = [
        {
            "expr": f'group by (alertname) (ALERTS{{alertstate="firing",instance="{on}"}})',
            "eval_time": f"{FAULT + it.after}s",
            "exp_samples": [
                {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(it.alerts)
            ],
        }
        for on, it in chosen
    ]
    plan = {
        "rule_files": [str(it) for it in files],
        "evaluation_interval": "2s",
        "tests": [{"interval": f"{EVERY}s", "input_series": series, "promql_expr_test": expected}],
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "plan.json"], capture_output=True, text=True, check=False
    )
    names = "\n".join(f"{on}: {it.name}" for on, it in chosen if f'"{on}"' in done.stderr.replace("\\", ""))
    assert done.returncode == 0, f"{names}\n{done.stdout}{done.stderr}"


def with_labels(series: str, instance: str) -> str:
    """Return the series with the labels that Prometheus gives the metrics of a server."""
    name, _, labels = series.partition("{")
    own = f'instance="{instance}"' + (',job="algosat"' if name.startswith("algosat_") else "")
    return f"{name}{{{own}{',' + labels if labels else '}'}"


def test_each_alert_has_a_fault() -> None:
    assert {rule["alert"] for rule in alerts()} - {alert for it in CASES for alert in it.alerts} == {
        "DeadMansSwitch"
    }


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_table_of_faults_has_an_alert(row: int) -> None:
    assert ROWS[row]
    assert set(ROWS[row]) <= {rule["alert"] for rule in alerts()}


def test_what_stops_orders_is_told_within_fifteen_seconds() -> None:
    """Up to 5 s pass before the metrics are read; critical alerts are sent without delay."""
    critical = {rule["alert"] for rule in alerts() if rule["labels"]["severity"] == "critical"}
    assert critical >= STOPS_ORDERS
    late = [
        it.name for it in CASES if it.alerts & STOPS_ORDERS and it.after > 10 and it.alerts <= STOPS_ORDERS
    ]
    assert late == []
    assert {alert for it in CASES if it.after <= 10 for alert in it.alerts} >= STOPS_ORDERS


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_each_alert_has_severity_summary_and_runbook(rule: Mapping[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"} or rule["alert"] == "DeadMansSwitch"
    assert rule["annotations"]["summary"].endswith((".", "}"))
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "docs/runbook.md"
    wanted = {anchor.replace("{{ $labels.component }}", it) for it in COMPONENTS}
    assert wanted <= {slug(it) for it in HEADING.findall(RUNBOOK.read_text())}


def test_runbook_lists_the_alerts_in_the_order_of_the_rules() -> None:
    (section,) = re.findall(
        r"^## Alerts from Prometheus$(.+?)^## ", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL
    )
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [rule["alert"] for rule in alerts()]


def test_each_metric_of_the_application_exists() -> None:
    used = {name for rule in rules() for name in METRIC.findall(rule["expr"]) if name.startswith("algosat_")}
    used |= {name for expr in dashboard() for name in METRIC.findall(expr) if name.startswith("algosat_")}
    assert used
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in used} - declared() == set()


@cache
def declared() -> set[str]:
    """Return the names of the metrics that the application and the programs beside it write."""
    files = [file for pattern in DECLARED for file in ROOT.glob(pattern)]
    return {word for file in files for word in re.findall(r"algosat_\w+", file.read_text())}


def test_fallbacks_of_settings_are_the_defaults_of_the_roles() -> None:
    """Provisioning knows the inventory only: the defaults of the role of the application are not loaded."""
    text = RULES["algosat"].read_text() + (ROOT / "playbooks/group_vars/all/wiring.yml").read_text()
    defaults = load(ROOT / "roles/algosat/defaults/main.yml")
    found = re.findall(r"\b(algosat_\w+) \| default\((\w+)\)", text)
    assert found
    assert [(name, value) for name, value in found if yaml.safe_load(value) != defaults[name]] == []


def test_thresholds_follow_the_settings() -> None:
    own = server("staging").render(RULES["algosat"], algosat_engine_reconcile_seconds=60)
    (read,) = [
        rule
        for group in yaml.safe_load(own)["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "BookNotRead"
    ]
    assert read["expr"].startswith("algosat_book_read_age_seconds > 152\n")


def test_expressions_of_the_dashboard_are_valid(promtool: Path, tmp_path: Path) -> None:
    recorded = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(dashboard())]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@cache
def dashboard() -> list[str]:
    """Return the expressions of all panels."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [
        target["expr"].replace("$__rate_interval", "1m")
        for panel in panels
        for target in panel.get("targets", ())
    ]


def with_variables(**variables: Any) -> Server:
    own = {**server("staging").variables, **variables}
    return Server(own, server("staging").templar.copy_with_new_env(available_variables=own))


def test_each_channel_is_accepted_by_alertmanager(tmp_path: Path) -> None:
    templates = ROOT / "roles/monitoring/templates/etc/prometheus"
    channels = [
        {"type": "webhook", "url": "https://hooks.example.com/x"},
        {
            "type": "email",
            "to": "me@example.com",
            "from": "it@example.com",
            "smarthost": "smtp.example.com:587",
            "auth_username": "it",
            "auth_password": "p#'{{x}}\"",
            "severities": ["critical"],
        },
        {
            "type": "telegram",
            "bot_token": "1:a",
            "chat_id": -42,
            "severities": ["warning"],
            "send_resolved": False,
        },
    ]
    own = with_variables(monitoring_channels=channels)
    messages = tmp_path / "messages.tmpl"
    messages.write_text(own.render(templates / "alertmanager_templates/messages.tmpl.j2"))
    text = own.render(templates / "alertmanager.yml.j2", monitoring_deadman_url="https://ping.example.com/s")
    file = tmp_path / "alertmanager.yml"
    file.write_text(text.replace("/etc/prometheus/alertmanager_templates/*.tmpl", str(messages)))
    amtool = program("amtool")
    done = subprocess.run([amtool, "check-config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    receivers = {
        it["name"]: sorted(it.keys() - {"name"}) for it in yaml.safe_load(file.read_text())["receivers"]
    }
    assert receivers == {
        "critical": ["email_configs", "webhook_configs"],
        "warning": ["telegram_configs", "webhook_configs"],
        "deadman": ["webhook_configs"],
    }


def test_channel_that_lacks_a_key_is_named_without_its_secrets() -> None:
    channels = [
        {"type": "webhook", "url": "https://hooks.example.com/x"},
        {"type": "telegram", "bot_token": "1:a", "chat_id": None},
        {"type": "email", "to": "me@example.com"},
    ]
    assert with_variables(monitoring_channels=channels).value("_monitoring_incomplete") == [
        "monitoring_channels[1], telegram, lacks chat_id.",
        "monitoring_channels[2], email, lacks from, smarthost.",
    ]


@pytest.mark.parametrize(("memory", "enabled"), [(24000, True), (1970, True), (1800, True), (980, False)])
def test_monitoring_is_on_from_two_gigabytes_of_memory(memory: int, enabled: bool) -> None:
    own = with_variables(ansible_facts={"memtotal_mb": memory})
    assert own.value("monitoring_enabled") is enabled


def test_daemons_use_at_most_120_mib_and_only_the_loopback_address() -> None:
    services = with_variables(ansible_facts={}).value("_monitoring_services").values()
    assert sum(it["memory"]["high"] for it in services) <= 120
    for service in services:
        assert [it for it in service["command"] if it.startswith("--web.listen-address=127.0.0.1:")]


@pytest.mark.parametrize(("guest", "reads"), [(["kvm"], True), (["container"], False)])
def test_sandbox_lets_the_exporter_read_the_clock_where_it_watches_it(guest: list[str], reads: bool) -> None:
    """ProtectClock denies adjtimex, and the exporter then leaves the metrics of the clock out silently."""
    services = with_variables(ansible_facts={"virtualization_tech_guest": guest}).value(
        "_monitoring_services"
    )
    exporter = services["prometheus-node-exporter"]
    assert ("timex" in " ".join(exporter["command"])) is reads
    assert ({"ProtectClock=false", "SystemCallFilter=adjtimex"} <= set(exporter["settings"])) is reads


@pytest.mark.parametrize("enabled", [True, False])
def test_application_is_read_only_if_its_metrics_are_enabled(enabled: bool) -> None:
    own = with_variables(algosat_monitoring_metrics_enabled=enabled)
    assert [it["job_name"] for it in own.value("monitoring_scrape_configs")] == ["algosat"] * enabled
    assert len(own.value("monitoring_rule_templates")) == enabled


def test_test_alert_expects_a_message_of_each_severity_from_each_channel() -> None:
    channels = [
        {"type": "webhook", "url": "http://127.0.0.1:9095/x"},
        {"type": "webhook", "url": "https://127.0.0.1.example.com:9096/", "severities": ["critical"]},
        {"type": "webhook", "url": "http://127.0.0.1:9095/y", "severities": ["warning"]},
        {"type": "telegram", "bot_token": "1:a", "chat_id": 7},
    ]
    own = with_variables(monitoring_channels=channels)
    assert own.value("_monitoring_expected") == {"webhook": 4, "telegram": 2}
    assert own.value("_monitoring_own_ports") == [9095]
    compile(
        own.render(ROOT / "roles/monitoring/templates/usr/local/sbin/test-alert.j2"), "test-alert", "exec"
    )


def test_journal_shows_no_address_of_a_channel() -> None:
    """Alertmanager of Debian 12 writes a bot's token with each failed attempt."""
    services = with_variables(ansible_facts={}).value("_monitoring_services")
    wrapper = services["prometheus-alertmanager"]["command"][0].replace("$$", "$").replace("%%", "%")
    failing = r"""echo 'err="Post \"https://api.example.org/bot1:secret/send?x=%20\": refused"' >&2"""
    done = subprocess.run(
        [*shlex.split(wrapper), "sh", "-c", failing], capture_output=True, text=True, check=True
    )
    assert done.stdout == 'err="Post \\"(address)\\": refused"\n'
