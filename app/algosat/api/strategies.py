"""Routes to define, start and stop strategies, and to read their state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import cause, desk_of_strategy, mode_of, services
from algosat.api.fields import AccountMode, AccountName, Timestamp
from algosat.api.pages import Label
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.errors import InvalidBody, NotFound
from algosat.live import definitions, manage, status
from algosat.live.definitions import Definition, StrategyVersion, Wanted
from algosat.store.database import Database
from algosat.strategies import catalog

routes = Routes("strategies", "Define, start and stop strategies.")

_MOST_VERSIONS = 100


_PARAMETERS: Final = {"symbols": ["ALPHA-EQ"], "range_minutes": 15, "quantity": "10"}

ClassName = Annotated[str, Field(examples=["opening-range-breakout"])]
ParameterValues = Annotated[dict[str, Any], Field(examples=[_PARAMETERS])]


class StrategyBody(Input):
    """Class, parameters and account of a strategy."""

    class_name: Annotated[ClassName, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$"), Field(alias="class")]
    """One of `classes` in `GET /strategies`."""
    parameters: ParameterValues
    """Parameters of the class; its JSON Schema is in `classes`."""
    account: Annotated[Label | None, Field(examples=["paper"])] = None
    """Account on which the strategy trades, for good; by default the first one."""


class StrategyStatus(Output, total=False):
    """State of a strategy's process, as its supervisor last reported it."""

    state: Annotated[str, Field(examples=["running"])]
    """`stopped`, `starting`, `running`, `stopping`, `waiting` (crashed, restarts soon), `failed` (crashed too
    often; needs a new start) or `unsupervised` (the supervisor does not run)."""
    detail: Annotated[str, Field(examples=["started"])]
    """Reason for the state, if any."""
    pid: Annotated[int, Field(examples=[2345])]
    """Process id."""
    run: Annotated[str, Field(examples=["1.2"])]
    """Number of the start and version of the definition."""
    memory: Annotated[int, Field(examples=[52428800])]
    """Resident memory in bytes."""
    crashes: Annotated[int, Field(examples=[0])]
    """Number of recent crashes."""


_OfClass = TypedDict("_OfClass", {"class": Annotated[ClassName, Field(description="Class of the strategy.")]})


class StrategyView(Output, _OfClass):
    """A strategy."""

    # Docstrings of fields are not inherited, and StrategyWithVersions needs these descriptions too.
    name: Annotated[
        str,
        Field(
            description="Name of the strategy; orders, positions, limits and halts refer to it.",
            examples=["opening-range"],
        ),
    ]
    account: AccountName
    mode: AccountMode
    version: Annotated[int, Field(description="Version of the definition.", examples=[2])]
    parameters: Annotated[ParameterValues, Field(description="Parameters in force.")]
    wanted: Annotated[
        Wanted, Field(description="Whether the strategy is meant to run.", examples=["running"])
    ]
    status: Annotated[StrategyStatus, Field(description="State of the strategy's process.")]
    changed_at: Annotated[Timestamp, Field(description="Time of the last definition, start or stop.")]
    changed_by: Annotated[
        str, Field(description="Who last defined, started or stopped the strategy.", examples=["user:trader"])
    ]


class VersionView(Output, _OfClass):
    """One version of a strategy's definition."""

    version: Annotated[int, Field(examples=[2])]
    """Number of the version."""
    parameters: ParameterValues
    """Parameters of this version."""
    created_at: Timestamp
    """Time of the definition."""
    created_by: Annotated[str, Field(examples=["user:trader"])]
    """Who defined the version."""


class StrategyWithVersions(StrategyView):
    """A strategy and its history."""

    versions: list[VersionView]
    """Versions of the definition, newest first; at most 100."""


class ClassView(Output, _OfClass):
    """A class that strategies can have."""

    description: Annotated[str, Field(examples=["Trade breakouts from the first minutes' range."])]
    """What strategies of this class do."""
    parameters: Annotated[dict[str, Any], Field(examples=[{"type": "object"}])]
    """JSON Schema of the parameters."""


class Strategies(Output):
    """All strategies, and the classes they can have."""

    items: list[StrategyView]
    """All strategies."""
    next_cursor: None
    """Always null: there is no next page."""
    classes: list[ClassView]
    """Strategy classes of this release."""


@routes.get("/strategies", access=Access.VIEWER, answer=Strategies)
def list_strategies() -> dict[str, Any]:
    """List all strategies with their state, and the strategy classes"""
    with services().database.read() as connection:
        reported = status.statuses(connection, services().clock())
        items = [_view(each, reported) for each in definitions.list_all(connection)]
    return {"items": items, "next_cursor": None, "classes": _classes()}


@routes.get("/strategies/<name:name>", access=Access.VIEWER, answer=StrategyWithVersions, errors=(NotFound,))
def show_strategy(name: str) -> dict[str, Any]:
    """Show one strategy with its versions, newest first"""
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
    """Define a strategy, or a new version of it

    A running strategy restarts with the new version.
    """
    desk = desk_of_strategy(name, body.account)
    return _now(manage.define(desk, name, body.class_name, body.parameters, cause()))


@routes.post("/strategies/<name:name>/start", access=Access.TRADER, answer=StrategyView, errors=(NotFound,))
def start_strategy(name: str) -> StrategyView:
    """Start a strategy; it also runs again after a restart of the server"""
    return _now(manage.start(services().desks.first, name, cause()))


@routes.post(
    "/strategies/<name:name>/stop",
    access=Access.TRADER,
    answer=StrategyView,
    errors=(NotFound,),
    limited=False,
)
def stop_strategy(name: str) -> StrategyView:
    """Stop a strategy; its orders and positions stay

    To cancel its orders and close its positions, halt trading with the strategy's name as scope.
    """
    return _now(manage.stop(services().desks.first, name, cause()))


def _now(definition: Definition) -> StrategyView:
    return _view(definition, _reported(services().database))


def _reported(database: Database) -> Mapping[str, dict[str, Any]] | None:
    with database.read() as connection:
        return status.statuses(connection, services().clock())


def _view(definition: Definition, reported: Mapping[str, dict[str, Any]] | None) -> StrategyView:
    account = definition.account
    return {
        "name": definition.name,
        "account": account,
        "mode": mode_of(account),
        "class": definition.latest.class_name,
        "version": definition.latest.version,
        "parameters": dict(definition.latest.parameters),
        "wanted": definition.wanted,
        "status": cast(StrategyStatus, status.status_of(definition, reported)),
        "changed_at": definition.changed_at,
        "changed_by": definition.changed_by,
    }


def _version(version: StrategyVersion) -> VersionView:
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
