"""Prepared upserts, in the SQL of SQLite or PostgreSQL."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import sqlite

from algosat.store.prepared import Prepared

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


@cache
def replace_rows(table: Table) -> Prepared:
    """Insert whole rows, each replacing the row with the same key."""

    def build(dialect: str) -> Insert:
        statement = insert_into(table, dialect)
        values = {
            column.name: statement.excluded[column.name] for column in table.c if not column.primary_key
        }
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)

    return Prepared(build, table.c.keys())


@cache
def add_to_rows(table: Table, names: tuple[str, ...]) -> Prepared:
    """Insert whole rows; where the key exists, add the values of the columns `names` to the stored ones."""

    def build(dialect: str) -> Insert:
        statement = insert_into(table, dialect)
        added = {name: table.c[name] + statement.excluded[name] for name in names}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=added)

    return Prepared(build, table.c.keys())


def insert_into(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    """Return an insert that supports ON CONFLICT."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # imported here: it is large, and most stores are on SQLite

    return postgresql.insert(table)
