"""The lock of a platform's books, for changes of them that are no entries: closed periods, terms of accounts.

Whoever changes such a thing holds the head's row to the end of the transaction, as every writer of entries does, and
raises its revision, so that no process decides an entry from what it remembers of the books before.
"""

from sqlalchemy import bindparam, text

from marketbill.db import Instant, WriteScope
from marketbill.ledger.books import Books
from marketbill.ledger.store import READ, books_read, read_values

_REVISE = text(
    """
    update ledger_head set revision = revision + 1, closed_until = coalesce(:closed_until, closed_until)
    where platform_id = :platform
    """
).bindparams(bindparam("closed_until", type_=Instant))


async def lock(scope: WriteScope) -> Books:
    """The end of the chain, without accounts; nobody else writes these books until the transaction ends."""
    return books_read(await scope.fetch(READ, *read_values(scope.platform, (), ())), {}, ())


async def revise(scope: WriteScope, *, closed_until: object = None) -> None:
    """Says that what is remembered of these books is out of date; the head must be locked."""
    await scope.run(_REVISE, {"platform": scope.platform, "closed_until": closed_until})
