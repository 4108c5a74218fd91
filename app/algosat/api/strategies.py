"""Strategies: defining them, starting and stopping them, and how they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.pages import Everything
from algosat.api.request_models import Input
from algosat.api.routes import Routes
from algosat.errors import InvalidBody, NotFound
from algosat.live import definitions, manage, status
from algosat.live.definitions import Definition, Version
from algosat.store.database import Database
from algosat.strategies import catalog

routes = Routes("strategies")

_MOST_VERSIONS = 100


class StrategyBody(Input):
    class_name: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z0-9-]{1,64}$"),
        Field(alias="class", description="One of `classes` in the list of strategies."),
    ]
    parameters: Annotated[
        dict[str, Any], Field(description="Validated by the class; its schema stands there.")
    ]


class StatusView(TypedDict, total=False):
    """`state` is stopped, starting, running, stopping, waiting (it crashed, and is tried again soon), failed
    (given up until somebody starts it) or unsupervised."""

    state: str
    detail: str
    pid: int
    run: str
    memory: int
    crashes: int


StrategyView = TypedDict(
    "StrategyView",
    {
        "name": str,
        "class": str,
        "version": int,
        "parameters": dict[str, Any],
        "wanted": str,
        "status": StatusView,
        "changed_at": datetime,
        "changed_by": str,
    },
)

VersionView = TypedDict(
    "VersionView",
    {
        "version": int,
        "class": str,
        "parameters": dict[str, Any],
        "created_at": datetime,
        "created_by": str,
    },
)


class StrategyWithVersions(StrategyView):
    versions: list[VersionView]


ClassView = TypedDict("ClassView", {"class": str, "description": str, "parameters": dict[str, Any]})


class Strategies(Everything[StrategyView]):
    classes: list[ClassView]


@routes.get("/strategies", access=Access.VIEWER, answer=Strategies)
def list_strategies() -> dict[str, Any]:
    """Every strategy and how it is, and the classes a strategy can be of"""
    with services().database.read() as connection:
        told = status.statuses(connection, services().clock())
        items = [_view(each, told) for each in definitions.every(connection)]
    return {"items": items, "next_cursor": None, "classes": _classes()}


@routes.get("/strategies/<name:name>", access=Access.VIEWER, answer=StrategyWithVersions, errors=(NotFound,))
def show_strategy(name: str) -> dict[str, Any]:
    """One strategy, and its versions, newest first"""
    with services().database.read() as connection:
        view = _view(definitions.find(connection, name), status.statuses(connection, services().clock()))
        versions = definitions.versions(connection, name, most=_MOST_VERSIONS)
    return {**view, "versions": [_version(each) for each in versions]}


@routes.put(
    "/strategies/<name:name>",
    access=Access.TRADER,
    body=StrategyBody,
    answer=StrategyView,
    errors=(InvalidBody,),
)
def define_strategy(name: str, body: StrategyBody) -> StrategyView:
    """Define a strategy, or give it a new version; one that runs is started anew with it"""
    return _now(manage.define(services().desk, name, body.class_name, body.parameters, cause()))


@routes.post("/strategies/<name:name>/start", access=Access.TRADER, answer=StrategyView, errors=(NotFound,))
def start_strategy(name: str) -> StrategyView:
    """Have it run from now on, also after a restart of the server"""
    return _now(manage.start(services().desk, name, cause()))


@routes.post(
    "/strategies/<name:name>/stop",
    access=Access.TRADER,
    answer=StrategyView,
    errors=(NotFound,),
    limited=False,
)
def stop_strategy(name: str) -> StrategyView:
    """Have it rest; its orders and positions stay as they are

    To end those too, halt trading with the strategy's name as scope.
    """
    return _now(manage.stop(services().desk, name, cause()))


def _now(definition: Definition) -> StrategyView:
    return _view(definition, _told(services().database))


def _told(database: Database) -> Mapping[str, dict[str, Any]] | None:
    with database.read() as connection:
        return status.statuses(connection, services().clock())


def _view(definition: Definition, told: Mapping[str, dict[str, Any]] | None) -> StrategyView:
    return {
        "name": definition.name,
        "class": definition.latest.class_name,
        "version": definition.latest.version,
        "parameters": dict(definition.latest.parameters),
        "wanted": definition.wanted,
        "status": StatusView(**status.status_of(definition, told)),  # type: ignore[typeddict-item]
        "changed_at": definition.changed_at,
        "changed_by": definition.changed_by,
    }


def _version(version: Version) -> VersionView:
    return {
        "version": version.version,
        "class": version.class_name,
        "parameters": dict(version.parameters),
        "created_at": version.created_at,
        "created_by": version.created_by,
    }


def _classes() -> list[ClassView]:
    return [
        {
            "class": name,
            "description": (strategy.__doc__ or "").strip(),
            "parameters": strategy.parameters_model.model_json_schema(),
        }
        for name, strategy in catalog.CLASSES.items()
    ]
