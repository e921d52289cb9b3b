"""What will happen later: due work in a table, done in order when its moment has come."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from marketbill.sandbox.wire import Doc

if TYPE_CHECKING:
    from marketbill.sandbox.desk import Desk

#: Due entries done in one go before requests get a turn.
BATCH_MAX = 200
#: Broken entries listed at most.
BROKEN_LISTED_MAX = 100
#: Longest reason kept of a broken entry, in characters.
REASON_LENGTH_MAX = 500

log = logging.getLogger(__name__)

Work = Callable[["Desk", str], None]


class Schedule:
    """Due entries of the state. Each is done in a transaction of its own, at the moment it was due.

    One that cannot be done for a defect is undone and parked with its reason, never tried again, and told once; what
    is due after it goes on.
    """

    def __init__(self, desk: Desk, work: dict[str, Work]) -> None:
        self._desk = desk
        self._work = work
        self.next_at: int | None = None
        self.reload()
        desk.store.on_rollback.append(self.reload)

    def reload(self) -> None:
        self.next_at = self._desk.store.db.execute("SELECT min(at) FROM due WHERE broken IS NULL").fetchone()[0]

    def add(self, at: int, kind: str, ref: str) -> None:
        """Have ``kind`` done for ``ref`` at a moment; call inside a transaction."""
        if kind not in self._work:
            raise ValueError(f"no work is called {kind}")
        self._desk.store.db.execute("INSERT INTO due (at, kind, ref) VALUES (?, ?, ?)", (at, kind, ref))
        if self.next_at is None or at < self.next_at:
            self.next_at = at

    def has(self, kind: str, ref: str) -> bool:
        """Return whether such work is due already; what is broken is not."""
        statement = "SELECT 1 FROM due WHERE kind = ? AND ref = ? AND broken IS NULL LIMIT 1"
        return self._desk.store.db.execute(statement, (kind, ref)).fetchone() is not None

    def broken(self) -> list[Doc]:
        """Return what could not be done and why, the first to break first."""
        rows = self._desk.store.db.execute(
            "SELECT at, kind, ref, broken FROM due WHERE broken IS NOT NULL ORDER BY at, id LIMIT ?",
            (BROKEN_LISTED_MAX,),
        ).fetchall()
        return [{"at": at, "kind": kind, "ref": ref, "reason": reason} for at, kind, ref, reason in rows]

    def drop(self, kind: str, ref: str) -> None:
        """Forget due work, for one whose reason is gone."""
        if self._desk.store.db.execute("DELETE FROM due WHERE kind = ? AND ref = ?", (kind, ref)).rowcount:
            self.reload()

    def run(self, until: int, *, limit: int = BATCH_MAX) -> int:
        """Do what is due up to a moment, oldest first; return how many entries were done or found broken.

        :raises sqlite3.OperationalError: the state cannot be written; what was due still is.
        """
        done = 0
        desk = self._desk
        while done < limit and self.next_at is not None and self.next_at <= until:
            row = desk.store.db.execute(
                "SELECT id, at, kind, ref FROM due WHERE broken IS NULL ORDER BY at, id LIMIT 1"
            ).fetchone()
            if row is None:
                self.next_at = None
                break
            desk.clock.held = row[1]
            desk.origin = None
            try:
                with desk.store.transaction():
                    desk.store.db.execute("DELETE FROM due WHERE id = ?", (row[0],))
                    self._work[row[2]](desk, row[3])
            except sqlite3.OperationalError:
                raise
            except Exception as error:
                self._park(row, error)
            finally:
                desk.clock.held = None
            self.reload()
            done += 1
        return done

    def _park(self, row: tuple[Any, ...], error: Exception) -> None:
        log.exception("sandbox work %s of %s, due at %d, is broken and will not be tried again", row[2], row[3], row[1])
        reason = f"{type(error).__name__}: {error}"[:REASON_LENGTH_MAX]
        with self._desk.store.transaction():
            # It may be gone: a refusal can keep what was written before it.
            self._desk.store.db.execute(
                "INSERT OR REPLACE INTO due (id, at, kind, ref, broken) VALUES (?, ?, ?, ?, ?)", (*row, reason)
            )
