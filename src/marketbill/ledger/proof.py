"""The proof: replays the journal and names everything that does not agree.

Nothing stored is believed. Every hash, running balance, late flag, account total, open hold and closed period is made
again from the entries, so one altered cent, a missing row or a changed word is found. Safe to run while the books are
written: what is compared is their state when the proof begins, and entries are never changed after.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from marketbill.db import ReadScope
from marketbill.ledger.audit.finding import Finding, Findings, Rule, entry_name
from marketbill.ledger.audit.history import Progress, Read
from marketbill.ledger.audit.projection import as_replayed, as_stored, compare
from marketbill.ledger.audit.replay import Replay
from marketbill.ledger.audit.snapshot import check_ends, take

__all__ = ["Finding", "Rule", "check", "prove"]

#: Reversals that do not mirror what they reverse, at most.
_NAMED_MAX = 100

# What a foreign key and a comparison of both sets of postings would say of reversals; few entries are any. Behind
# row-level security, only a plain comparison with a value that stands already is looked up in an index: the last
# postings' numbers are computed in a step before.
_REVERSALS = """
select e.id, e.number, case when o.id is null then 'none' when o.number >= e.number then 'a later entry'
                            when o.phase <> 'POSTED' then 'a hold or its release' else 'other postings' end as found
from (
  select *, first_posting + posting_count - 1 as last_posting from journal_entry
  where platform_id = $1 and reverses is not null and number <= $2 offset 0
) as e
left join lateral (
  select *, first_posting + posting_count - 1 as last_posting from journal_entry
  where platform_id = $1 and id = e.reverses limit 1
) as o on true
where o.id is null or o.number >= e.number or o.phase <> 'POSTED' or o.posting_count <> e.posting_count or exists (
  (select debit_account_id, credit_account_id, amount, count(*) from posting
   where platform_id = $1 and number between e.first_posting and e.last_posting group by 1, 2, 3)
  except
  (select credit_account_id, debit_account_id, amount, count(*) from posting
   where platform_id = $1 and number between o.first_posting and o.last_posting group by 1, 2, 3))
order by e.number limit $3
"""
_ROWS = "select count(*) from journal_entry where platform_id = $1 and number between 1 and $2"


async def prove(read: Read, *, progress: Progress = lambda done, total: None) -> list[Finding]:
    """Every rule over the whole books of the platform that `read` opens. An empty list is the proof.

    Reads in many short transactions, so that books of any length hold nothing up; `progress` is told the entries done.
    """
    findings = Findings()
    async with read() as scope:
        snapshot = await take(scope, findings)
        await check_ends(scope, snapshot, findings)
    last = snapshot.last_entry if snapshot.head is None else snapshot.head.entries
    replay = Replay(snapshot.periods, findings)
    await replay.run(read, snapshot.accounts, last=last, progress=progress)
    replay.end()
    compare(as_replayed(replay, snapshot), as_stored(snapshot), findings)
    async with read() as scope:
        [[rows]] = await scope.fetch(_ROWS, scope.platform, last)
        if rows != replay.rows:
            # Two entries of one number: without the index that forbids it, one may stand where a page ends.
            findings.add(Rule.CHAIN, f"entries 1 to {last}", expected=f"{replay.rows} rows", found=rows)
        for id, number, found in await scope.fetch(_REVERSALS, scope.platform, last, _NAMED_MAX):
            findings.add(Rule.REFERENCE, entry_name(id, number), expected="the mirror of an earlier entry", found=found)
    return findings.all()


async def check(scope: ReadScope) -> list[Finding]:
    """`prove` within a transaction that is open already."""

    @asynccontextmanager
    async def same() -> AsyncGenerator[ReadScope]:
        yield scope

    return await prove(same)
