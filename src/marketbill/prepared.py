"""Statements of the hot paths: compiled once, sent through the driver, read as plain tuples.

SQLAlchemy's execution costs several times the driver's own CPU per statement. A sale is some dozens of statements, so
those that every sale runs are `prepared(...)`: the same Core statement with the same bound types, in the same
transaction. A statement that is built anew for each call stays as it is.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Executable, Row

#: PostgreSQL's type number of `numeric`, the only one that SQLAlchemy's dialect asks for.
_NUMERIC_OID = 1700

Values = Mapping[str, Any] | None
_Convert = Callable[[Any], Any]


class Prepared:
    """A statement whose values all have names (`bindparam`); made at import, compiled at its first use.

    Rows answer to column names, indexes and `_mapping`, like SQLAlchemy's.
    """

    def __init__(self, statement: Executable) -> None:
        self.statement = statement
        self._sql = ""
        self._names: tuple[str, ...] = ()
        self._defaults: dict[str, Any] = {}
        self._known = 0
        self._outgoing: dict[str, _Convert] = {}
        self._incoming: list[tuple[int, _Convert]] = []
        self._row: type[tuple[Any, ...]] | None = None

    async def rows(self, connection: Connection, values: Values) -> Sequence[Row[Any]]:
        sql, arguments = self._bound(connection, values)
        records = await driver_of(connection).fetch(sql, *arguments)
        if not records:
            return []
        row_type = self._row or self._make_row(records[0].keys())
        if not self._incoming:
            return cast(Any, [row_type(*record) for record in records])
        return cast(Any, [row_type(*self._read(record)) for record in records])

    async def run(self, connection: Connection, values: Values) -> int:
        """Gives the number of rows that the statement touched."""
        sql, arguments = self._bound(connection, values)
        status: str = await driver_of(connection).execute(sql, *arguments)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else -1

    def _bound(self, connection: Connection, values: Values) -> tuple[str, list[Any]]:
        if not self._sql:
            self._compile(connection.dialect)
        given = self._defaults | dict(values or {})
        if len(given) > self._known:
            raise TypeError(f"values without a place in the statement: {sorted(given.keys() - set(self._names))}")
        arguments = [given[name] for name in self._names]
        for place, name in enumerate(self._names):
            convert = self._outgoing.get(name)
            if convert is not None:
                arguments[place] = convert(arguments[place])
        _show(connection, self._sql, arguments)
        return self._sql, arguments

    def _compile(self, dialect: Dialect) -> None:
        compiled = cast(Any, self.statement).compile(dialect=dialect)
        self._names = tuple(compiled.positiontup or ())
        # A value that the statement gives itself; one that the caller forgets is a KeyError, never a silent NULL.
        self._defaults = {name: bind.effective_value for bind, name in compiled.bind_names.items() if not bind.required}
        self._known = len(set(self._names))
        for bind, name in compiled.bind_names.items():
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if convert is not None:
                self._outgoing[name] = convert
        columns = getattr(self.statement, "exported_columns", None)
        if columns is not None:
            for place, column in enumerate(columns):
                convert = column.type.dialect_impl(dialect).result_processor(dialect, _NUMERIC_OID)
                if convert is not None:
                    self._incoming.append((place, convert))
        self._sql = str(compiled)
        if "[POSTCOMPILE" in self._sql:
            raise ValueError("a prepared statement has no IN list of changing length: use `= any(:array)`")

    def _read(self, record: Sequence[Any]) -> list[Any]:
        values = list(record)
        for place, convert in self._incoming:
            values[place] = convert(values[place])
        return values

    def _make_row(self, names: Sequence[str]) -> type[tuple[Any, ...]]:
        plain = namedtuple("PlainRow", list(names), rename=True)
        self._row = type("PreparedRow", (plain,), {"__slots__": (), "_mapping": property(lambda row: row._asdict())})
        return self._row


def prepared(statement: Executable) -> Prepared:
    """Marks a statement of a hot path."""
    return Prepared(statement)


async def fetch(connection: Connection, sql: str, /, *arguments: Any) -> Sequence[Any]:
    """Runs SQL that names its values as the driver does (`$1`); gives the driver's records."""
    _show(connection, sql, arguments)
    return await driver_of(connection).fetch(sql, *arguments)


def _show(connection: Connection, sql: str, arguments: Sequence[Any]) -> None:
    """Who counts or logs statements sees these too."""
    listeners = connection.engine.dispatch.before_cursor_execute
    if listeners:
        listeners(connection, None, sql, arguments, None, False)


def driver_of(connection: Connection) -> Any:
    """The asyncpg connection under SQLAlchemy's."""
    return connection.connection.driver_connection
