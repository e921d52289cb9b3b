"""The database: engines, and the scopes in which every statement runs.

A scope is one transaction of one tenant. `Database.write` and `Database.read` open it, name the tenant for row-level
security and fix the time of the transaction; a read scope is a READ ONLY transaction, so a read path cannot write.
`Database.system` belongs to no tenant and reaches only the few tables that a background loop must scan.
Two roles stand behind them, `marketbill_app` and `marketbill_system`; neither can bypass row-level security.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
from sqlalchemy import BigInteger, Column, Connection, Executable, MetaData, Row, String, Table, Uuid, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from marketbill import clock
from marketbill.errors import Unavailable
from marketbill.ids import PlatformId
from marketbill.prepared import Prepared, driver_of, fetch, prepared

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)
"""Every table of every room; a test compares it with what the migrations build."""

#: Microsecond instants with time zone; Python gets aware datetimes.
Instant = TIMESTAMP(timezone=True)
Minor = BigInteger
Currency = String(3)

Statement = Executable | Prepared

_LANE_LIMITS = {"lock_timeout": "2s", "statement_timeout": "10s", "idle_in_transaction_session_timeout": "10s"}

_SHIFT = prepared(text("select coalesce(sum(shift_seconds), 0)::bigint from test_clock"))


def platform_key() -> Column[Any]:
    """The first column of every tenant table's primary key."""
    return Column("platform_id", Uuid, primary_key=True)


test_clock = Table(
    "test_clock",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("shift_seconds", BigInteger, nullable=False),
)
"""The sandbox's shift of the platforms' time, one row or none; never written when a Stripe key is set."""


class Scope:
    """One transaction: `platform` is its tenant, `now` its only time."""

    def __init__(self, connection: AsyncConnection, platform: PlatformId, now: datetime) -> None:
        self.connection = connection
        self.platform = platform
        self.now = now

    async def rows(self, statement: Statement, values: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        if isinstance(statement, Prepared):
            return await statement.rows(self._sync, values)
        return (await self.connection.execute(statement, values)).all()

    async def first(self, statement: Statement, values: Mapping[str, Any] | None = None) -> Row[Any] | None:
        if isinstance(statement, Prepared):
            return next(iter(await statement.rows(self._sync, values)), None)
        return (await self.connection.execute(statement, values)).first()

    async def one(self, statement: Statement, values: Mapping[str, Any] | None = None) -> Row[Any]:
        """The only row of a statement that always has one."""
        if isinstance(statement, Prepared):
            [row] = await statement.rows(self._sync, values)
            return row
        return (await self.connection.execute(statement, values)).one()

    async def scalar(self, statement: Statement, values: Mapping[str, Any] | None = None) -> Any:
        row = await self.first(statement, values)
        return None if row is None else row[0]

    async def fetch(self, statement: str, /, *values: Any) -> Sequence[Any]:
        """The driver's own call, for SQL that names its values `$1`, `$2`; gives the driver's records."""
        return await fetch(self._sync, statement, *values)

    @property
    def _sync(self) -> Connection:
        return _sync(self.connection)


class ReadScope(Scope):
    """A READ ONLY transaction; all its statements see the same state (REPEATABLE READ)."""


class WriteScope(Scope):
    """A transaction that may write. Whoever opens it is the use case; nothing below it commits."""

    async def run(
        self, statement: Statement, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> int:
        """Executes a statement that returns no rows; gives the number of rows it touched (-1 for many value sets)."""
        if isinstance(statement, Prepared):
            if isinstance(values, Sequence):
                raise TypeError("a prepared statement takes one set of values")
            return await statement.run(self._sync, values)
        return (await self.connection.execute(statement, values)).rowcount


class SystemScope:
    """A transaction of no tenant, for the loops that scan outbox, inbox, intents and schedules across platforms."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self.connection = connection
        self.now = now


class Database:
    """The engines of one process (of one event loop). `dispose` when done."""

    def __init__(self, url: str, *, pool_size: int = 8, application: str = "marketbill") -> None:
        self.app = _engine(url, role="marketbill_app", pool_size=pool_size, application=application)
        self.control = _engine(url, role="marketbill_system", pool_size=2, application=application)
        self.lanes = _engine(url, role="marketbill_app", pool_size=None, application=application, limits=_LANE_LIMITS)

    @asynccontextmanager
    async def write(self, platform: PlatformId) -> AsyncGenerator[WriteScope]:
        """A read-write transaction, committed when the block ends well.

        Raises Unavailable without PostgreSQL; also when its disk is full, and then nothing was written.
        """
        async with _transaction(self.app, "begin", platform) as connection:
            yield WriteScope(connection, platform, await _now(connection))

    @asynccontextmanager
    async def read(self, platform: PlatformId) -> AsyncGenerator[ReadScope]:
        """A READ ONLY transaction that sees one state of the data throughout. Raises Unavailable without PostgreSQL."""
        async with _transaction(self.app, "begin isolation level repeatable read, read only", platform) as connection:
            yield ReadScope(connection, platform, await _now(connection))

    @asynccontextmanager
    async def system(self) -> AsyncGenerator[SystemScope]:
        """A transaction of no tenant. Raises Unavailable when PostgreSQL is not there."""
        async with _transaction(self.control, "begin", None) as connection:
            yield SystemScope(connection, await _now(connection))

    @asynccontextmanager
    async def lane(self) -> AsyncGenerator[Any]:
        """A driver's connection of its own to keep for long, in no transaction and of no tenant, for who coalesces the
        writes of many callers; it waits for no lock longer than two seconds. Raises Unavailable without PostgreSQL."""
        try:
            connection = await _alive(self.lanes)
        except (*_AWAY, *_LOST) as error:
            raise Unavailable("The database cannot be reached just now; try again in a moment.") from error
        except DBAPIError as error:
            if _was_lost(error):
                raise Unavailable("The database cannot be reached just now; try again in a moment.") from error
            raise
        try:
            yield driver_of(_sync(connection))
        finally:
            await connection.invalidate()
            await connection.close()

    async def dispose(self) -> None:
        await self.lanes.dispose()
        await self.app.dispose()
        await self.control.dispose()


async def _now(connection: AsyncConnection) -> datetime:
    [shift] = await _SHIFT.rows(_sync(connection), None)
    return clock.now() + timedelta(seconds=shift[0])


def _sync(connection: AsyncConnection) -> Connection:
    sync = connection.sync_connection
    assert sync is not None, "the connection is open"
    return sync


class TransactionFailed(Exception):
    """A commit answered with ROLLBACK: an error inside the block was swallowed, and nothing was written."""


#: How a database that is away, or went away, shows itself, beside what SQLAlchemy wraps.
_AWAY = (
    ConnectionError,
    TimeoutError,
    PoolTimeout,
    InterfaceError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_LOST = (asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)
#: Two transactions stood in each other's way; the whole of either may be tried again.
_CLASHED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
#: What is said when the disk or the memory of the server is full: the transaction is undone.
NO_ROOM = "The database has no room just now; nothing was written."
#: Where the server makes a file longer: what stops it there, a quota or a limit of size, it tells as no full disk.
_LENGTHENS = frozenset({"mdextend", "mdzeroextend"})


@asynccontextmanager
async def _transaction(engine: AsyncEngine, begin: str, platform: PlatformId | None) -> AsyncGenerator[AsyncConnection]:
    """Begins and names the tenant in one round trip: the engine is in autocommit, its transactions are begun here.

    A connection whose transaction did not end for certain (a cancelled task, a lost server) is closed, never pooled:
    its next user would be inside somebody else's transaction.
    """
    opening = begin if platform is None else f"{begin}; select set_config('app.platform_id', '{platform}', true)"
    try:
        connection, ended = await _alive(engine), False
        try:
            driver = driver_of(_sync(connection))
            await driver.execute(opening)
            try:
                yield connection
            except Exception:
                ended = await _rolled_back(driver)
                raise
            status = await driver.execute("commit")
            ended = True
            if status != "COMMIT":
                raise TransactionFailed
        finally:
            if not ended:
                await connection.invalidate()
            await connection.close()
    except (*_AWAY, *_LOST) as error:
        raise Unavailable("The database cannot be reached just now; try again in a moment.") from error
    except _CLASHED as error:
        raise Unavailable("Another change was under way at the same moment; try again.") from error
    except asyncpg.PostgresError as error:
        if is_without_room(error):
            raise Unavailable(NO_ROOM) from error
        raise
    except DBAPIError as error:
        if _was_lost(error):
            raise Unavailable("The connection to the database was lost; try again in a moment.") from error
        if isinstance(_cause(error), _CLASHED):
            raise Unavailable("Another change was under way at the same moment; try again.") from error
        if is_without_room(_cause(error)):
            raise Unavailable(NO_ROOM) from error
        raise


def is_without_room(error: BaseException | None) -> bool:
    """Whether the server found no place to write: a full disk or quota, a file that may grow no more, no memory."""
    if isinstance(error, asyncpg.InternalServerError):
        return vars(error).get("server_source_function") in _LENGTHENS
    return isinstance(error, asyncpg.InsufficientResourcesError)


def _was_lost(error: DBAPIError) -> bool:
    return error.connection_invalidated or isinstance(_cause(error), _LOST)


def _cause(error: DBAPIError) -> BaseException | None:
    return error.orig.__cause__ if error.orig else None


async def _rolled_back(driver: Any) -> bool:
    """False when not even that could be done; the error that led here says more than the one that came of it."""
    try:
        await driver.execute("rollback")
    except (*_AWAY, *_LOST):
        return False
    return True


async def _alive(engine: AsyncEngine) -> AsyncConnection:
    while True:
        try:
            connection = await engine.connect()
        except OSError as error:  # no socket, no host, no route; inside a block an OSError would be somebody else's
            raise Unavailable("The database cannot be reached just now; try again in a moment.") from error
        if not driver_of(_sync(connection)).is_closed():
            return connection
        await connection.invalidate()
        await connection.close()


def _engine(
    url: str, *, role: str, pool_size: int | None, application: str, limits: Mapping[str, str] | None = None
) -> AsyncEngine:
    pool = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": 10} if pool_size else {"poolclass": NullPool}
    return create_async_engine(
        async_url(url),
        **pool,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": 10,
            "server_settings": {"role": role, "application_name": application, "jit": "off", "timezone": "UTC"}
            | dict(limits or {}),
        },
    )


class NotADatabase(ValueError):
    """A database address that is none of PostgreSQL; the message has no password in it."""


def async_url(url: str) -> str:
    """The same database through asyncpg, whichever PostgreSQL URL was given. Raises NotADatabase."""
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise NotADatabase("a database address reads postgresql://user:password@host:5432/database") from None
    if not address.drivername.startswith("postgres"):
        raise NotADatabase(f"only PostgreSQL is a database for marketbill, not {address.drivername}")
    return address.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
