"""Routes for health, metrics and advice about the machine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any, Final, Literal, cast

import psutil
from flask import Response, request
from pydantic import Field

from algosat.api.access import Access
from algosat.api.context import services
from algosat.api.fields import Timestamp
from algosat.api.pages import Everything, page
from algosat.api.responses import Output, json_answer
from algosat.api.routes import Routes
from algosat.errors import NotFound
from algosat.host import advisor
from algosat.host.history import Point, points
from algosat.host.probe import Probe, in_container
from algosat.monitoring import exposition
from algosat.monitoring.health import State
from algosat.monitoring.textfiles import DIRECTORY, Textfiles

routes = Routes("system", "Health, metrics and the machine.")

_STARTED: Final = time.time()
_VERSION: Final = version("algosat")  # read once: the files may be replaced while the worker runs
_LOOK_AGAIN: Final = "5"  # seconds after which the next look at an unhealthy server is worth while
_POINTS: Final = 48  # of the history
_METRICS: Final = 'algosat_orders_total{account="paper",mode="PAPER",outcome="accepted"} 12.0\n'


HealthState = Literal["healthy", "degraded", "unhealthy"]


class Welcome(Output):
    """Paths of the documentation."""

    name: Annotated[str, Field(examples=["Algosat"])]
    """Name of the service."""
    status: Annotated[str, Field(examples=["running"])]
    """Always `running`."""
    documentation: Annotated[str, Field(examples=["/docs"])]
    """Path of the documentation page."""
    openapi: Annotated[str, Field(examples=["/openapi.json"])]
    """Path of the OpenAPI document."""


class ComponentHealth(Output):
    """Health of one component."""

    ok: Annotated[bool, Field(examples=[True])]
    """Whether the component works."""
    detail: Annotated[str, Field(examples=["3 ms"])]
    """Finding of the check as a sentence, with the remedy after a failure."""


class HealthView(Output):
    """Health of the server and its components."""

    status: HealthState
    """`unhealthy` if a vital component fails, `degraded` if another one does."""
    timestamp: Timestamp
    """Time of the server."""
    components: Annotated[dict[str, bool], Field(examples=[{"database": True, "engine": True}])]
    """Whether the component works, by name."""
    details: Annotated[dict[str, str], Field(examples=[{"database": "3 ms", "engine": "1 s ago"}])]
    """Finding of the check as a sentence, by name of the component."""


class Alive(Output):
    """Liveness of this process."""

    status: Literal["alive"]
    """Always `alive`."""


class Ready(Output):
    """Readiness of this process."""

    status: Literal["ready", "not_ready"]
    """Whether requests can be served."""
    detail: Annotated[str, Field(examples=["3 ms"])]
    """Finding of the database check as a sentence."""


class Process(Output):
    """The server process behind this response."""

    pid: Annotated[int, Field(examples=[1234])]
    """Process id."""
    uptime_seconds: Annotated[float, Field(examples=[86400.5])]
    """Seconds since the start of the process."""
    memory_bytes: Annotated[int, Field(examples=[94371840])]
    """Resident memory in bytes."""
    threads: Annotated[int, Field(examples=[12])]
    """Number of threads."""


class HostProcess(Output):
    """One of Algosat's processes."""

    name: Annotated[str, Field(examples=["engine"])]
    """Its part: `api`, `api-worker`, `engine`, `strategies` or `strategy-NAME`."""
    pid: Annotated[int, Field(examples=[1234])]
    """Process id."""
    started_at: Timestamp
    """When it started."""
    resident_bytes: Annotated[int, Field(examples=[94371840])]
    """Resident memory in bytes."""
    open_fds: Annotated[int, Field(examples=[31])]
    """Number of open file descriptors."""
    threads: Annotated[int, Field(examples=[12])]
    """Number of threads."""
    cpu_seconds: Annotated[float, Field(examples=[81.5])]
    """Time of the processors that it has used."""


class HostPoint(Output):
    """The machine at one time. Rates are bytes a second since the point before."""

    at: Timestamp
    """Time of the reading."""
    cpu_percent: Annotated[float, Field(examples=[12.5])]
    """Share of the processors' time in use."""
    load: Annotated[float, Field(examples=[0.4])]
    """Load over one minute."""
    memory_percent: Annotated[float, Field(examples=[41.5])]
    """Share of the memory in use."""
    swap_percent: Annotated[float, Field(examples=[0.0])]
    """Share of the swap in use."""
    disk_percent: Annotated[float, Field(examples=[37.0])]
    """Share of the data's file system in use."""
    inodes_percent: Annotated[float, Field(examples=[3.1])]
    """Share of its inodes in use."""
    disk_read_rate: Annotated[float, Field(examples=[4096.0])]
    """Bytes a second read from disks."""
    disk_written_rate: Annotated[float, Field(examples=[8192.0])]
    """Bytes a second written to disks."""
    network_received_rate: Annotated[float, Field(examples=[2048.0])]
    """Bytes a second received."""
    network_sent_rate: Annotated[float, Field(examples=[1024.0])]
    """Bytes a second sent."""
    descriptors: Annotated[int, Field(examples=[2100])]
    """Open file descriptors of all processes."""
    threads: Annotated[int, Field(examples=[310])]
    """Threads of all processes."""
    process_count: Annotated[int, Field(examples=[104])]
    """Number of processes."""


class SystemStatus(Output):
    """Health with every detail, this process, and the machine."""

    version: Annotated[str, Field(examples=["0.1.0"])]
    """Release of Algosat."""
    environment: Annotated[str, Field(examples=["production"])]
    """Environment of the inventory."""
    status: HealthState
    """State of the server, as in `/health`."""
    timestamp: Timestamp
    """Time of the server."""
    components: Annotated[
        dict[str, ComponentHealth], Field(examples=[{"database": {"ok": True, "detail": "3 ms"}}])
    ]
    """Health of each component."""
    process: Process
    """Process that answered."""
    host: Annotated[dict[str, Any], Field(examples=[{"cpu_count": 2, "memory_percent": 41.5}])]
    """Measurements of the machine, as means of the last minute: processors, memory, swap, disk space and
    inodes, input and output, network, descriptors, threads and processes."""
    processes: list[HostProcess]
    """Algosat's processes."""
    history: list[HostPoint]
    """The machine over the last hours, oldest first."""


class EvidenceView(Output):
    """A figure over time."""

    figure: Annotated[str, Field(examples=["memory in use"])]
    """Name of the figure."""
    unit: Annotated[str, Field(examples=["percent"])]
    """Unit of the values."""
    since: Timestamp
    """Time of the first value."""
    values: Annotated[list[float], Field(examples=[[71.5, 84.0, 91.2]])]
    """Values in equal distances, oldest first."""


class AdviceView(Output):
    """Advice about the machine."""

    subject: Annotated[str, Field(examples=["memory"])]
    """Subject of the advice: memory, cpu, disk, inodes, swap, descriptors, leak, workers or pool."""
    urgency: Literal["notice", "warning"]
    """Urgency of the advice."""
    finding: Annotated[str, Field(examples=["91 % of the memory is in use, the threshold is 85 %"])]
    """Measurement behind the advice."""
    reason: Annotated[str, Field(examples=["When memory ends, the kernel kills a process"])]
    """Why the finding matters."""
    remedy: Annotated[str, Field(examples=["Lower algosat_api_workers, or take a larger machine"])]
    """Recommended action."""
    variable: Annotated[str | None, Field(examples=["algosat_api_workers"])]
    """Inventory variable that changes it; null if there is none."""
    evidence: EvidenceView | None
    """Figure over time; null if the finding is no measurement."""


@routes.get("/", access=Access.OPEN, answer=Welcome)
def welcome() -> Welcome:
    """Show the name of the service and the paths of its documentation"""
    return {"name": "Algosat", "status": "running", "documentation": "/docs", "openapi": "/openapi.json"}


@routes.get("/health", access=Access.OPEN, answer=HealthView, also=(503,), limited=False)
def health() -> Response:
    """Check every component; 503 if a vital one fails"""
    report = services().health.report()
    answer: HealthView = {
        "status": report.state.value,
        "timestamp": services().clock(),
        "components": {name: finding.ok for name, finding in report.findings.items()},
        "details": {name: finding.detail for name, finding in report.findings.items()},
    }
    return _health_answer(answer, is_available=report.state is not State.UNHEALTHY)


@routes.get("/health/live", access=Access.PUBLIC, answer=Alive, limited=False)
def live() -> Alive:
    """Check that this process answers"""
    return {"status": "alive"}


@routes.get("/health/ready", access=Access.PUBLIC, answer=Ready, also=(503,), limited=False)
def ready() -> Response:
    """Check that requests can be served: the store answers and has this release's schema version"""
    finding = services().health.report().findings["database"]
    answer: Ready = {"status": "ready" if finding.ok else "not_ready", "detail": finding.detail}
    return _health_answer(answer, is_available=finding.ok)


def _health_answer(answer: Mapping[str, Any], *, is_available: bool) -> Response:
    if is_available:
        return json_answer(answer, 200)
    return json_answer(answer, 503, {"Retry-After": _LOOK_AGAIN})


@routes.get(
    "/metrics",
    access=Access.OPEN,
    answer=None,
    content={"text/plain": _METRICS, "application/openmetrics-text": f"{_METRICS}# EOF\n"},
    limited=False,
    errors=(NotFound,),
)
def metrics() -> Response:
    """Show the metrics for Prometheus: totals of all processes, the server's state, backups and drift"""
    settings = services().live.current.algosat
    if not settings.monitoring.metrics_enabled:
        raise NotFound("Metrics are disabled by monitoring.metrics_enabled")
    collectors = (services().state_metrics, Textfiles(settings.data_directory / DIRECTORY))
    body, content_type = exposition.generate(request.headers.get("Accept", ""), collectors)
    return Response(body, content_type=content_type)


@routes.get("/system/status", access=Access.VIEWER, answer=SystemStatus)
def status() -> SystemStatus:
    """Show health in detail, this process, and the machine"""
    report = services().health.report()
    settings = services().live.current.algosat
    history = services().sampler.history()
    host = asdict(history.mean or Probe(settings.data_directory).read())
    processes = [{**each, "started_at": _moment(each["started_at"])} for each in host.pop("processes")]
    return {
        "version": _VERSION,
        "environment": settings.environment,
        "status": report.state.value,
        "timestamp": services().clock(),
        "components": {name: {"ok": f.ok, "detail": f.detail} for name, f in report.findings.items()},
        "process": _process(),
        "host": host,
        "processes": cast(list[HostProcess], processes),
        "history": [_point(each) for each in points(history, _POINTS)],
    }


@routes.get("/system/recommendations", access=Access.VIEWER, answer=Everything[AdviceView])
def recommendations() -> dict[str, Any]:
    """List advice about the machine, each with its reason, its figures over time, and what changes it"""
    settings = services().live.current.algosat
    facts = advisor.Facts(services().sampler.history(), settings, in_container())
    return page((_advice(each) for each in advisor.advise(facts)), None)


def _advice(advice: advisor.Advice) -> AdviceView:
    view = asdict(advice)
    if advice.evidence is not None:
        view["evidence"]["since"] = _moment(advice.evidence.since)
    return cast(AdviceView, view)


def _point(point: Point) -> HostPoint:
    return cast(HostPoint, {**asdict(point), "at": _moment(point.at)})


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _process() -> Process:
    process = psutil.Process()
    return {
        "pid": os.getpid(),
        "uptime_seconds": round(time.time() - _STARTED, 1),
        "memory_bytes": process.memory_info().rss,
        "threads": process.num_threads(),
    }
