"""Routes for health, metrics and advice about the machine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated, Any, Final, Literal

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
from algosat.host import advisor, probe
from algosat.monitoring import exposition
from algosat.monitoring.health import State
from algosat.monitoring.textfiles import DIRECTORY, Textfiles

routes = Routes("system", "Health, metrics and the machine.")

_STARTED: Final = time.time()
_LOOK_AGAIN: Final = "5"  # seconds after which the next look at an unhealthy server is worth while
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
    """Measurements of the machine: processor, memory, swap and disk."""


class AdviceView(Output):
    """Advice about the machine."""

    subject: Annotated[str, Field(examples=["memory"])]
    """Subject of the advice: memory, cpu, disk or swap."""
    urgency: Literal["notice", "warning"]
    """Urgency of the advice."""
    finding: Annotated[str, Field(examples=["memory is 91 % used"])]
    """Measurement behind the advice."""
    remedy: Annotated[str, Field(examples=["add memory, or lower api.workers"])]
    """Recommended action."""


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
    return {
        "version": version("algosat"),
        "environment": settings.environment,
        "status": report.state.value,
        "timestamp": services().clock(),
        "components": {name: {"ok": f.ok, "detail": f.detail} for name, f in report.findings.items()},
        "process": _process(),
        "host": asdict(probe.read(settings.data_directory)),
    }


@routes.get("/system/recommendations", access=Access.VIEWER, answer=Everything[AdviceView])
def recommendations() -> dict[str, Any]:
    """List advice about the machine"""
    settings = services().live.current.algosat
    advice = advisor.advise(probe.read(settings.data_directory), settings.vps)
    return page((asdict(each) for each in advice), None)


def _process() -> Process:
    process = psutil.Process()
    return {
        "pid": os.getpid(),
        "uptime_seconds": round(time.time() - _STARTED, 1),
        "memory_bytes": process.memory_info().rss,
        "threads": process.num_threads(),
    }
