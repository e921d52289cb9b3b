"""Payouts by the platform's own bank: files that order them, and the bank's answers.

A payout of the BANK rail waits until it goes out in a file, the oldest first; what the account is too small for waits
for the next file, and says so. What the bank answers is imported whole or not at all.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, insert, select, text, update

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import new_id, parse_id, public_id
from marketbill.ledger import journal
from marketbill.ledger.journal import ENTRIES_MAX, JournalEntry
from marketbill.money import bounded, decimal_text, exponent
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.payouts import booking, calendar, lines, pauses, payees
from marketbill.payouts.model import PayoutStatus, Rail, ResultKind, bank_debtor, bank_file, bank_result, payout
from marketbill.payouts.rails import answer as answers
from marketbill.payouts.rails.answer import Answer, Fate, Verdict
from marketbill.payouts.rails.order import ORDERS_MAX, Order, Party, reference_of, written
from marketbill.platforms.keys import tenant
from marketbill.services import Services

#: What does not match in a file, named in its refusal.
_NAMED_MAX = 10
_WAITS = "Queued: the platform's bank account has too little for it; older payouts go first."
_OPEN = (
    select(payout)
    .where(
        payout.c.platform_id == bindparam("platform"),
        payout.c.currency == bindparam("currency"),
        payout.c.rail == Rail.BANK.value,
        payout.c.status == PayoutStatus.CREATED.value,
        payout.c.file_id.is_(None),
    )
    .order_by(payout.c.id)
    .limit(ORDERS_MAX)
    .with_for_update()
)
_ORDERED = text(
    """
    update payout set status = 'IN_TRANSIT', file_id = :file, reason = null, updated_at = :now
    where platform_id = :platform and id = any(:ids)
    """
).bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_QUEUED = text(
    "update payout set reason = :reason, updated_at = :now where platform_id = :platform and id = any(:ids)"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_TOLD_OF = (
    select(payout)
    .where(
        payout.c.platform_id == bindparam("platform"),
        payout.c.rail == Rail.BANK.value,
        payout.c.id.in_(bindparam("ids", expanding=True)) | payout.c.file_id.in_(bindparam("files", expanding=True)),
    )
    .order_by(payout.c.id)
    .with_for_update()
)
# Whoever imports at the same time waits: the same file is then known.
_ONE_AT_A_TIME = (
    select(bank_debtor.c.currency)
    .where(bank_debtor.c.platform_id == bindparam("platform"))
    .order_by(bank_debtor.c.currency)
    .with_for_update(key_share=True)
)


class AnswerMismatch(InvalidInput):
    """A bank's file tells of orders that are not ours, or are otherwise than we gave them: nothing of it is taken."""


async def order(
    services: Services, actor: Actor, *, idempotency_key: str, currency: str, available: int | None = None
) -> Row[Any]:
    """Makes the file that orders the payouts that wait in a currency, the oldest first, as far as what the account has
    `available` (minor units) goes; without it, all.

    Raises InvalidInput, StateConflict when nothing waits, or nothing fits, or our own account is not known.
    """
    platform = tenant(actor)
    exponent(currency, path=("currency",))
    if available is not None:
        bounded(available, path=("available",))
    body = {"currency": currency, "available": available}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="bankFileCreate", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await file_by_id(scope, claim.replay["id"])
        ours = await payees.debtor(scope, currency)
        if ours is None:
            raise StateConflict(
                f"The platform's own account in {currency} is not known: set it with bankDebtorSet.",
                current_state="NO_DEBTOR",
                path=("currency",),
            )
        waiting = await scope.rows(_OPEN, {"platform": platform, "currency": currency})
        fitting = _fitting(waiting, available)
        if not fitting:
            raise StateConflict(
                f"No payout waits in {currency}."
                if not waiting
                else f"The oldest that waits is {decimal_text(waiting[0].amount, currency)} {currency}.",
                current_state="NOTHING_WAITS" if not waiting else "NOT_ENOUGH",
                path=("available",) if waiting else ("currency",),
            )
        row = await _write(services, scope, actor, ours, fitting)
        late = [one.id for one in waiting[len(fitting) :]]
        await scope.run(_QUEUED, {"platform": platform, "ids": late, "reason": _WAITS, "now": scope.now})
        await idempotency.finish(scope, claim, {"id": public_id("bank file", row.id)})
        return row


async def take(services: Services, actor: Actor, *, idempotency_key: str, content: bytes) -> Row[Any]:
    """Imports what the bank answered; the same file again changes nothing.

    Raises NoAnswer, AnswerMismatch; nothing is taken of such a file.
    """
    told, digest = answers.read(content), hashlib.sha256(content).digest()
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="bankResultImport", key=idempotency_key, body=digest
        )
        if claim.replay is None:
            await idempotency.finish(scope, claim, {"sha256": digest.hex()})
        return await imported(services, scope, told, digest, by=actor.id)


async def imported(services: Services, scope: WriteScope, told: Answer, digest: bytes, *, by: str) -> Row[Any]:
    """What is kept of an answer whose file has this SHA-256, and what it tells done; the same file again does nothing.

    Raises AnswerMismatch.
    """
    await scope.rows(_ONE_AT_A_TIME, {"platform": scope.platform})
    known = await scope.first(
        select(bank_result).where(bank_result.c.platform_id == scope.platform, bank_result.c.sha256 == digest)
    )
    if known is not None:
        return known
    await _check_account(services, scope, told)
    steps, outcome = await _match(scope, told)
    row = await scope.one(
        insert(bank_result)
        .values(
            platform_id=scope.platform,
            id=new_id(),
            kind=told.kind,
            message_id=told.message,
            sha256=digest,
            outcome=outcome,
            imported_at=scope.now,
            imported_by=by,
        )
        .returning(bank_result)
    )
    await _apply(scope, steps)
    return row


async def file_by_id(scope: Scope, id: str) -> Row[Any]:
    """One file. Raises NotFound."""
    found = parse_id("bank file", id, path=("id",))
    row = await scope.first(select(bank_file).where(bank_file.c.platform_id == scope.platform, bank_file.c.id == found))
    if row is None:
        raise NotFound("bank file", id, path=("id",))
    return row


async def files(scope: Scope, request: PageRequest) -> Page:
    """Files for the bank, newest first."""
    statement = select(bank_file).where(bank_file.c.platform_id == scope.platform)
    return await newest_first(scope, statement, bank_file.c.id, request)


def content_of(services: Services, row: Row[Any]) -> str:
    """The file as it was made."""
    return services.vault.decrypt(row.body, context=_context(row.platform_id, row.id))


def execution_day(now: datetime, currency: str) -> date:
    """The next day on which banks carry out orders of the currency: by the euro's calendar, or but for weekends."""
    day = now.date()
    names = ("TARGET2",) if currency == "EUR" else ()
    while calendar.closed(names, day) is not None or day.isoweekday() > 5:
        day += timedelta(days=1)
    return day


def _fitting(waiting: Sequence[Row[Any]], available: int | None) -> list[Row[Any]]:
    """The oldest that fit; a younger and smaller one does not go before an older one."""
    fitting: list[Row[Any]] = []
    left = available
    for row in waiting:
        if left is not None:
            if row.amount > left:
                break
            left -= row.amount
        fitting.append(row)
    return fitting


async def _write(
    services: Services, scope: WriteScope, actor: Actor, ours: Row[Any], rows: Sequence[Row[Any]]
) -> Row[Any]:
    id, currency = new_id(), ours.currency
    known = await payees.of(scope, {row.seller_id for row in rows})
    message, execute_on = reference_of(public_id("bank file", id)), execution_day(scope.now, currency)
    orders = [
        Order(
            reference_of(public_id("payout", row.id)),
            row.amount,
            _party(services, known[row.seller_id]),
            f"Payout {reference_of(public_id('payout', row.id))} {ours.holder}",
        )
        for row in rows
    ]
    body = written(
        message=message,
        made_at=scope.now,
        execute_on=execute_on,
        currency=currency,
        debtor=_party(services, ours),
        orders=orders,
    )
    made = await scope.one(
        insert(bank_file)
        .values(
            platform_id=scope.platform,
            id=id,
            currency=currency,
            message_id=message,
            execute_on=execute_on,
            payouts=len(rows),
            amount=sum(row.amount for row in rows),
            body=services.vault.encrypt(body.decode(), context=_context(scope.platform, id)),
            sha256=hashlib.sha256(body).digest(),
            created_at=scope.now,
            created_by=actor.id,
        )
        .returning(bank_file)
    )
    ids = [row.id for row in rows]
    await scope.run(_ORDERED, {"platform": scope.platform, "file": id, "ids": ids, "now": scope.now})
    return made


def _party(services: Services, row: Row[Any]) -> Party:
    return Party(row.holder, payees.iban_of(services, row), row.bic)


async def _check_account(services: Services, scope: Scope, told: Answer) -> None:
    if told.kind is not ResultKind.CAMT_053 or not told.verdicts:
        return
    shown = f"{told.account[:4]}…{told.account[-4:]}" if told.account else "an account without an IBAN"
    ours = {row.currency: payees.iban_of(services, row) for row in await payees.debtors(scope)}
    currencies = {verdict.currency for verdict in told.verdicts if verdict.currency}
    fits = all(ours.get(currency) == told.account for currency in currencies) and told.account in ours.values()
    if not fits:
        raise AnswerMismatch(
            f"This is the statement of {shown}, not of the platform's own account.",
            path=("content",),
            constraint="the account of bankDebtorSet",
        )


async def _match(scope: WriteScope, told: Answer) -> tuple[list[tuple[Row[Any], Verdict]], dict[str, Any]]:
    """Each verdict with its payout, locked. Raises AnswerMismatch with the first of what does not match."""
    named = [(verdict, _id("payout", verdict.reference)) for verdict in told.verdicts]
    whole = {_id("bank file", verdict.message) for verdict in told.verdicts if verdict.reference is None}
    ids = [id for _, id in named if id is not None]
    values = {"platform": scope.platform, "ids": ids, "files": [id for id in whole if id is not None]}
    rows = await scope.rows(_TOLD_OF, values) if ids or values["files"] else []
    by_id = {row.id: row for row in rows}
    steps: list[tuple[Row[Any], Verdict]] = []
    wrong: list[str] = []
    others = told.others
    for verdict, id in named:
        if verdict.reference is None:
            file = _id("bank file", verdict.message)
            mine = [row for row in rows if file is not None and row.file_id == file]
            wrong += _amiss_whole(verdict, mine)
            steps += [(row, verdict) for row in mine]
        elif id is None:
            others += 1  # an order that somebody else gave the bank
        elif id not in by_id:
            wrong.append(f"{verdict.reference} ({verdict.place}) is no payout of ours")
        else:
            wrong += _amiss(told.kind, by_id[id], verdict)
            steps.append((by_id[id], verdict))
    if wrong:
        more = f"; and {len(wrong) - _NAMED_MAX} more" if len(wrong) > _NAMED_MAX else ""
        raise AnswerMismatch(
            f"The file does not match what was ordered: {'; '.join(wrong[:_NAMED_MAX])}{more}.",
            path=("content",),
            constraint="orders of ours, as they were given",
        )
    counts = {fate.value: sum(1 for _, verdict in steps if verdict.fate is fate) for fate in Fate}
    return steps, {"orders": len(steps), "others": others, **{name: n for name, n in counts.items() if n}}


def _amiss(kind: ResultKind, row: Row[Any], verdict: Verdict) -> list[str]:
    id = public_id("payout", row.id)
    found: list[str] = []
    if verdict.amount is not None and (verdict.amount, verdict.currency) != (row.amount, row.currency):
        ours = f"{decimal_text(row.amount, row.currency)} {row.currency}"
        theirs = f"{decimal_text(verdict.amount, verdict.currency or row.currency)} {verdict.currency}"
        found.append(f"{id} is of {ours}, not {theirs} ({verdict.place})")
    if row.file_id is None:
        found.append(f"{id} was never ordered ({verdict.place})")
    elif (file := _id("bank file", verdict.message)) != row.file_id and (
        file is not None or kind is ResultKind.PAIN_002  # a statement may name a message of the bank's own
    ):
        found.append(f"{id} is not in {verdict.message} ({verdict.place})")
    # One that was debited first and came back then is told again by a statement of more days.
    if row.status == PayoutStatus.FAILED and row.paid_at is None and verdict.fate is Fate.PAID:
        found.append(f"{id} came back, and cannot be paid any more ({verdict.place})")
    return found


def _amiss_whole(verdict: Verdict, rows: Sequence[Row[Any]]) -> list[str]:
    if not rows:
        return [f"{verdict.message} ({verdict.place}) is no file of ours"]
    total = sum(row.amount for row in rows)
    if verdict.amount is not None and (verdict.amount, verdict.currency) != (total, rows[0].currency):
        theirs = f"{decimal_text(verdict.amount, verdict.currency or rows[0].currency)} {verdict.currency}"
        return [f"{verdict.message} is of {decimal_text(total, rows[0].currency)}, not {theirs} ({verdict.place})"]
    return []


async def _apply(scope: WriteScope, steps: Sequence[tuple[Row[Any], Verdict]]) -> None:
    entries: list[JournalEntry] = []
    status = {row.id: PayoutStatus(row.status) for row, _ in steps}
    for row, verdict in steps:
        before = status[row.id]
        values: dict[str, Any] = {"bank_reference": verdict.bank_reference} if verdict.bank_reference else {}
        if verdict.fate is Fate.PAID and before is PayoutStatus.IN_TRANSIT:
            entries.append(booking.paid(row, scope))
            status[row.id] = PayoutStatus.PAID
            values |= {"paid_at": scope.now, "reason": None}
        elif verdict.fate in (Fate.REJECTED, Fate.RETURNED) and before in (PayoutStatus.IN_TRANSIT, PayoutStatus.PAID):
            reason = verdict.reason or verdict.fate.lower()
            # A statement that shows a return has shown the debit, perhaps in an earlier file that never came.
            after_paid = before is PayoutStatus.PAID
            if verdict.fate is Fate.RETURNED and not after_paid:
                entries.append(booking.paid(row, scope))
                values["paid_at"], after_paid = scope.now, True
            entries.append(booking.returned(row, scope, after_paid=after_paid))
            status[row.id] = PayoutStatus.FAILED
            values["reason"] = reason
            await lines.let_go(scope, row.id)
            await pauses.pause(scope, row, reason)
        await scope.run(
            update(payout)
            .where(payout.c.platform_id == scope.platform, payout.c.id == row.id)
            .values(**values, status=status[row.id], updated_at=scope.now)
        )
    for start in range(0, len(entries), ENTRIES_MAX):
        await journal.post_all(scope, entries[start : start + ENTRIES_MAX])


def _id(kind: str, reference: str | None) -> UUID | None:
    """Our id in a bank's spelling; None for a reference that is none of ours."""
    try:
        return parse_id(kind, (reference or "").lower().replace("-", "_"))
    except NotFound:
        return None


def _context(platform: UUID, file: UUID) -> str:
    return f"bank file:{platform}:{file}"
