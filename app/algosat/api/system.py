"""The server itself: is it well, what does it measure, what does the machine below advise."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final, Literal

import psutil
from flask import Response, request
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import services
from algosat.api.pages import Everything, page
from algosat.api.responses import json_answer
from algosat.api.routes import Routes
from algosat.errors import NotFound
from algosat.host import advisor, probe
from algosat.monitoring import exposition
from algosat.monitoring.health import State
from algosat.monitoring.textfiles import DIRECTORY, Textfiles

routes = Routes("system")

_STARTED: Final = time.time()


class Welcome(TypedDict):
    name: str
    status: str
    documentation: str
    openapi: str


class Detail(TypedDict):
    ok: bool
    detail: str


class HealthAnswer(TypedDict):
    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: datetime
    components: dict[str, bool]
    details: dict[str, str]


class Alive(TypedDict):
    status: Literal["alive"]


class Ready(TypedDict):
    status: Literal["ready", "not_ready"]
    detail: str


class Process(TypedDict):
    pid: int
    uptime_seconds: float
    memory_bytes: int
    threads: int


class Status(TypedDict):
    version: str
    environment: str
    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: datetime
    components: dict[str, Detail]
    process: Process
    host: dict[str, Any]


class AdviceView(TypedDict):
    subject: str
    urgency: Literal["notice", "warning"]
    finding: str
    remedy: str


@routes.get("/", access=Access.OPEN, answer=Welcome)
def welcome() -> Welcome:
    """What this is, and where to read on"""
    return {"name": "Algosat", "status": "running", "documentation": "/docs", "openapi": "/openapi.json"}


@routes.get("/health", access=Access.OPEN, answer=HealthAnswer, also=(503,), limited=False)
def health() -> Response:
    """Whether every component answers; 503 when one that is vital does not"""
    report = services().health.report()
    answer: HealthAnswer = {
        "status": report.state.value,
        "timestamp": services().clock(),
        "components": {name: finding.ok for name, finding in report.findings.items()},
        "details": {name: finding.detail for name, finding in report.findings.items()},
    }
    return json_answer(answer, 503 if report.state is State.UNHEALTHY else 200)


@routes.get("/health/live", access=Access.PUBLIC, answer=Alive, limited=False)
def live() -> Alive:
    """Whether this process answers at all"""
    return {"status": "alive"}


@routes.get("/health/ready", access=Access.PUBLIC, answer=Ready, also=(503,), limited=False)
def ready() -> Response:
    """Whether requests can be served: the store answers and is of this release's version"""
    finding = services().health.report().findings["database"]
    answer: Ready = {"status": "ready" if finding.ok else "not_ready", "detail": finding.detail}
    return json_answer(answer, 200 if finding.ok else 503)


@routes.get("/metrics", access=Access.OPEN, answer=None, limited=False)
def metrics() -> Response:
    """What Prometheus collects: all processes of this server summed, its backups and its drift"""
    settings = services().live.current.algosat
    if not settings.monitoring.metrics_enabled:
        raise NotFound("Metrics are switched off (monitoring.metrics_enabled)")
    textfiles = Textfiles(settings.data_directory / DIRECTORY)
    body, content_type = exposition.generate(request.headers.get("Accept", ""), textfiles)
    return Response(body, content_type=content_type)


@routes.get("/system/status", access=Access.VIEWER, answer=Status)
def status() -> Status:
    """Health with its reasons, this process, and the machine"""
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
    """What a person should do about the machine"""
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
