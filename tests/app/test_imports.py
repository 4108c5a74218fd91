"""Rules on imports and broker calls, checked on the source: imports point down, the engine calls brokers."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import algosat
from algosat.brokers.registry import BROKERS

SOURCE: Final = Path(algosat.__file__).parent
# What each top-level package and module may import, from the lowest layer up (DESIGN, section 2).
MAY_IMPORT: Final[Mapping[str, set[str]]] = {
    "errors": set(),
    "validation_errors": set(),
    "clock": set(),
    "systemd": {"errors"},
    "domain": {"errors"},
    "config": {"domain", "errors", "validation_errors"},
    "monitoring": {"config", "errors"},
    "store": {"monitoring", "config", "domain", "errors", "clock"},
    "exchange": {"domain", "errors"},
    "brokers": {"exchange", "store", "config", "domain", "errors", "clock"},
    "host": {"config", "errors", "clock"},
    "resilience": {"store", "monitoring", "errors", "clock"},
    "security": {"store", "monitoring", "config", "errors", "clock"},
    "strategies": {"domain", "errors", "validation_errors"},
    # Of brokers, trading reads the capabilities in the registry, which imports no adapter.
    "trading": {
        *("brokers", "resilience", "security", "store", "monitoring", "config"),
        *("domain", "errors", "validation_errors", "clock"),
    },
    "backtest": {"strategies", "exchange", "config", "domain", "errors", "validation_errors"},
    "live": {
        *("strategies", "trading", "resilience", "store", "monitoring", "config"),
        *("domain", "errors", "clock", "systemd"),
    },
    "engine": {
        *("trading", "resilience", "security", "brokers", "store", "monitoring", "config"),
        *("domain", "errors", "clock", "systemd"),
    },
    "api": {
        *("live", "trading", "strategies", "security", "resilience", "host", "store", "monitoring"),
        *("config", "domain", "errors", "validation_errors", "clock", "systemd"),
    },
    "health_checks": {"trading", "security", "host", "store", "monitoring", "config", "errors", "clock"},
    "state_metrics": {"trading", "host", "store", "monitoring", "domain", "errors", "clock"},
    "app": {
        *(
            "api",
            "health_checks",
            "state_metrics",
            "host",
            "trading",
            "security",
            "resilience",
            "store",
            "monitoring",
        ),
        *("config", "errors", "clock"),
    },
    "cli": {
        *("app", "host", "api", "engine", "live", "backtest", "trading", "strategies", "security", "brokers"),
        *("resilience", "store", "monitoring", "config", "domain", "errors", "clock", "systemd"),
    },
    "__main__": {"cli"},
}
BROKER_WRITES: Final = {"place", "modify", "cancel", "convert"}
# What every process but the engine imports: the API, the supervisor and its strategies, the commands.
WITHOUT_BROKER: Final = (
    *("app", "api.server", "live.supervisor", "live.process"),
    *(
        "cli.serve",
        "cli.strategy",
        "cli.brokers",
        "cli.risk",
        "cli.closes",
        "cli.conversions",
        "cli.alerts",
        "cli.users",
    ),
)


@cache
def modules() -> list[tuple[str, ast.Module]]:
    paths = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(SOURCE.rglob("*.py"))
    }
    return [(name, ast.parse(path.read_text())) for name, path in paths.items()]


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield every module of the package that the file imports, without the package's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("algosat."):
            module = node.module.removeprefix("algosat.")
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "algosat":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("algosat.")
                for alias in node.names
                if alias.name.startswith("algosat.")
            )


def test_table_of_imports_has_no_circle() -> None:
    assert set().union(*MAY_IMPORT.values()) <= set(MAY_IMPORT)
    TopologicalSorter(MAY_IMPORT).prepare()  # raises CycleError


def test_packages_import_only_what_the_table_allows() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, tree in modules()
        if name
        for target in imported(tree)
        if (part := name.split(".")[0]) != (top := target.split(".")[0]) and top not in MAY_IMPORT[part]
    ]
    assert wrong == []


def test_no_module_imports_itself_through_others() -> None:
    names = {name for name, _ in modules()}
    graph = {name: set(_imported_modules(name, tree, names)) - {name} for name, tree in modules()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def _imported_modules(name: str, tree: ast.Module, names: set[str]) -> Iterator[str]:
    """Yield the imported modules; the `__init__` of a package counts only where it is named."""
    for target in imported(tree):
        package = target.rpartition(".")[0]
        if target in names:
            yield target
        elif package in names:
            yield package


def test_domain_imports_no_framework_store_or_network() -> None:
    forbidden = {"flask", "sqlalchemy", "pydantic", "httpx", "socket", "threading", "structlog", "time"}
    wrong = [
        f"{name} imports {root}"
        for name, tree in modules()
        if name.startswith("domain")
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for root in _roots(node)
        if root in forbidden
    ]
    assert wrong == []


def test_only_the_engine_imports_brokers() -> None:
    """A module that cannot import a broker cannot call one."""
    brokers = broker_modules()
    assert "brokers.paper.broker" in brokers, "the test looks for the wrong thing"
    wrong = [
        f"{name} imports {target}"
        for name, tree in modules()
        if name.split(".")[0] not in ("engine", "brokers")
        for target in imported(tree)
        if any(target == each or target.startswith(f"{each}.") for each in brokers)
    ]
    assert wrong == []


def broker_modules() -> set[str]:
    """Return the modules that define a broker, and those in `brokers` that import one."""
    trees = {name: tree for name, tree in modules() if name.startswith("brokers.") and name != "brokers.base"}
    found = {name for name, tree in trees.items() if any(map(_is_broker, ast.walk(tree)))}
    while True:
        more = {
            name
            for name, tree in trees.items()
            if any(target.rpartition(".")[0] in found for target in imported(tree))
        }
        if more <= found:
            return found
        found |= more


def _is_broker(node: ast.AST) -> bool:
    if not isinstance(node, ast.ClassDef):
        return False
    return {each.name for each in node.body if isinstance(each, ast.FunctionDef)} >= {
        "place",
        "cancel",
        "find",
    }


def test_only_the_engine_and_adapters_place_modify_or_cancel_at_a_broker() -> None:
    calls = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in BROKER_WRITES
        and "broker" in ast.unparse(node.func.value).lower()
    ]
    assert calls, "the test looks for the wrong thing"
    assert {call.split(":")[0].split(".")[0] for call in calls} <= {"engine", "brokers"}


def test_no_process_but_the_engine_loads_a_broker() -> None:
    entries = ", ".join(f"algosat.{entry}" for entry in WITHOUT_BROKER)
    builders = ", ".join(each.build.partition(":")[0] for each in BROKERS.values())
    program = f"import sys, {entries}; print(*sys.modules); import {builders}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    others, adapters = (set(line.split()) for line in done.stdout.splitlines())
    brokers = {f"algosat.{name}" for name in broker_modules()}
    assert not others & brokers
    assert adapters & brokers, "the test looks for the wrong thing"


def test_only_the_engine_and_adapters_call_anything_of_a_broker() -> None:
    calls = {
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _methods_of_the_protocol()
        and ast.unparse(node.func.value).lower().endswith("broker")
    }
    assert calls, "the test looks for the wrong thing"
    assert {call.split(":")[0].split(".")[0] for call in calls} <= {"engine", "brokers"}


@cache
def _methods_of_the_protocol() -> set[str]:
    (protocol,) = (
        node
        for name, tree in modules()
        if name == "brokers.base"
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Broker"
    )
    return {each.name for each in protocol.body if isinstance(each, ast.FunctionDef)}


def test_each_request_to_a_broker_has_one_module_that_sends_it() -> None:
    """Orders are placed by the sender; cancels and modifications are sent as pending requests.

    Conversions of positions have a module of their own.
    """
    requests = {
        name: {node.func.attr for node in ast.walk(tree) if _calls_a_broker(node)}  # type: ignore[attr-defined]
        for name, tree in modules()
        if name.startswith("engine.")
    }
    assert {name: sent for name, sent in requests.items() if sent} == {
        "engine.guarded_broker": {"place", "modify", "cancel", "convert"},
        "engine.conversions": {"convert"},
        "engine.sender": {"place"},
        "engine.pending_requests": {"modify", "cancel"},
    }


def _calls_a_broker(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in BROKER_WRITES
        and "broker" in ast.unparse(node.func.value).lower()
    )


def _roots(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").split(".")[0]]
    return [alias.name.split(".")[0] for alias in node.names]
