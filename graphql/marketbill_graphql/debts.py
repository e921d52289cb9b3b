"""Debts of sellers: their ladder, what was paid of them, and write-offs by two people."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import parse_id, public_id
from marketbill.recovery import payment, policy, queries, write_off
from marketbill.recovery.model import PaidBy, WriteOffStatus
from marketbill.recovery.payment import Received
from marketbill.rules.debt_ladder import Ladder, Step
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, OPERATORS, PLATFORM_READERS, SELLER, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.journal import JournalEntry, entries_of
from marketbill_graphql.money import Money, MoneyInput, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.sellers import Seller, load_seller

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(
    Step,
    name="DebtStepKind",
    description="NETTING: new sales pay it. NOTICE: the seller is told. DEBIT: his bank account may be debited where"
    " that is allowed. RECEIVABLE: it is a claim of its own. SUSPENSION: he may not sell. WRITE_OFF:"
    " two people decide.",
)
strawberry.enum(
    PaidBy, name="DebtPaidBy", description="How it came to the platform's bank: the seller's own TOP_UP, or a DEBIT."
)
strawberry.enum(WriteOffStatus, description="PROPOSED waits for a second person; BOOKED and REJECTED are final.")


@declare.output(PARTIES)
class DebtStep:
    """A step of the ladder: when it is due, and what came of it."""

    step: Step
    due_at: datetime
    done_at: datetime | None = strawberry.field(description="When it was taken.")
    outcome: str | None = strawberry.field(description="How it came out, such as TOLD or NOT_ALLOWED.")
    note: str | None = strawberry.field(description="What was told, in a sentence.")


@declare.output(PARTIES)
class Debt(Node):
    """What a seller must give back for a refund or a lost dispute, and did not have. New sales pay it first."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="dbt_…; the reference of payments.")
    amount: Money = strawberry.field(description="What it was when it began.")
    remaining: Money
    cause: strawberry.ID = strawberry.field(description="What it is for: ref_… or dis_….")
    step: Step = strawberry.field(description="The last step that was taken.")
    next_step_at: datetime | None
    created_at: datetime = strawberry.field(description="Since when it is owed.")
    closed_at: datetime | None = strawberry.field(description="When nothing remained.")

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Who owes it."""
        return await load_seller(info.context, self.row.seller_id)

    @declare.computed
    async def plan(self, info: Info) -> list[DebtStep]:
        """Every step of the ladder with its date, and what came of those that were taken."""
        taken = await info.context.load_own(queries.steps_of, self.row.id)
        ladder = await info.context.load(policy.ladders, info.context.platform)
        return _plan(self.row, ladder, taken or [])


@declare.output(PLATFORM_READERS)
class DebtDays:
    """A step, and how many days after the beginning of a debt it is due."""

    step: Step
    days: int


@declare.output(PLATFORM_READERS)
class DebtPolicy:
    """The ladder of debts that counts now."""

    version: int = strawberry.field(description="0 for the built-in one.")
    steps: list[DebtDays]
    limits: list[Money] = strawberry.field(description="Whoever owes more in a currency is suspended at once.")


@declare.output(PARTIES)
class DebtPayment(Node):
    """What a seller paid of his debts by himself."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="top_…")
    amount: Money
    method: PaidBy
    reference: str = strawberry.field(description="The bank's reference.")
    created_at: datetime

    @declare.query(PLATFORM_READERS)
    async def journal_entries(self, info: Info) -> list[JournalEntry]:
        """What the books say of it."""
        return await entries_of(info.context, self.row.id)


@declare.output(OPERATORS)
class WriteOff(Node):
    """A debt that will not be paid: proposed by one person, booked once another agrees."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="wof_…")
    amount: Money = strawberry.field(description="What remained when it was proposed.")
    booked: Money | None = strawberry.field(description="What was written off.")
    status: WriteOffStatus
    reason: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None = strawberry.field(description="Why it was rejected.")

    @declare.computed
    async def debt(self, info: Info) -> Debt:
        """The debt."""
        return debt_of(await info.context.load_own(queries.debts_by_ids, self.row.debt_id))


@declare.input
class DebtFilter:
    """Which debts; the conditions hold together."""

    seller_id: strawberry.ID | None = None
    open: bool | None = strawberry.field(default=None, description="Those of which something remains, or nothing.")


@declare.input
class DebtDaysInput:
    """A step, and its days after the beginning of a debt."""

    step: Step
    days: int


@declare.input
class DebtPolicyPublishInput:
    """The ladder: its steps in their order, beginning with NETTING at day 0."""

    idempotency_key: str
    steps: list[DebtDaysInput]
    limits: list[MoneyInput] = strawberry.field(
        default_factory=list, description="The most that a seller may owe, at most one for a currency."
    )


@declare.input
class DebtPaymentRecordInput:
    """Money of a seller that came to the platform's bank for his debts."""

    idempotency_key: str
    seller_id: strawberry.ID
    amount: MoneyInput
    method: PaidBy
    reference: str = strawberry.field(description="The bank's reference, 1 to 100 characters; counts once.")


@declare.input
class WriteOffProposeInput:
    """Which debt, and why it will not be paid."""

    idempotency_key: str
    debt_id: strawberry.ID
    reason: str = strawberry.field(description="1 to 500 characters; kept in the books.")


@declare.input
class WriteOffApproveInput:
    """Which write-off to book."""

    idempotency_key: str
    id: strawberry.ID


@declare.input
class WriteOffRejectInput:
    """Which write-off to end, and why."""

    idempotency_key: str
    id: strawberry.ID
    reason: str = strawberry.field(description="1 to 500 characters; kept.")


DebtPolicyPublishError = Annotated[AnyMutationError, strawberry.union("DebtPolicyPublishError")]
DebtPaymentRecordError = Annotated[AnyMutationError, strawberry.union("DebtPaymentRecordError")]
WriteOffProposeError = Annotated[AnyMutationError, strawberry.union("WriteOffProposeError")]
WriteOffApproveError = Annotated[AnyMutationError, strawberry.union("WriteOffApproveError")]
WriteOffRejectError = Annotated[AnyMutationError, strawberry.union("WriteOffRejectError")]


@declare.output(OPERATOR)
class DebtPolicyPublishPayload:
    """The ladder as it was published."""

    policy: DebtPolicy | None = None
    errors: list[DebtPolicyPublishError]


@declare.output(OPERATOR)
class DebtPaymentRecordPayload:
    """The payment; the oldest debts are paid."""

    payment: DebtPayment | None = None
    errors: list[DebtPaymentRecordError]


@declare.output(OPERATOR)
class WriteOffProposePayload:
    """The write-off, which waits for another person."""

    write_off: WriteOff | None = None
    errors: list[WriteOffProposeError]


@declare.output(OPERATOR)
class WriteOffApprovePayload:
    """The write-off, which is booked."""

    write_off: WriteOff | None = None
    errors: list[WriteOffApproveError]


@declare.output(OPERATOR)
class WriteOffRejectPayload:
    """The write-off, which has ended; the debt stands."""

    write_off: WriteOff | None = None
    errors: list[WriteOffRejectError]


@strawberry.type
class DebtQueries:
    @declare.query(PARTIES)
    async def debts(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: DebtFilter | None = None,
    ) -> Connection[Debt]:
        """Debts of sellers, newest first; a seller sees his own."""
        asked = page_request(list_name="debts", first=first, after=after, last=last, before=before)
        actor, only = info.context.actor, filter or DebtFilter()
        seller = parse_id("seller", only.seller_id, path=("filter", "sellerId")) if only.seller_id else None
        found = await info.context.read(
            lambda scope: queries.debts(scope, actor, asked, seller=seller, is_open=only.open)
        )
        return connection(found, list_name="debts", node=debt_of)

    @declare.query(PARTIES)
    async def debt_payments(
        self,
        info: Info,
        seller_id: strawberry.ID | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[DebtPayment]:
        """What sellers paid of their debts by themselves, newest first; a seller sees his own."""
        asked = page_request(list_name="debtPayments", first=first, after=after, last=last, before=before)
        actor = info.context.actor
        seller = parse_id("seller", seller_id, path=("sellerId",)) if seller_id else None
        found = await info.context.read(lambda scope: queries.debt_payments(scope, actor, asked, seller=seller))
        return connection(found, list_name="debtPayments", node=payment_of)

    @declare.query(OPERATORS)
    async def write_offs(
        self,
        info: Info,
        seller_id: strawberry.ID | None = None,
        status: list[WriteOffStatus] | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[WriteOff]:
        """Write-offs, newest first, of any of these states."""
        asked = page_request(list_name="writeOffs", first=first, after=after, last=last, before=before)
        seller = parse_id("seller", seller_id, path=("sellerId",)) if seller_id else None
        found = await info.context.read(lambda scope: queries.write_offs(scope, asked, seller=seller, status=status))
        return connection(found, list_name="writeOffs", node=write_off_of)

    @declare.query(PLATFORM_READERS)
    async def debt_policy(self, info: Info) -> DebtPolicy:
        """The ladder of debts that counts now."""
        version, ladder = await info.context.read(policy.current)
        return policy_of(version, ladder)


@strawberry.type
class DebtCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def debt_policy_publish(self, info: Info, input: DebtPolicyPublishInput) -> DebtPolicyPublishPayload:
        """Publishes a ladder; it counts for open debts too, from their next step on."""
        row = await policy.publish(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            steps=[(one.step, one.days) for one in input.steps],
            limits={one.currency: one.minor for one in input.limits},
        )
        return DebtPolicyPublishPayload(policy=policy_of(row.version, policy.ladder_of(row)), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def debt_payment_record(self, info: Info, input: DebtPaymentRecordInput) -> DebtPaymentRecordPayload:
        """Books what a seller paid to the platform's bank; it pays his debts of the currency, the oldest first."""
        row = await payment.record(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            received=Received(
                input.seller_id, input.amount.currency, input.amount.minor, input.method, input.reference
            ),
        )
        return DebtPaymentRecordPayload(payment=payment_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def write_off_propose(self, info: Info, input: WriteOffProposeInput) -> WriteOffProposePayload:
        """Proposes that what remains of a debt is written off; another person decides."""
        row = await write_off.propose(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            debt_id=input.debt_id,
            reason=input.reason,
        )
        return WriteOffProposePayload(write_off=write_off_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def write_off_approve(self, info: Info, input: WriteOffApproveInput) -> WriteOffApprovePayload:
        """Books a write-off, as somebody with another API key than who proposed it."""
        row = await write_off.approve(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, id=input.id
        )
        return WriteOffApprovePayload(write_off=write_off_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def write_off_reject(self, info: Info, input: WriteOffRejectInput) -> WriteOffRejectPayload:
        """Ends a write-off, as somebody with another API key than who proposed it."""
        row = await write_off.reject(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            reason=input.reason,
        )
        return WriteOffRejectPayload(write_off=write_off_of(row), errors=[])


def debt_of(row: Row[Any]) -> Debt:
    return Debt(
        row=row,
        id=strawberry.ID(public_id("debt", row.id)),
        amount=amount(row.amount, row.currency),
        remaining=amount(row.remaining, row.currency),
        cause=strawberry.ID(public_id(row.cause_type, row.cause_id)),
        step=Step(row.step),
        next_step_at=row.next_step_at,
        created_at=row.created_at,
        closed_at=row.closed_at,
    )


def payment_of(row: Row[Any]) -> DebtPayment:
    return DebtPayment(
        row=row,
        id=strawberry.ID(public_id("topup", row.id)),
        amount=amount(row.amount, row.currency),
        method=PaidBy(row.method),
        reference=row.reference,
        created_at=row.created_at,
    )


def write_off_of(row: Row[Any]) -> WriteOff:
    return WriteOff(
        row=row,
        id=strawberry.ID(public_id("write-off", row.id)),
        amount=amount(row.amount, row.currency),
        booked=None if row.booked is None else amount(row.booked, row.currency),
        status=WriteOffStatus(row.status),
        reason=row.reason,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
    )


def policy_of(version: int, ladder: Ladder) -> DebtPolicy:
    return DebtPolicy(
        version=version,
        steps=[DebtDays(step=step, days=days) for step, days in ladder.days.items()],
        limits=[amount(limit, currency) for currency, limit in sorted(ladder.limits.items())],
    )


def _plan(row: Row[Any], ladder: Ladder, taken: list[Row[Any]]) -> list[DebtStep]:
    done = {Step(one.step): one for one in taken}
    planned = {one.step: one.due_at for one in ladder.plan(row.created_at)}
    return [
        DebtStep(
            step=step,
            due_at=done[step].due_at if step in done else planned[step],
            done_at=done[step].done_at if step in done else None,
            outcome=done[step].outcome if step in done else None,
            note=done[step].note if step in done else None,
        )
        for step in Step
        if step in done or (step in planned and row.closed_at is None)
    ]


@finds("debt", PARTIES)
async def _find_debt(context: Context, id: str) -> Debt:
    return debt_of(await context.read(lambda scope: queries.debt_by_id(scope, context.actor, id)))


@finds("write-off", OPERATORS)
async def _find_write_off(context: Context, id: str) -> WriteOff:
    found = parse_id("write-off", id, path=("id",))
    return write_off_of(await context.read(lambda scope: write_off.load(scope, found)))


@finds("topup", PARTIES)
async def _find_payment(context: Context, id: str) -> DebtPayment:
    return payment_of(await context.read(lambda scope: queries.debt_payment_by_id(scope, context.actor, id)))
