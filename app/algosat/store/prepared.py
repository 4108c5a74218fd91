"""Prepared statements: SQLAlchemy statements that are compiled once and passed directly to the driver.

`Connection.execute` adds 70 µs and more to a statement that SQLite answers in 5. A prepared statement is
compiled once per dialect. It runs on the same connection, in the transaction that `Database` has begun,
and its values are converted by the same SQLAlchemy types.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, ClassVar, cast
from weakref import WeakSet

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

Convert = Callable[[Any], Any]


class Prepared:
    """One statement, to be run many times with different values.

    Args:
        statement: The statement, or a function that returns it for the name of a dialect. It must not
            contain `IN` with a list of values.
        columns: The columns that an insert or update sets.
    """

    _known: ClassVar[WeakSet[Prepared]] = WeakSet()

    def __init__(
        self, statement: ClauseElement | Callable[[str], ClauseElement], columns: Iterable[str] = ()
    ) -> None:
        self._statement = statement
        self._columns = list(columns)
        self._compiled: dict[str, _Compiled] = {}
        self._known.add(self)

    @classmethod
    def compile_all(cls, dialect: Dialect) -> None:
        """Compile every statement imported so far. Processes forked afterwards share the result."""
        for statement in cls._known:
            statement._compiled_for(dialect)  # noqa: SLF001 - of this class

    def all(self, connection: Connection, /, **values: Any) -> list[Any]:
        """Return all rows as named tuples."""
        return list(self.each(connection, **values))

    def each(self, connection: Connection, /, **values: Any) -> Iterator[Any]:
        """Yield all rows as named tuples, each converted when it is needed: callers may stop after a few."""
        compiled = self._compiled_for(connection.dialect)
        return map(compiled.row, _execute(connection, compiled, values).fetchall())

    def first(self, connection: Connection, /, **values: Any) -> Any:
        """Return the first row, or None."""
        compiled = self._compiled_for(connection.dialect)
        cursor = _execute(connection, compiled, values)
        raw = cursor.fetchone()
        cursor.close()  # unread rows would keep the statement open
        return None if raw is None else compiled.row(raw)

    def scalar(self, connection: Connection, /, **values: Any) -> Any:
        """Return the first value of the first row, or None."""
        row = self.first(connection, **values)
        return None if row is None else row[0]

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Run an insert, update or delete. Returns the number of rows affected."""
        return cast(int, _execute(connection, self._compiled_for(connection.dialect), values).rowcount)

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run an insert, update or delete once for each of these rows."""
        compiled = self._compiled_for(connection.dialect)
        for row in rows:
            _execute(connection, compiled, row)

    def sql(self, connection: Connection) -> str:
        """Return the SQL in this connection's dialect."""
        return self._compiled_for(connection.dialect).sql

    def _compiled_for(self, dialect: Dialect) -> _Compiled:
        known = self._compiled.get(dialect.name)
        if known is None:
            statement = self._statement
            if not isinstance(statement, ClauseElement):
                statement = statement(dialect.name)
            known = self._compiled[dialect.name] = _compile(statement, self._columns, dialect)
        return known


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in the SQL of one dialect."""

    sql: str
    names: tuple[str, ...]  # of the parameters, in the driver's order
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]  # returns their values
    converts: tuple[tuple[int, Convert], ...]  # parameters that need conversion, by position
    constants: Mapping[str, Any]
    by_position: bool
    make_row: Callable[[Iterable[Any]], Any]
    columns: tuple[tuple[int, Convert], ...]  # result columns that need conversion, by position

    def bind(self, values: Mapping[str, Any]) -> Any:
        bound = list(self.pick({**self.constants, **values} if self.constants else values))
        for position, convert in self.converts:
            bound[position] = convert(bound[position])
        return bound if self.by_position else dict(zip(self.names, bound, strict=True))

    def row(self, raw: Sequence[Any]) -> Any:
        if not self.columns:
            return self.make_row(raw)
        values = list(raw)
        for position, convert in self.columns:
            values[position] = convert(values[position])
        return self.make_row(values)


def _execute(connection: Connection, compiled: _Compiled, values: Mapping[str, Any]) -> Any:
    bound = compiled.bind(values)
    try:
        driver: Any = connection.connection.dbapi_connection
        return driver.execute(compiled.sql, bound)
    except connection.dialect.loaded_dbapi.Error as error:
        # Raised as SQLAlchemy raises it: callers handle its errors, not those of each driver.
        raise DBAPIError.instance(
            compiled.sql, bound, error, connection.dialect.loaded_dbapi.Error, dialect=connection.dialect
        ) from error


def _compile(statement: ClauseElement, columns: list[str], dialect: Dialect) -> _Compiled:
    compiled = cast(SQLCompiler, statement.compile(dialect=dialect, column_keys=columns or None))
    if compiled.post_compile_params:
        raise ValueError(f"a prepared statement cannot contain a list of values: {statement}")
    # `binds` has the parameters in the driver's style, `bind_names` has them by name.
    types = {name: bind.type for bind, name in compiled.bind_names.items()}
    names = tuple(compiled.positiontup if compiled.positiontup is not None else types)
    selected = list(statement.selected_columns) if isinstance(statement, Select) else []
    names_of_row = [column.name for column in selected]
    row = namedtuple("Row", names_of_row, rename=True)  # type: ignore[misc]  # noqa: PYI024 - the fields are known only here
    return _Compiled(
        sql=str(compiled),
        names=names,
        pick=_picker(names),
        converts=_needed(_in(types[name], dialect) for name in names),
        constants={name: value for name, value in compiled.params.items() if value is not None},
        by_position=compiled.positiontup is not None,
        make_row=row._make,
        columns=_needed(_out(column.type, dialect) for column in selected),
    )


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


def _needed(converts: Iterable[Convert | None]) -> tuple[tuple[int, Convert], ...]:
    return tuple((position, convert) for position, convert in enumerate(converts) if convert is not None)


def _in(of: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return of.dialect_impl(dialect).bind_processor(dialect)


def _out(of: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return of.dialect_impl(dialect).result_processor(dialect, None)
