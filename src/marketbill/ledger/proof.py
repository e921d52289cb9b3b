"""The proof: recomputes the books from their postings and names everything that does not agree.

Nothing here trusts a stored balance. The running totals of each account, the running balances of each posting, the
trial balance, the custody mirror and every block's hash are derived again, so one altered cent, a missing row or a
changed word is found. Safe to run while the books are written: each check reads one state of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from marketbill.db import ReadScope
from marketbill.ids import public_id
from marketbill.ledger.chain import GENESIS, PostingFact, block_hash, body_hash, entry_line

#: The most findings that one rule reports; the first tell where to look.
FINDINGS_MAX = 100

#: Entries recomputed per statement while walking the chain.
_CHAIN_PAGE = 1_000


class Rule(StrEnum):
    """What was found not to hold."""

    ACCOUNT_TOTALS = "ACCOUNT_TOTALS"
    RUNNING_BALANCE = "RUNNING_BALANCE"
    TRIAL_BALANCE = "TRIAL_BALANCE"
    CUSTODY_MIRROR = "CUSTODY_MIRROR"
    GUARD = "GUARD"
    REFERENCE = "REFERENCE"
    CHAIN = "CHAIN"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not agree: where (`subject`), what it should be and what it is. Amounts in minor units."""

    rule: Rule
    subject: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}: expected {self.expected}, found {self.found}"


_TOTALS = text(
    """
    with moved as (
      select account_id, sum(debit) as debits, sum(credit) as credits
      from (
        select debit_account_id as account_id, amount as debit, 0 as credit from posting where platform_id = :platform
        union all
        select credit_account_id, 0, amount from posting where platform_id = :platform
      ) as sides
      group by account_id
    )
    select coalesce(a.code || ' ' || a.currency, 'account ' || m.account_id) as subject,
           coalesce(m.debits, 0) as debits_moved, coalesce(m.credits, 0) as credits_moved,
           coalesce(a.debits, 0) as debits, coalesce(a.credits, 0) as credits
    from (select * from ledger_account where platform_id = :platform) as a
    full join moved m on m.account_id = a.id
    where a.id is null or a.debits <> coalesce(m.debits, 0) or a.credits <> coalesce(m.credits, 0)
    order by 1
    limit :limit
    """
)
_RUNNING = text(
    """
    select first.number, first.expected, first.stored, coalesce(a.code || ' ' || a.currency, 'an account') as subject
    from (
      select distinct on (account_id) account_id, number, expected, stored
      from (
        select account_id, number, stored,
               sum(net) over (partition by account_id order by number) as expected
        from (
          select debit_account_id as account_id, number, amount as net, debit_balance_after as stored
          from posting where platform_id = :platform
          union all
          select credit_account_id, number, -amount, credit_balance_after
          from posting where platform_id = :platform
        ) as sides
      ) as run
      where stored <> expected
      order by account_id, number
    ) as first
    left join ledger_account a on a.platform_id = :platform and a.id = first.account_id
    order by first.number
    limit :limit
    """
)
_LATE = text(
    """
    select number, flagged, is_late, coalesce(a.code || ' ' || a.currency, 'an account') as subject
    from (
      select account_id, number, flagged,
             coalesce(effective_at < max(effective_at) over earlier, false) as is_late
      from (
        select debit_account_id as account_id, number, entry_id, effective_at, debit_late as flagged
        from posting where platform_id = :platform
        union all
        select credit_account_id, number, entry_id, effective_at, credit_late
        from posting where platform_id = :platform
      ) as sides
      window earlier as (partition by account_id order by number rows between unbounded preceding and 1 preceding)
    ) as run
    left join ledger_account a on a.platform_id = :platform and a.id = run.account_id
    where flagged <> is_late
    order by number
    limit :limit
    """
)
_TRIAL = text(
    """
    select currency, sum(debits - credits) as net from ledger_account
    where platform_id = :platform group by currency having sum(debits - credits) <> 0
    order by currency limit :limit
    """
)
_CUSTODY = text(
    """
    select seller_id, currency, sum(debits - credits) as net from ledger_account
    where platform_id = :platform and kind = 'CUSTODY'
    group by seller_id, currency having sum(debits - credits) <> 0
    order by seller_id, currency limit :limit
    """
)
_GUARD = text(
    """
    select code || ' ' || currency as subject, case side when 'DEBIT' then debits - credits else credits - debits end
           as balance
    from ledger_account
    where platform_id = :platform and guard = 'NOT_NEGATIVE'
      and case side when 'DEBIT' then debits < credits else credits < debits end
    order by 1 limit :limit
    """
)
_REFERENCE = text(
    """
    select p.id, p.number,
           case when e.id is null then 'its entry' when d.id is null then 'its debit account'
                when c.id is null then 'its credit account' when e.effective_at <> p.effective_at
                then 'the effective time of its entry' else 'one currency on both sides' end as missing
    from posting p
    left join journal_entry e on e.platform_id = :platform and e.id = p.entry_id
    left join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id
    left join ledger_account c on c.platform_id = :platform and c.id = p.credit_account_id
    where p.platform_id = :platform
      and (e.id is null or d.id is null or c.id is null or d.currency <> p.currency or c.currency <> p.currency
           or e.effective_at <> p.effective_at)
    order by p.number limit :limit
    """
)
_NUMBERS = text(
    """
    select head.entries, head.postings, head.blocks, head.hash,
           (select count(*) from posting p where p.platform_id = :platform) as postings_found,
           (select coalesce(max(number), 0) from posting p where p.platform_id = :platform) as last_posting,
           (select count(*) from journal_entry e where e.platform_id = :platform) as entries_found,
           (select count(*) from ledger_block b where b.platform_id = :platform) as blocks_found
    from ledger_head head where head.platform_id = :platform
    """
)
_BLOCKS = text(
    """
    select number, first_entry, last_entry, hash from ledger_block
    where platform_id = :platform and number > :after and number <= :last
    order by number limit :limit
    """
)
_ENTRIES = text(
    """
    select id, number, key, body_hash, kind, source_type, source_id, description, reason, effective_at, recorded_at
    from journal_entry
    where platform_id = :platform and number between :first and :last
    order by number
    """
)
_POSTINGS = text(
    """
    select p.entry_id, p.id, d.code as debit_code, c.code as credit_code, p.amount, p.currency
    from unnest(cast(:ids as uuid[])) as entry (id)
    cross join lateral (
      select * from posting p where p.platform_id = :platform and p.entry_id = entry.id order by p.ordinal
    ) as p
    left join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id
    left join ledger_account c on c.platform_id = :platform and c.id = p.credit_account_id
    order by p.entry_id, p.ordinal
    """
)


async def check(scope: ReadScope) -> list[Finding]:
    """Every rule over the whole books of the scope's platform. An empty list is the proof."""
    findings = await _totals(scope)
    findings += await _running(scope)
    findings += await _trial(scope)
    findings += await _custody(scope)
    findings += await _guards(scope)
    findings += await _references(scope)
    findings += await _chain(scope)
    return findings


async def _rows(scope: ReadScope, statement: Any) -> Sequence[Row[Any]]:
    return await scope.rows(statement, {"platform": scope.platform, "limit": FINDINGS_MAX})


async def _totals(scope: ReadScope) -> list[Finding]:
    return [
        Finding(
            Rule.ACCOUNT_TOTALS,
            row.subject,
            f"debits {row.debits_moved} credits {row.credits_moved}",
            f"debits {row.debits} credits {row.credits}",
        )
        for row in await _rows(scope, _TOTALS)
    ]


async def _running(scope: ReadScope) -> list[Finding]:
    wrong = [
        Finding(Rule.RUNNING_BALANCE, f"{row.subject} at posting {row.number}", str(row.expected), str(row.stored))
        for row in await _rows(scope, _RUNNING)
    ]
    wrong += [
        Finding(
            Rule.RUNNING_BALANCE,
            f"{row.subject} at posting {row.number}",
            "late" if row.is_late else "in time",
            "late" if row.flagged else "in time",
        )
        for row in await _rows(scope, _LATE)
    ]
    return wrong


async def _trial(scope: ReadScope) -> list[Finding]:
    return [
        Finding(Rule.TRIAL_BALANCE, row.currency, "debits equal to credits", f"a difference of {row.net}")
        for row in await _rows(scope, _TRIAL)
    ]


async def _custody(scope: ReadScope) -> list[Finding]:
    return [
        Finding(Rule.CUSTODY_MIRROR, f"{public_id('seller', row.seller_id)} {row.currency}", "0", str(row.net))
        for row in await _rows(scope, _CUSTODY)
    ]


async def _guards(scope: ReadScope) -> list[Finding]:
    return [Finding(Rule.GUARD, row.subject, "not below zero", str(row.balance)) for row in await _rows(scope, _GUARD)]


async def _references(scope: ReadScope) -> list[Finding]:
    return [
        Finding(Rule.REFERENCE, f"{public_id('posting', row.id)} (posting {row.number})", row.missing, "none")
        for row in await _rows(scope, _REFERENCE)
    ]


async def _chain(scope: ReadScope) -> list[Finding]:
    """Walks the blocks up to the chain's end as it was when the walk began."""
    head = await scope.first(_NUMBERS, {"platform": scope.platform})
    if head is None:
        return []
    findings = [
        Finding(Rule.CHAIN, f"number of {noun}", str(expected), str(found))
        for noun, expected, found in (
            ("entries", head.entries, head.entries_found),
            ("postings", head.postings, head.postings_found),
            ("last posting", head.postings, head.last_posting),
            ("blocks", head.blocks, head.blocks_found),
        )
        if expected != found
    ]
    previous, next_block, next_entry = GENESIS, 1, 1
    while len(findings) < FINDINGS_MAX:
        values = {"platform": scope.platform, "after": next_block - 1, "last": head.blocks, "limit": _CHAIN_PAGE}
        blocks = await scope.rows(_BLOCKS, values)
        if not blocks:
            break
        for batch in _batches(blocks):
            lines = await _lines(scope, batch[0].first_entry, batch[-1].last_entry, findings)
            for block in batch:
                if block.number != next_block or block.first_entry != next_entry:
                    findings.append(
                        Finding(
                            Rule.CHAIN,
                            f"block {block.number}",
                            f"block {next_block} from entry {next_entry}",
                            f"entry {block.first_entry}",
                        )
                    )
                numbers = range(block.first_entry, block.last_entry + 1)
                missing = [number for number in numbers if number not in lines]
                seal = block_hash(previous, (lines[number] for number in numbers if number in lines))
                if missing:
                    findings.append(Finding(Rule.CHAIN, f"entry {missing[0]}", f"in block {block.number}", "missing"))
                elif seal != block.hash:
                    findings.append(
                        Finding(
                            Rule.CHAIN,
                            f"block {block.number} (entries {block.first_entry} to {block.last_entry})",
                            block.hash.hex(),
                            seal.hex(),
                        )
                    )
                previous, next_block, next_entry = block.hash, block.number + 1, block.last_entry + 1
    if not findings and (next_block - 1, next_entry - 1, previous) != (head.blocks, head.entries, head.hash):
        findings.append(Finding(Rule.CHAIN, "end of the chain", head.hash.hex(), previous.hex()))
    return findings[:FINDINGS_MAX]


def _batches(blocks: Sequence[Row[Any]]) -> list[list[Row[Any]]]:
    """Neighbouring blocks whose entries fit one statement; a larger block stands alone."""
    batches: list[list[Row[Any]]] = []
    for block in blocks:
        if batches and block.last_entry - batches[-1][0].first_entry < _CHAIN_PAGE:
            batches[-1].append(block)
        else:
            batches.append([block])
    return batches


async def _lines(scope: ReadScope, first: int, last: int, findings: list[Finding]) -> dict[int, bytes]:
    """The canonical line of each entry, by number; an entry whose body hash is not its own is reported."""
    entries = await scope.rows(_ENTRIES, {"platform": scope.platform, "first": first, "last": last})
    facts: dict[UUID, list[PostingFact]] = {entry.id: [] for entry in entries}
    for row in await scope.rows(_POSTINGS, {"platform": scope.platform, "ids": list(facts)}):
        facts[row.entry_id].append((str(row.id), row.debit_code or "", row.credit_code or "", row.amount, row.currency))
    lines = {}
    for entry in entries:
        postings = facts[entry.id]
        movements = (fact[1:] for fact in postings)
        if entry.body_hash != body_hash(entry.kind, entry.source_type, entry.source_id, movements):
            findings.append(
                Finding(Rule.CHAIN, f"{public_id('journal entry', entry.id)}", "the body it was posted with", "another")
            )
        lines[entry.number] = entry_line(
            number=entry.number,
            id=entry.id,
            key=entry.key,
            kind=entry.kind,
            source_type=entry.source_type,
            source_id=entry.source_id,
            description=entry.description,
            reason=entry.reason,
            effective_at=entry.effective_at,
            recorded_at=entry.recorded_at,
            postings=postings,
        )
    return lines
