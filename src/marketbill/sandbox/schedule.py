"""What will happen later: due work in a table, done in order when its moment has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketbill.sandbox.desk import Desk

#: Due entries done in one go before requests get a turn.
BATCH_MAX = 200

Work = Callable[["Desk", str], None]


class Schedule:
    """Due entries of the state. Each is done in a transaction of its own, at the moment it was due."""

    def __init__(self, desk: Desk, work: dict[str, Work]) -> None:
        self._desk = desk
        self._work = work
        self.next_at: int | None = None
        self.reload()
        desk.store.on_rollback.append(self.reload)

    def reload(self) -> None:
        self.next_at = self._desk.store.db.execute("SELECT min(at) FROM due").fetchone()[0]

    def add(self, at: int, kind: str, ref: str) -> None:
        """Have ``kind`` done for ``ref`` at a moment; call inside a transaction."""
        if kind not in self._work:
            raise ValueError(f"no work is called {kind}")
        self._desk.store.db.execute("INSERT INTO due (at, kind, ref) VALUES (?, ?, ?)", (at, kind, ref))
        if self.next_at is None or at < self.next_at:
            self.next_at = at

    def has(self, kind: str, ref: str) -> bool:
        """Return whether such work is due already."""
        found = self._desk.store.db.execute("SELECT 1 FROM due WHERE kind = ? AND ref = ? LIMIT 1", (kind, ref))
        return found.fetchone() is not None

    def drop(self, kind: str, ref: str) -> None:
        """Forget due work, for one whose reason is gone."""
        self._desk.store.db.execute("DELETE FROM due WHERE kind = ? AND ref = ?", (kind, ref))

    def run(self, until: int, *, limit: int = BATCH_MAX) -> int:
        """Do what is due up to a moment, oldest first; return how many entries were done."""
        done = 0
        desk = self._desk
        while done < limit and self.next_at is not None and self.next_at <= until:
            row = desk.store.db.execute("SELECT id, at, kind, ref FROM due ORDER BY at, id LIMIT 1").fetchone()
            if row is None:
                self.next_at = None
                break
            desk.clock.held = row[1]
            desk.origin = None
            try:
                with desk.store.transaction():
                    desk.store.db.execute("DELETE FROM due WHERE id = ?", (row[0],))
                    self._work[row[2]](desk, row[3])
            finally:
                desk.clock.held = None
            self.reload()
            done += 1
        return done
