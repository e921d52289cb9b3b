"""What a dispute means for its sellers: their parts taken back when it is lost (D3 to D5), and given again when won.

Each dispute is settled in transactions of its own, one step in each, with its payment's row locked: whoever changes a
dispute holds that lock. A step that has to wait (for the sale to be settled, for a reversal to be decided, for a refund
to be answered) leaves the dispute due, and whatever it waits for owes the job again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, select, tuple_, update

from marketbill.db import WriteScope
from marketbill.defects import Defects
from marketbill.disputes import booking, holding, recharge
from marketbill.disputes.model import RecoverAt, RecoveryStatus, dispute, dispute_recovery
from marketbill.ids import PlatformId, new_id, public_id
from marketbill.ledger import journal, original
from marketbill.ledger.journal import JournalEntry, Source
from marketbill.ledger.model import journal_entry
from marketbill.ledger.original import Original
from marketbill.prepared import prepared
from marketbill.recovery import clawback
from marketbill.recovery.clawback import Funding
from marketbill.refunds import arithmetic, tax_return
from marketbill.refunds import policy as return_policies
from marketbill.refunds.arithmetic import Wanted
from marketbill.refunds.model import RefundKind, RefundStatus, refund
from marketbill.rules import disputes as rules
from marketbill.rules.disputes import OVER, DisputeStatus, Outcome
from marketbill.rules.return_policy import Cause
from marketbill.services import Services

#: Disputes looked at in one run; the next run begins with those that wait the longest again.
DUE_MAX = 1_000
_PAGE = 100
_BEFORE_ALL = datetime(2000, 1, 1, tzinfo=UTC)
#: Steps of one dispute in a row: it is booked, undone and begun anew at the most.
_STEPS_MAX = 8

_DUE = (
    select(dispute.c.id, dispute.c.settle_since)
    .where(
        dispute.c.platform_id == bindparam("platform"),
        dispute.c.settle_since.is_not(None),
        tuple_(dispute.c.settle_since, dispute.c.id)
        > tuple_(bindparam("since", type_=dispute.c.settle_since.type), bindparam("after", type_=dispute.c.id.type)),
    )
    .order_by(dispute.c.settle_since, dispute.c.id)
    .limit(_PAGE)
)
_ONE = prepared(
    select(dispute).where(dispute.c.platform_id == bindparam("platform"), dispute.c.id == bindparam("dispute"))
)
_RECOVERIES = prepared(
    select(dispute_recovery)
    .where(
        dispute_recovery.c.platform_id == bindparam("platform"),
        dispute_recovery.c.dispute_id == bindparam("dispute"),
    )
    .order_by(dispute_recovery.c.round)
)
# The provider refuses a refund of what is disputed; what that gives back to the sellers is theirs to bear again.
_UNDER_WAY = prepared(
    select(refund.c.id)
    .where(
        refund.c.platform_id == bindparam("platform"),
        refund.c.payment_id == bindparam("payment"),
        (refund.c.status == RefundStatus.RECOVERING.value) | (refund.c.status == RefundStatus.SENDING.value),
    )
    .limit(1)
)


class _Want(NamedTuple):
    """What sellers should have given back by now: `lost` in the sale's currency, `taken` in the settlement's."""

    lost: int
    taken: int


async def settle_due(services: Services, platform: PlatformId, defects: Defects) -> None:
    """Settles what is due, as far as it goes now; safe in many workers at once. A dispute that cannot be is a defect,
    and due still."""
    since, after, looked_at = _BEFORE_ALL, UUID(int=0), 0
    while looked_at < DUE_MAX:
        async with services.db.read(platform) as scope:
            rows = await scope.rows(_DUE, {"platform": platform, "since": since, "after": after})
        for row in rows:
            with defects.of(public_id("dispute", row.id)):
                await _settle(services, platform, row.id)
        if len(rows) < _PAGE:
            return
        since, after, looked_at = rows[-1].settle_since, rows[-1].id, looked_at + len(rows)


async def _settle(services: Services, platform: PlatformId, id: UUID) -> None:
    for _ in range(_STEPS_MAX):
        async with services.db.write(platform) as scope:
            if not await _step(scope, id):
                return


async def _step(scope: WriteScope, id: UUID) -> bool:
    """One step; True when there may be another one at once."""
    found = await scope.one(_ONE, {"platform": scope.platform, "dispute": id})
    payment = await holding.locked_payment(scope, found.payment_id)
    row = await scope.one(_ONE, {"platform": scope.platform, "dispute": id})
    if row.settle_since is None or payment.settled_at is None:
        return False
    rounds = await scope.rows(_RECOVERIES, {"platform": scope.platform, "dispute": id})
    live = next((one for one in rounds if one.status != RecoveryStatus.UNDONE), None)
    want = _wanted(row, payment, live)
    if live is not None and live.status == RecoveryStatus.BEGUN:
        return await _book(scope, payment, row, live)
    if live is not None and want.lost != live.lost:
        await _undo(scope, payment, row, live)
        return True
    if live is None and want.lost:
        if await scope.first(_UNDER_WAY, {"platform": scope.platform, "payment": payment.id}) is not None:
            return False
        await _begin(scope, payment, row, want, len(rounds) + 1)
        return True
    await _end(scope, payment, row, want)
    return False


def _ended(row: Row[Any], payment: Row[Any]) -> Outcome | None:
    return rules.outcome(
        DisputeStatus(row.status),
        amount=row.amount,
        won=row.won,
        withdrawn=row.withdrawn,
        reinstated=row.reinstated,
        converted=row.settlement_currency != payment.currency,
    )


def _wanted(row: Row[Any], payment: Row[Any], live: Row[Any] | None) -> _Want:
    ended = _ended(row, payment)
    if ended is not None:
        return _Want(ended.lost, ended.taken if ended.lost else 0)
    if live is not None:  # as in an appeal: what was taken stays so until it is decided
        return _Want(live.lost, live.taken)
    if row.recover_at == RecoverAt.OPENED and row.status not in OVER:
        return _Want(row.amount - row.won, row.withdrawn - row.reinstated)
    return _Want(0, 0)


async def _begin(scope: WriteScope, payment: Row[Any], row: Row[Any], want: _Want, number: int) -> None:
    """Takes the sellers' parts: what is left of the sale bears them, as its policy on lost disputes says."""
    cause = Source("dispute", row.id if number == 1 else new_id())
    policy = await return_policies.current(scope)
    left = await arithmetic.left(scope, payment, policy.rows[Cause.LOST_DISPUTE])
    amount = min(want.lost, left)
    if amount:
        wanted = Wanted(RefundKind.AMOUNT, amount=amount)
        made = await arithmetic.returned(scope, payment, wanted, Cause.LOST_DISPUTE, policy)
        await arithmetic.keep(scope, cause, payment, made)
        await clawback.begin(scope, cause, payment, made.parts)
    await scope.run(
        insert(dispute_recovery).values(
            platform_id=scope.platform,
            id=cause.id,
            dispute_id=row.id,
            round=number,
            currency=row.settlement_currency,
            lost=want.lost,
            taken=want.taken,
            status=RecoveryStatus.BEGUN,
            begun_at=scope.now,
        )
    )


async def _book(scope: WriteScope, payment: Row[Any], row: Row[Any], live: Row[Any]) -> bool:
    """Books what was taken, once every reversal is decided; False while one is not."""
    cause = Source("dispute", live.id)
    made = await arithmetic.kept(scope, cause, payment)
    fundings = await clawback.funding(scope, cause)
    if fundings is None:
        return False
    fees = await recharge.charges(scope, made, row.fees - row.fees_returned)
    owed = {seller: one.total for seller, one in fees.items()}
    fundings = [one._replace(debt=one.debt + owed.get(one.seller_id, 0)) for one in fundings]
    debts = await clawback.book(scope, cause, fundings)
    await _mark(scope, live, RecoveryStatus.BOOKED)
    lost = booking.lost(scope, payment, row, live, made, fundings)
    await journal.post_all(scope, [*debts, lost, *recharge.entries(scope, payment, row, live, fees)])
    await tax_return.tell(scope, cause, payment)
    return True


async def _undo(scope: WriteScope, payment: Row[Any], row: Row[Any], live: Row[Any]) -> None:
    """Gives back what was booked: the dispute was won, or another part of it than was taken is lost."""
    cause = Source("dispute", live.id)
    made = await arithmetic.kept(scope, cause, payment)
    fundings = await clawback.funding(scope, cause)
    if fundings is None:
        raise AssertionError(f"{public_id('dispute', row.id)} booked before its reversals were decided")
    await arithmetic.undo(scope, cause, payment)
    charged = await _charged(scope, live, fundings)
    given = await clawback.give_back(scope, cause, more=_fees_of(charged))
    await _mark(scope, live, RecoveryStatus.UNDONE)
    restored = [booking.restored(scope, payment, row, live, made, fundings)]
    restored += [recharge.given_back(scope, payment, row, one) for one in charged]
    await journal.post_all(scope, [*restored, *given])
    await tax_return.tell(scope, cause, payment, undoes=True)


async def _charged(scope: WriteScope, live: Row[Any], fundings: Sequence[Funding]) -> list[Original]:
    """The entries that charged the provider's fees to sellers, where they bear them."""
    keys = [recharge.key(live, one.seller_id) for one in fundings]
    mine = (journal_entry.c.platform_id == scope.platform) & journal_entry.c.key.in_(keys)
    rows = await scope.rows(select(journal_entry.c.id).where(mine).order_by(journal_entry.c.number))
    return [await original.load(scope, row.id) for row in rows]


def _fees_of(charged: Sequence[Original]) -> dict[UUID, int]:
    """What each seller was charged, with tax."""
    fees: dict[UUID, int] = {}
    for one in (posting for entry in charged for posting in entry.postings):
        if isinstance(one.debit.of, UUID):
            fees[one.debit.of] = fees.get(one.debit.of, 0) + one.amount
    return fees


async def _end(scope: WriteScope, payment: Row[Any], row: Row[Any], want: _Want) -> None:
    """Nothing is left to do now: the holds end with the dispute, and what rates made of it is booked."""
    await scope.run(
        update(dispute)
        .where(dispute.c.platform_id == scope.platform, dispute.c.id == row.id)
        .values(settle_since=None, updated_at=scope.now)
    )
    ended = _ended(row, payment)
    entries: Sequence[JournalEntry] = ()
    if ended is not None:
        await holding.let_go(scope, row, f"The dispute is over: {row.status}.")
        entries = booking.rate_difference(payment, row, row.withdrawn - row.reinstated - want.taken)
    await journal.post_all(scope, entries)


async def _mark(scope: WriteScope, live: Row[Any], status: RecoveryStatus) -> None:
    at = {"booked_at": scope.now} if status is RecoveryStatus.BOOKED else {"undone_at": scope.now}
    await scope.run(
        update(dispute_recovery)
        .where(dispute_recovery.c.platform_id == scope.platform, dispute_recovery.c.id == live.id)
        .values(status=status, **at)
    )
