"""The state: JSON documents in one SQLite file, written by one process.

A request writes all or nothing and is answered only after its commit; requests of one turn of the event loop share a
commit, which is what makes many callers cheap.

Documents are cached decoded. A document may be changed only after :meth:`Store.edit` has named it dirty, so a
rollback can throw the changed copy away and the next reader sees the committed one. SQLite runs with a write-ahead
log and ``synchronous=NORMAL``: a commit survives the death of the process (the kernel holds it); only a power cut
may take the last moments, which is right for a provider of play money.
"""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from marketbill.sandbox.wire import ApiError, Doc, missing

#: Stands for a commit without an event loop: it follows each transaction.
_AT_ONCE = object()

#: Larger than usual: most rows are documents of one to three kilobytes, which waste smaller pages.
PAGE_BYTES = 8_192

#: Decoded documents kept in memory.
CACHE_DOCUMENTS_MAX = 6_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (
    secret TEXT PRIMARY KEY, publishable TEXT NOT NULL, account TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, account TEXT NOT NULL,
    created INTEGER NOT NULL, a TEXT, b TEXT, c TEXT, d TEXT, e TEXT, doc BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS objects_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_list ON objects (kind, account, seq);
CREATE INDEX IF NOT EXISTS objects_a ON objects (kind, account, a, seq) WHERE a IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_b ON objects (kind, account, b, seq) WHERE b IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_c ON objects (kind, account, c, seq) WHERE c IS NOT NULL;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL, type TEXT NOT NULL,
    created INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS events_list ON events (account, type, seq);
CREATE INDEX IF NOT EXISTS events_created ON events (created);
CREATE INDEX IF NOT EXISTS events_object ON events (json_extract(CAST(doc AS TEXT), '$.data.object.id'));
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY, event TEXT NOT NULL, endpoint TEXT NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL, next_at REAL NOT NULL, answered INTEGER, reason TEXT, trouble TEXT);
CREATE INDEX IF NOT EXISTS deliveries_pending ON deliveries (next_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (event);
CREATE INDEX IF NOT EXISTS deliveries_held ON deliveries (endpoint) WHERE trouble = 'held';
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, delivery INTEGER NOT NULL, at INTEGER NOT NULL, status INTEGER, reason TEXT,
    seconds REAL NOT NULL);
CREATE INDEX IF NOT EXISTS attempts_delivery ON attempts (delivery);
CREATE TABLE IF NOT EXISTS idempotency (
    account TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL, request_id TEXT NOT NULL,
    status INTEGER NOT NULL, body BLOB NOT NULL, created INTEGER NOT NULL, until INTEGER,
    PRIMARY KEY (account, key));
CREATE TABLE IF NOT EXISTS balances (
    account TEXT NOT NULL, currency TEXT NOT NULL, available INTEGER NOT NULL, pending INTEGER NOT NULL,
    PRIMARY KEY (account, currency)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS funds (
    account TEXT NOT NULL, currency TEXT NOT NULL, available_on INTEGER NOT NULL, amount INTEGER NOT NULL,
    PRIMARY KEY (account, currency, available_on)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exchange_rates (
    base TEXT NOT NULL, quote TEXT NOT NULL, rate TEXT NOT NULL, PRIMARY KEY (base, quote)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reserves (
    account TEXT NOT NULL, currency TEXT NOT NULL, platform TEXT NOT NULL, amount INTEGER NOT NULL,
    since INTEGER NOT NULL, PRIMARY KEY (account, currency)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS due (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, ref TEXT NOT NULL, broken TEXT);
CREATE INDEX IF NOT EXISTS due_at ON due (at, id) WHERE broken IS NULL;
CREATE INDEX IF NOT EXISTS due_ref ON due (kind, ref);
CREATE TABLE IF NOT EXISTS faults (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, target TEXT, remaining INTEGER, rate REAL,
    seconds REAL, reason TEXT, created INTEGER NOT NULL, stream INTEGER NOT NULL, seen INTEGER NOT NULL,
    hits INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS fault_hits (kind TEXT PRIMARY KEY, hits INTEGER NOT NULL) WITHOUT ROWID;
"""

#: Columns that a state made by an earlier version lacks: table, name, type.
_NEWER = (("deliveries", "trouble", "TEXT"), ("due", "broken", "TEXT"), ("idempotency", "until", "INTEGER"))

Columns = tuple[str | None, str | None, str | None, str | None, str | None]

#: Which fields of a document are the columns a, b, c (indexed), d and e (not), by kind. Lists filter on these.
COLUMNS: dict[str, Columns] = {
    "account": ("_deleted", None, None, None, None),
    "application_fee": ("charge", "originating_transaction", None, None, None),
    "balance_transaction": ("source", "_payout", None, "type", "currency"),
    "bank_account": ("object", None, None, None, None),
    "charge": ("payment_intent", "customer", "transfer_group", None, None),
    "customer": ("email", None, None, None, None),
    "dispute": ("charge", "payment_intent", None, None, None),
    "early_fraud_warning": ("charge", "payment_intent", None, None, None),
    "fee_refund": ("fee", None, None, None, None),
    "payment_intent": ("customer", None, None, None, None),
    "payment_method": ("customer", None, None, "type", None),
    "payout": (None, "destination", None, "status", None),
    "refund": ("charge", "payment_intent", "_waits_for", "status", "currency"),
    "setup_intent": ("customer", "payment_method", None, None, None),
    "tax.transaction": ("reference", "_original", None, None, None),
    "topup": (None, None, None, "status", None),
    "transfer": ("transfer_group", "destination", "source_transaction", None, None),
    "transfer_reversal": ("transfer", None, None, None, None),
}
_NO_COLUMNS: Columns = (None, None, None, None, None)


class StateInUse(RuntimeError):
    """Another process already writes this state file."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the sandbox state {path} is in use by another process")
        self.path = path


@dataclass(slots=True)
class Row:
    """One stored document and where it belongs."""

    kind: str
    account: str
    doc: Doc
    new: bool = False


class Store:
    """Documents, balances, dues and answers of the sandbox. Not for more than one process or thread at once."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the state.

        :raises StateInUse: another process holds it.
        :raises OSError: the folder cannot be written.
        """
        self._lock: IO[str] | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = open(path.with_name(path.name + ".lock"), "w")  # noqa: SIM115 - held while the state is
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._lock.close()
                raise StateInUse(path) from None
        self.db = sqlite3.connect(
            str(path) if path is not None else ":memory:",
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        self.db.execute(f"PRAGMA page_size={PAGE_BYTES}")
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute("PRAGMA cache_size=-20000")
        self.db.execute("PRAGMA wal_autocheckpoint=2000")
        _add_columns(self.db)
        self.db.executescript(SCHEMA)
        self._cache: dict[str, Row] = {}
        self._dirty: dict[str, Row] = {}
        #: Whether a transaction is being written just now.
        self._inside = False
        #: The commit that ends this turn of the loop; None when nothing is written yet.
        self._turn: asyncio.Future[None] | object | None = None
        #: Called after a rollback, by those who keep something of the state in memory.
        self.on_rollback: list[Any] = []

    def close(self) -> None:
        self.commit()
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything inside or nothing. An :class:`ApiError` with ``keep_effects`` keeps it and is raised on.

        Inside a running event loop, the transactions of one turn of the loop are committed together, as savepoints of
        one; whoever answers must first await :meth:`committed`.
        """
        if self._inside:
            raise RuntimeError("sandbox transactions do not nest")
        if self._turn is None:
            self.db.execute("BEGIN IMMEDIATE")
            self._turn = self._end_of_turn()
        self.db.execute("SAVEPOINT work")
        self._inside = True
        try:
            yield
            self.flush()
        except ApiError as error:
            if error.keep_effects:
                self.flush()
            else:
                self._undo()
            raise
        except BaseException:
            self._undo()
            raise
        finally:
            self._inside = False
            self._dirty.clear()
            self.db.execute("RELEASE work")
            if self._turn is _AT_ONCE:
                self.commit()

    def _end_of_turn(self) -> asyncio.Future[None] | object:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return _AT_ONCE
        loop.call_soon(self.commit)
        return loop.create_future()

    async def committed(self) -> None:
        """Wait until everything written so far is committed.

        :raises sqlite3.Error: the commit failed; nothing of it is kept.
        """
        if isinstance(self._turn, asyncio.Future):
            await asyncio.shield(self._turn)

    def commit(self) -> None:
        """Commit what the turn wrote, and tell those who wait for it."""
        turn, self._turn = self._turn, None
        if turn is None:
            return
        try:
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            self._cache.clear()
            for call in self.on_rollback:
                call()
            if not isinstance(turn, asyncio.Future):
                raise
            if not turn.done():
                turn.set_exception(error)
                turn.exception()  # Seen here, so that an answer nobody waits for is not reported as lost.
            return
        if isinstance(turn, asyncio.Future) and not turn.done():
            turn.set_result(None)
        if len(self._cache) > CACHE_DOCUMENTS_MAX:
            for identifier in list(self._cache)[: CACHE_DOCUMENTS_MAX // 4]:
                del self._cache[identifier]

    def _undo(self) -> None:
        for identifier in self._dirty:
            self._cache.pop(identifier, None)
        self.db.execute("ROLLBACK TO work")
        for call in self.on_rollback:
            call()

    def flush(self) -> None:
        """Write dirty documents, so that a list in the same transaction sees them.

        They stay dirty: who edits a document may change it until the transaction ends.
        """
        for identifier, row in self._dirty.items():
            names = COLUMNS.get(row.kind, _NO_COLUMNS)
            columns = [row.doc.get(name) if name is not None else None for name in names]
            blob = orjson.dumps(row.doc)
            if row.new:
                self.db.execute(
                    "INSERT INTO objects (id, kind, account, created, a, b, c, d, e, doc) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (identifier, row.kind, row.account, row.doc.get("created", 0), *columns, blob),
                )
                row.new = False
            else:
                self.db.execute(
                    "UPDATE objects SET a = ?, b = ?, c = ?, d = ?, e = ?, doc = ? WHERE id = ?",
                    (*columns, blob, identifier),
                )

    def insert(self, kind: str, account: str, doc: Doc) -> Doc:
        """Add a document; its ``id`` must be new."""
        row = Row(kind, account, doc, new=True)
        self._cache[doc["id"]] = row
        self._dirty[doc["id"]] = row
        return doc

    def _row(self, identifier: str) -> Row | None:
        row = self._cache.get(identifier)
        if row is None:
            found = self.db.execute("SELECT kind, account, doc FROM objects WHERE id = ?", (identifier,)).fetchone()
            if found is None:
                return None
            row = Row(found[0], found[1], orjson.loads(found[2]))
            self._cache[identifier] = row
        return row

    def _known_row(self, identifier: str) -> Row:
        row = self._row(identifier)
        if row is None:
            raise LookupError(f"{identifier} is not in the sandbox state")
        return row

    def find(self, kind: str, identifier: str, account: str | None = None) -> Doc | None:
        """Return the document to read, or None when there is none of this kind (and account). Never change it."""
        row = self._row(identifier)
        if row is None or row.kind != kind or (account is not None and row.account != account):
            return None
        return row.doc

    def kind_and_account(self, identifier: str) -> tuple[str, str] | None:
        row = self._row(identifier)
        return None if row is None else (row.kind, row.account)

    def owner_of(self, identifier: str) -> str:
        """Return the account that a document belongs to, which must exist."""
        return self._known_row(identifier).account

    def owner_of_named(self, kind: str, identifier: str, *, param: str, name: str | None = None) -> str:
        """Return the account of an object that somebody named without saying whose it is.

        :raises ApiError: 404 ``resource_missing`` with ``param``.
        """
        if self.find(kind, identifier) is None:
            raise missing(name or kind, identifier, param=param)
        return self.owner_of(identifier)

    def get(self, kind: str, identifier: str) -> Doc:
        """Return a document that must exist."""
        doc = self.find(kind, identifier)
        if doc is None:
            raise LookupError(f"{kind} {identifier} is not in the sandbox state")
        return doc

    def edit(self, identifier: str) -> Doc:
        """Return a document to change; it is written at commit."""
        row = self._known_row(identifier)
        self._dirty[identifier] = row
        return row.doc

    def remove(self, identifier: str) -> None:
        self._dirty.pop(identifier, None)
        self._cache.pop(identifier, None)
        self.db.execute("DELETE FROM objects WHERE id = ?", (identifier,))

    def position(self, kind: str, identifier: str, account: str) -> int | None:
        """Return the place of a document in its list, for cursors."""
        self.flush()
        found = self.db.execute(
            "SELECT seq FROM objects WHERE id = ? AND kind = ? AND account = ?", (identifier, kind, account)
        ).fetchone()
        return None if found is None else found[0]

    def select(
        self, kind: str, account: str, where: Iterable[tuple[str, Any]] = (), *, order: str = "DESC", limit: int
    ) -> list[Doc]:
        """Return documents of a kind and account whose columns satisfy every ``(condition, value)``."""
        self.flush()
        conditions = ["kind = ?", "account = ?"]
        values: list[Any] = [kind, account]
        for condition, value in where:
            conditions.append(condition)
            values.append(value)
        # The conditions are written in this package; values only ever travel as parameters.
        chosen = " AND ".join(conditions)
        statement = f"SELECT id, doc FROM objects WHERE {chosen} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        found = self.db.execute(statement, (*values, limit)).fetchall()
        result = []
        for identifier, blob in found:
            row = self._cache.get(identifier)
            result.append(row.doc if row is not None else orjson.loads(blob))
        return result

    def meta(self, name: str) -> str | None:
        found = self.db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def set_meta(self, name: str, value: str) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))


def _add_columns(db: sqlite3.Connection) -> None:
    """Add what a table of an earlier version lacks; a state without the table gets it whole."""
    for table, name, kind in _NEWER:
        present = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        if present and name not in present:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
