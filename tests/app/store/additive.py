"""What a migration takes away from releases that do not know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.engine import Inspector

from algosat.store.schema_version import HEAD_TABLE, OLDEST_TABLE


@dataclass(frozen=True, slots=True)
class TableShape:
    """What a release relies on in a table: columns, key, constraints, indexes and content."""

    columns: dict[str, dict[str, Any]]
    key: list[str]
    unique: dict[str, Any]
    indexes: dict[str, Any]
    content: list[dict[str, Any]]


Shapes = dict[str, TableShape]

_VERSION_TABLES: Final = {HEAD_TABLE, OLDEST_TABLE}


def shapes(connection: Connection) -> Shapes:
    """Return every table but those of the versions as it is now, with its rows."""
    inspector = inspect(connection)
    names = set(inspector.get_table_names()) - _VERSION_TABLES
    return {name: _shape(connection, inspector, name) for name in names}


def fill_tables(connection: Connection) -> None:
    """Insert a row into each table. A change of its values by a migration is found by `taken_away`."""
    reflected = MetaData()
    reflected.reflect(connection)
    for table in reflected.tables.values():
        if table.name in _VERSION_TABLES:
            continue
        values = {column.name: _value(column.type.python_type) for column in table.columns}
        connection.execute(table.insert().values(values))


def taken_away(before: Shapes, after: Shapes) -> list[str]:
    """Return what a release that knows only the tables of `before` misses in those of `after`."""
    found = []
    for name, table in before.items():
        found += list(_differences(table, after[name])) if name in after else ["the table is gone"]
        found = [it if it.startswith("table ") else f"table {name}: {it}" for it in found]
    return found


def _differences(before: TableShape, after: TableShape) -> Iterator[str]:
    for name, column in before.columns.items():
        now = after.columns.get(name)
        if now is None:
            yield f"column {name} is gone"
        elif str(now["type"]) != str(column["type"]):
            yield f"column {name} was {column['type']}, is {now['type']}"
        elif now["nullable"] < column["nullable"]:
            yield f"column {name} no longer accepts NULL"
        elif column["default"] is not None and now["default"] != column["default"]:
            yield f"column {name} had the default {column['default']}, has {now['default']}"
    for name, column in after.columns.items():
        if name not in before.columns and not column["nullable"] and column["default"] is None:
            yield f"new column {name} is neither nullable nor has it a server default"
    if after.key != before.key:
        yield f"the primary key was {before.key}, is {after.key}"
    yield from (f"{name} was added: inserts may violate it" for name in after.unique.keys() - before.unique)
    yield from (f"index {name} is gone" for name in before.indexes.keys() - after.indexes)
    shared = before.columns.keys() & after.columns.keys()
    if _reduced(after.content, shared) != _reduced(before.content, shared):
        yield "the content of its columns was changed"


def _reduced(rows: list[dict[str, Any]], columns: AbstractSet[str]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in columns} for row in rows]


def _shape(connection: Connection, inspector: Inspector, name: str) -> TableShape:
    indexes = {str(it["name"]): it for it in inspector.get_indexes(name)}
    constraints: Iterable[Mapping[str, Any]] = (
        *inspector.get_unique_constraints(name),
        *inspector.get_check_constraints(name),
        *inspector.get_foreign_keys(name),
    )
    unique = {it: index for it, index in indexes.items() if index["unique"]}
    rows = connection.execute(text(f'SELECT * FROM "{name}"'))
    return TableShape(
        columns={str(it["name"]): dict(it) for it in inspector.get_columns(name)},
        key=inspector.get_pk_constraint(name)["constrained_columns"],
        unique=unique | {str(it["name"]): it for it in constraints},
        indexes=indexes,
        content=[dict(row) for row in rows.mappings()],
    )


def _value(kind: type[Any]) -> Any:
    return "0" if kind is str else kind(2026, 1, 2) if kind.__name__ == "date" else kind(1)
