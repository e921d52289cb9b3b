"""Answers to a dispute: contested with evidence, or accepted. Each is a saga, and binds to what its preview showed.

Neither moves our books by itself: what the provider made of it, and charged for it, comes as its facts do
(`disputes.apply`).
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select, update

from marketbill.actor import Actor
from marketbill.crypto import same
from marketbill.db import WriteScope
from marketbill.disputes import evidence, preview, queries
from marketbill.disputes.apply import EXECUTE
from marketbill.disputes.model import Answer, dispute
from marketbill.errors import InvalidInput, PreviewStale, StateConflict
from marketbill.events import outbox
from marketbill.idempotency import keys as idempotency
from marketbill.ids import public_id
from marketbill.platforms.keys import tenant
from marketbill.provider import intent as intents
from marketbill.provider.intent import Intent
from marketbill.provider.kinds import ACCEPT_DISPUTE, SUBMIT_EVIDENCE
from marketbill.provider.objects import Dispute
from marketbill.provider.port import Provider
from marketbill.provider.saga import Done, Refusal, Saga, Setback
from marketbill.rules.disputes import ANSWERABLE, DisputeStatus
from marketbill.services import Services

_ONE = (dispute.c.platform_id == bindparam("platform")) & (dispute.c.id == bindparam("dispute"))
_LOCK = select(dispute).where(_ONE).with_for_update()


async def contest(services: Services, actor: Actor, *, idempotency_key: str, dispute_id: str, token: str) -> Row[Any]:
    """Submits the evidence that there is, which happens once. `token` is the preview's for contesting.

    Raises NotFound, PreviewStale, StateConflict, EvidenceTooLate, InvalidInput when there is no evidence.
    """
    return await _answer(services, actor, idempotency_key, dispute_id, token, Answer.CONTESTING)


async def accept(services: Services, actor: Actor, *, idempotency_key: str, dispute_id: str, token: str) -> Row[Any]:
    """Gives the dispute up: it is lost, for good. `token` is the preview's for accepting.

    Raises NotFound, PreviewStale, StateConflict, EvidenceTooLate.
    """
    return await _answer(services, actor, idempotency_key, dispute_id, token, Answer.ACCEPTING)


async def _answer(
    services: Services, actor: Actor, idempotency_key: str, dispute_id: str, token: str, answer: Answer
) -> Row[Any]:
    platform = tenant(actor)
    operation = "disputeContest" if answer is Answer.CONTESTING else "disputeAccept"
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation=operation,
            key=idempotency_key,
            body={"id": dispute_id, "token": token},
        )
        row = await queries.by_id(scope, actor, dispute_id, lock=claim.replay is None)
        if claim.replay is not None:
            return row
        evidence.check_answerable(scope, row)
        said = evidence.submission((await evidence.pieces_of(scope, [row.id]))[row.id])
        _check(row, answer, said)
        shown = await preview.of(scope, row)
        due = preview.token(services.vault, scope, row, shown, answer)
        if not same(due.encode(), token.encode()):
            raise PreviewStale()
        await _open(scope, row, answer, said)
        await scope.run(
            update(dispute)
            .where(dispute.c.platform_id == scope.platform, dispute.c.id == row.id)
            .values(
                answer=answer.value,
                answered_by=actor.id,
                answered_at=scope.now,
                explanation=None,
                updated_at=scope.now,
            )
        )
        await idempotency.finish(scope, claim, {"id": dispute_id})
        await outbox.enqueue(scope, EXECUTE, str(platform))
        return await scope.one(select(dispute).where(_ONE), {"platform": scope.platform, "dispute": row.id})


def _check(row: Row[Any], answer: Answer, said: dict[str, str]) -> None:
    if answer is Answer.CONTESTING and not said:
        raise InvalidInput(
            "There is no evidence to submit: add some with disputeEvidenceAdd.", path=("id",), constraint=">= 1 piece"
        )
    if answer is Answer.ACCEPTING and row.status != DisputeStatus.NEEDS_RESPONSE:
        raise StateConflict(
            f"Only a dispute that withdrew money can be accepted; {public_id('dispute', row.id)} is {row.status}.",
            current_state=row.status,
            path=("id",),
        )


async def _open(scope: WriteScope, row: Row[Any], answer: Answer, said: dict[str, str]) -> None:
    contests = answer is Answer.CONTESTING
    request: dict[str, Any] = {"dispute_id": row.provider_dispute}
    if contests:
        request |= {"evidence": said, "submissions": row.submissions}
    await intents.open_intent(
        scope,
        kind=SUBMIT_EVIDENCE if contests else ACCEPT_DISPUTE,
        subject_id=row.id,
        request=request,
        send_now=False,
    )


async def _find_submission(provider: Provider, intent: Intent) -> Dispute | None:
    told = await provider.retrieve_dispute(intent.request["dispute_id"])
    return told if told.submission_count > intent.request["submissions"] else None


async def _submit(provider: Provider, intent: Intent) -> Dispute:
    return await provider.submit_evidence(
        intent.request["dispute_id"], key=intent.key, evidence=intent.request["evidence"], submit=True
    )


async def _find_acceptance(provider: Provider, intent: Intent) -> Dispute | None:
    told = await provider.retrieve_dispute(intent.request["dispute_id"])
    return told if told.status == "lost" else None


async def _accept(provider: Provider, intent: Intent) -> Dispute:
    return await provider.accept_dispute(intent.request["dispute_id"], key=intent.key)


def _mismatch(intent: Intent, made: Dispute) -> str | None:
    asked = intent.request["dispute_id"]
    return None if made.id == asked else f"{intent.public_id} answered {asked}, but the provider tells of {made.id}."


async def _contested(scope: WriteScope, done: list[Done[Dispute]] | Any) -> None:
    for one in done:
        await _set(scope, one.intent.subject_id, Answer.CONTESTED)


async def _accepted(scope: WriteScope, done: list[Done[Dispute]] | Any) -> None:
    for one in done:
        await _set(scope, one.intent.subject_id, Answer.ACCEPTED)


async def _failed(scope: WriteScope, setback: Setback) -> None:
    """It says what it waits for; an answer that was refused for certain may be given again."""
    await _set(scope, setback.intent.subject_id, Answer.REFUSED if setback.refused else None, setback.reason)


async def _abandoned(scope: WriteScope, intent: Intent, reason: str) -> None:
    await _set(scope, intent.subject_id, Answer.REFUSED, f"Abandoned by an operator: {reason}")


async def _retried(scope: WriteScope, intent: Intent) -> None:
    row = await scope.one(_LOCK, {"platform": scope.platform, "dispute": intent.subject_id})
    if row.status not in ANSWERABLE:
        raise StateConflict(
            f"This dispute takes no answer any more: it is {row.status}.", current_state=row.status, path=("id",)
        )


async def _set(scope: WriteScope, id: UUID, answer: Answer | None, why: str | None = None) -> None:
    values: dict[str, Any] = {"explanation": why[:500] if why else None, "updated_at": scope.now}
    if answer is not None:
        values["answer"] = answer.value
    await scope.run(update(dispute).where(dispute.c.platform_id == scope.platform, dispute.c.id == id).values(**values))


#: Evidence is handed to the bank once: whether it was is seen by the provider's count.
EVIDENCE = Saga(
    kind=SUBMIT_EVIDENCE,
    look_up=_find_submission,
    send=_submit,
    provider_id=lambda made: made.id,
    mismatch=_mismatch,
    succeeded=_contested,
    failed=_failed,
    refusal=Refusal.RETURNS,
    retried=_retried,
    abandoned=_abandoned,
)
ACCEPTANCE = Saga(
    kind=ACCEPT_DISPUTE,
    look_up=_find_acceptance,
    send=_accept,
    provider_id=lambda made: made.id,
    mismatch=_mismatch,
    succeeded=_accepted,
    failed=_failed,
    refusal=Refusal.RETURNS,
    retried=_retried,
    abandoned=_abandoned,
)
