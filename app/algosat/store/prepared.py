"""Statements that run again and again: SQLAlchemy's own, handed to the driver without its ceremony.

Around what SQLite answers in 5 µs, `Connection.execute` spends 70 and more. Here a statement is
compiled once for each kind of database; it runs on the same connection, in the transaction
that `Database` began there, and values pass the same types on their way in and out.
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
    """One statement, run again and again with other values.

    An insert or update names in `columns` what it sets. Where the words differ between databases,
    `statement` is a function of the dialect's name. It has no `IN` with a list of values.
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
        """Compile every statement that was imported so far; processes that are forked then share them."""
        for statement in cls._known:
            statement._compiled_for(dialect)  # noqa: SLF001 - its own class

    def all(self, connection: Connection, /, **values: Any) -> list[Any]:
        """Every row, as a named tuple."""
        return list(self.each(connection, **values))

    def each(self, connection: Connection, /, **values: Any) -> Iterator[Any]:
        """The same, each made when it is asked for: of many rows the first few may do."""
        compiled = self._compiled_for(connection.dialect)
        return map(compiled.row, _execute(connection, compiled, values).fetchall())

    def first(self, connection: Connection, /, **values: Any) -> Any:
        """The first row, or None."""
        compiled = self._compiled_for(connection.dialect)
        cursor = _execute(connection, compiled, values)
        raw = cursor.fetchone()
        cursor.close()  # rows that are left unread would keep the statement open
        return None if raw is None else compiled.row(raw)

    def scalar(self, connection: Connection, /, **values: Any) -> Any:
        """The first value of the first row, or None."""
        row = self.first(connection, **values)
        return None if row is None else row[0]

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """How many rows an insert, update or delete has touched."""
        return cast(int, _execute(connection, self._compiled_for(connection.dialect), values).rowcount)

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """The same for each of these rows."""
        compiled = self._compiled_for(connection.dialect)
        for row in rows:
            _execute(connection, compiled, row)

    def sql(self, connection: Connection) -> str:
        """Its words for this kind of database."""
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
    sql: str
    names: tuple[str, ...]  # of the parameters, in the order they are handed over
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]  # their values
    converts: tuple[tuple[int, Convert], ...]  # which of them need converting
    constants: Mapping[str, Any]
    by_position: bool
    make_row: Callable[[Iterable[Any]], Any]
    columns: tuple[tuple[int, Convert], ...]  # which columns need converting

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
        # As SQLAlchemy would have raised it: callers know its errors, not each driver's.
        raise DBAPIError.instance(
            compiled.sql, bound, error, connection.dialect.loaded_dbapi.Error, dialect=connection.dialect
        ) from error


def _compile(statement: ClauseElement, columns: list[str], dialect: Dialect) -> _Compiled:
    compiled = cast(SQLCompiler, statement.compile(dialect=dialect, column_keys=columns or None))
    if compiled.post_compile_params:
        raise ValueError(f"a list of values changes the words of a statement: {statement}")
    # `binds` knows them by the words of the driver's own style, `bind_names` by their names.
    types = {name: bind.type for bind, name in compiled.bind_names.items()}
    names = tuple(compiled.positiontup if compiled.positiontup is not None else types)
    selected = list(statement.selected_columns) if isinstance(statement, Select) else []
    names_of_row = [column.name for column in selected]
    row = namedtuple("Row", names_of_row, rename=True)  # type: ignore[misc]  # noqa: PYI024 - known only now
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
