"""What answering a dispute would mean, before it is answered: for the platform, and for each of its sellers.

The platform's result is that of the whole sale: every entry of it, of its returns and of its disputes, on accounts of
revenue and expense. What is to come is added to it: the provider's fee for answering, what the policy gives back of the
fees, and the debts of sellers who are not expected to pay them. A token stands for all of it that will happen; the
answer refuses when that has changed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, select, text

from marketbill.crypto import Vault
from marketbill.db import Scope
from marketbill.disputes import evidence, policy, recharge
from marketbill.disputes.model import Answer
from marketbill.ids import PaymentId, SellerId, public_id
from marketbill.ledger.chart import AccountKind
from marketbill.payments import recording
from marketbill.prepared import prepared
from marketbill.recovery import clawback
from marketbill.recovery.clawback import Forecast
from marketbill.refunds import arithmetic
from marketbill.refunds import policy as return_policies
from marketbill.refunds.arithmetic import Returned, Wanted
from marketbill.refunds.model import RefundKind
from marketbill.rules.disputes import ANSWERABLE, DisputeStatus
from marketbill.rules.return_policy import Cause
from marketbill.sellers.model import seller
from marketbill.sellers.seller import may_sell

#: What the provider charged last for answering, by currency.
_COUNTERED = prepared(
    text(
        """
        select m.fee from dispute_movement m
        where m.platform_id = :platform and m.currency = :currency and m.amount = 0 and m.fee > 0
        order by m.created_at desc limit 1
        """
    )
)
_SELLERS = prepared(
    select(seller).where(
        seller.c.platform_id == bindparam("platform"), seller.c.id == bindparam("sellers", type_=ARRAY(Uuid)).any_()
    )
)
_RESULT = prepared(
    text(
        """
        select a.kind, coalesce(sum(case when p.credit_account_id = a.id then p.amount else -p.amount end), 0)::bigint
          as amount
        from journal_entry e
        join posting p on p.platform_id = e.platform_id and p.entry_number = e.number and not p.held
        join ledger_account a on a.platform_id = p.platform_id
          and a.id in (p.debit_account_id, p.credit_account_id)
        where e.platform_id = :platform and a.currency = :currency and a.kind = any(:kinds)
          and e.source_id = any(:sources)
        group by a.kind
        """
    ).bindparams(bindparam("sources", type_=ARRAY(Uuid)))
)
_SOURCES = prepared(
    text(
        """
        select cast(:payment as uuid) as id
        union select r.source_id from sale_return r where r.platform_id = :platform and r.payment_id = :payment
        union select d.id from dispute d where d.platform_id = :platform and d.payment_id = :payment
        """
    )
)
_BOOKED = prepared(
    text(
        "select id from dispute_recovery where platform_id = :platform and dispute_id = :dispute and status = 'BOOKED'"
    )
)


class SellerResult(NamedTuple):
    """What a seller gives back when the dispute is lost, in the settlement's currency, and from where it would come;
    `fees` are the provider's that he is charged, with tax, as a debt. `doubtful` when his debt is not expected to be
    paid."""

    seller_id: SellerId
    amount: int
    pending: int
    payable: int
    reverse: int
    debt: int
    fees: int
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Results:
    """The platform's result of the whole sale by how the dispute ends (below zero is a loss), in `currency`, that of
    the settlement; minor units.

    `fees` is what the provider has charged for the dispute until now, net of what it returned; `countered_fee` what
    answering is expected to cost. `borne` is what the platform loses with the dispute itself: fees it gives back, and
    what no seller bears. `doubtful` are debts that are not expected to be paid: they are in `lost` and `accepted`.
    """

    currency: str
    so_far: int
    fees: int
    countered_fee: int
    borne: int
    recharged: int
    doubtful: int
    sellers: tuple[SellerResult, ...]
    evidence: str
    may_contest: bool
    may_accept: bool

    @property
    def won(self) -> int:
        """When it is contested and won, and the provider returns none of its fees."""
        return self.so_far - self.countered_fee

    @property
    def lost(self) -> int:
        """When it is contested and lost."""
        return self.so_far - self.countered_fee - self.borne + self.recharged_with(self.countered_fee) - self.doubtful

    @property
    def accepted(self) -> int:
        """When it is accepted."""
        return self.so_far - self.borne + self.recharged - self.doubtful

    def recharged_with(self, fee: int) -> int:
        """What sellers are charged of the fees when `fee` comes to them: all of it, where they bear them."""
        return self.recharged + fee if self.recharged else 0


async def of(scope: Scope, row: Row[Any], *, doubtful: Collection[UUID] = ()) -> Results:
    """What would follow from answering now. `doubtful` are sellers whose debts are not expected to be paid; those who
    may not sell any more count as such anyway. Reads alone.

    Raises TraceNotReplayable.
    """
    payment = await recording.load(scope, PaymentId(row.payment_id))
    currency = row.settlement_currency or payment.settlement_currency or payment.currency
    fees = row.fees - row.fees_returned
    countered = await _countered(scope, row, currency)
    sellers, borne, recharged = await _lost(scope, payment, row, fees)
    shut = await _shut(scope, [one.seller_id for one in sellers])
    marked = tuple(one._replace(doubtful=one.seller_id in shut or one.seller_id in doubtful) for one in sellers)
    standing = (await evidence.pieces_of(scope, [row.id]))[row.id]
    status = DisputeStatus(row.status)
    return Results(
        currency=currency,
        so_far=await _so_far(scope, payment.id, currency),
        fees=fees,
        countered_fee=countered,
        borne=borne,
        recharged=recharged,
        doubtful=sum(one.debt + one.fees for one in marked if one.doubtful),
        sellers=marked,
        evidence=evidence.digest(evidence.submission(standing)),
        may_contest=status in ANSWERABLE and bool(standing),
        may_accept=status is DisputeStatus.NEEDS_RESPONSE,
    )


def token(vault: Vault, scope: Scope, row: Row[Any], shown: Results, answer: Answer) -> str:
    """Stands for what `answer` (CONTESTING, ACCEPTING) would do now."""
    facts = {
        "dispute": public_id("dispute", row.id),
        "state": [row.status, row.provider_status, row.answer, row.submissions],
        "answered_at": row.answered_at.isoformat() if row.answered_at else None,
        "money": [shown.currency, shown.so_far, shown.fees, shown.countered_fee, shown.borne, shown.recharged],
        "sellers": [[str(one.seller_id), *one[1:-1]] for one in shown.sellers],
        "evidence": shown.evidence,
    }
    return vault.preview_token(f"dispute:{answer}:{scope.platform}", facts)


async def _countered(scope: Scope, row: Row[Any], currency: str) -> int:
    """An inquiry costs nothing to answer. Else what the provider charged last, or what the policy expects."""
    if row.status != DisputeStatus.NEEDS_RESPONSE:
        return 0
    last = await scope.scalar(_COUNTERED, {"platform": scope.platform, "currency": currency})
    if last is not None:
        return last
    return (await policy.current(scope)).countered_fees.get(currency, 0)


async def _lost(scope: Scope, payment: Row[Any], row: Row[Any], fees: int) -> tuple[list[SellerResult], int, int]:
    """What each seller would give of what the sale undoes, what the platform would bear of it, and what of the fees
    sellers would be charged, without tax."""
    if payment.settled_at is None or not row.withdrawn:
        return [], 0, 0
    if await scope.first(_BOOKED, {"platform": scope.platform, "dispute": row.id}) is not None:
        return [], 0, 0  # all of it was taken when the dispute was opened, and is in the result so far
    return_policy = await return_policies.current(scope)
    terms = return_policy.rows[Cause.LOST_DISPUTE]
    lost, taken = row.amount - row.won, row.withdrawn - row.reinstated
    left = min(lost, await arithmetic.left(scope, payment, terms))
    if not left:
        return [], taken, 0
    wanted = Wanted(RefundKind.AMOUNT, amount=left)
    made = await arithmetic.returned(scope, payment, wanted, Cause.LOST_DISPUTE, return_policy)
    charged = await recharge.charges(scope, made, fees)
    found = await clawback.forecast(scope, payment, made.parts)
    sellers = [_seller(one, charged[one.seller_id].total if one.seller_id in charged else 0) for one in found]
    return sellers, _borne(made, taken), sum(one.fee for one in charged.values())


def _seller(one: Forecast, fees: int) -> SellerResult:
    return SellerResult(one.seller_id, *one[1:], fees=fees, doubtful=False)


def _borne(made: Returned, taken: int) -> int:
    """All that the sellers do not give, and no tax office either."""
    taxes = sum(made.fee_tax.values()) + sum(made.deemed.values()) + sum(made.withheld.values())
    return taken - sum(made.parts.values()) - taxes


async def _so_far(scope: Scope, payment_id: UUID, currency: str) -> int:
    sources = [one.id for one in await scope.rows(_SOURCES, {"platform": scope.platform, "payment": payment_id})]
    values = {"platform": scope.platform, "currency": currency, "sources": sources}
    kinds = [AccountKind.REVENUE.value, AccountKind.EXPENSE.value]
    return sum(one.amount for one in await scope.rows(_RESULT, {**values, "kinds": kinds}))


async def _shut(scope: Scope, sellers: Sequence[UUID]) -> set[UUID]:
    rows = await scope.rows(_SELLERS, {"platform": scope.platform, "sellers": sellers}) if sellers else ()
    return {row.id for row in rows if not may_sell(row)}
