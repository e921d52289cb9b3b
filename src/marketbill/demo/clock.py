"""Time: the sandbox's clock and the platforms' clock are moved together."""

from datetime import datetime, timedelta

from sqlalchemy.dialects.postgresql import insert

from marketbill.db import Database, test_clock
from marketbill.demo.sandbox import SandboxControl


async def advance_clock(db: Database, sandbox: SandboxControl, by: timedelta) -> datetime:
    """Moves both clocks forward; gives the platforms' new time.

    The sandbox goes first, and ours follows to where it is: after an interruption between the two, the next move
    brings them together again.
    """
    moved = await sandbox.advance(int(by.total_seconds()))
    row = insert(test_clock).values(id=1, shift_seconds=moved.offset_seconds)
    async with db.system() as scope:
        await scope.connection.execute(
            row.on_conflict_do_update(index_elements=["id"], set_={"shift_seconds": row.excluded.shift_seconds})
        )
    async with db.system() as scope:
        return scope.now
