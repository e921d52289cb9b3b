"""The journal: the only way to write money.

`post` takes any number of entries to the books in two statements: one locks the end of the platform's chain and reads
the accounts and keys that the entries name, then each entry is decided (`decision`), and one writes everything that
stands. The chain's lock is held to the end of the caller's transaction and orders all writers of a platform, so
accounts need no locks of their own and writers cannot deadlock among themselves: call `post` last in a transaction.

An entry that stands alone, with no rows of the caller's to be committed beside it, is faster through
`group_commit.GroupCommit`.
"""

from collections.abc import Sequence

from marketbill.db import WriteScope
from marketbill.ledger.books import Books
from marketbill.ledger.decision import Decision, Group, decide
from marketbill.ledger.entry import (
    ENTRIES_MAX,
    IfClosed,
    JournalEntry,
    Outcome,
    Phase,
    Posting,
    Result,
    Source,
)
from marketbill.ledger.refusal import AccountFull, EntryConflict, GuardBroken, LinkRefused
from marketbill.ledger.store import (
    READ,
    WRITE,
    account_refs,
    books_read,
    read_named,
    read_values,
    write_holds,
    write_values,
)

__all__ = [
    "AccountFull",
    "EntryConflict",
    "GuardBroken",
    "IfClosed",
    "JournalEntry",
    "Outcome",
    "Phase",
    "Posting",
    "Result",
    "Source",
    "post",
    "post_all",
]


async def post(scope: WriteScope, entries: Sequence[JournalEntry]) -> list[Result]:
    """Books the entries, in order, and answers each: POSTED, REPLAYED, REFUSED or CONFLICT.

    A refused entry leaves no trace and costs its neighbours nothing. Accounts are opened when first needed.
    """
    if not entries:
        return []
    decision = await _decide(scope, [(entry,) for entry in entries])
    await _write(scope, decision)
    return decision.results


async def post_all(scope: WriteScope, entries: Sequence[JournalEntry]) -> list[Result]:
    """Books all of the entries (new or already standing) or none: raises the first refusal (`ledger.refusal`) before
    anything is written."""
    if not entries:
        return []
    decision = await _decide(scope, [entries])
    if decision.refusal is not None:
        raise next(
            result.refusal
            for result in decision.results
            if result.refusal is not None and not isinstance(result.refusal, LinkRefused)
        )
    await _write(scope, decision)
    return decision.results


async def _decide(scope: WriteScope, groups: Sequence[Group]) -> Decision:
    entries = [entry for group in groups for entry in group]
    if len(entries) > ENTRIES_MAX:
        raise ValueError(f"the journal takes at most {ENTRIES_MAX} entries at once, not {len(entries)}")
    return decide(groups, await _read(scope, entries), now=scope.now)


async def _read(scope: WriteScope, entries: Sequence[JournalEntry]) -> Books:
    refs, keys = account_refs(entries), [entry.key for entry in entries]
    books = books_read(await scope.fetch(READ, *read_values(scope.platform, refs, keys)), refs, keys)
    await read_named(scope.fetch, scope.platform, entries, books)
    return books


async def _write(scope: WriteScope, decision: Decision) -> None:
    if not decision.entries:
        return
    await scope.fetch(WRITE, *write_values(scope.platform, decision, from_memory=False))
    await write_holds(scope.fetch, scope.platform, decision)
