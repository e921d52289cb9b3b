"""Checkout: a basket becomes a payment: the split is computed and kept, the intent committed, the buyer charged.

What the provider answers is recorded here; the books follow from its events (`settle`), so that there is one way in.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select, update

from marketbill.actor import Actor
from marketbill.buyers import buyer as buyers
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound, ProviderDeclined, ProviderNotConnected, ProviderRefused, Refusal
from marketbill.idempotency import keys as idempotency
from marketbill.idempotency.keys import Claim
from marketbill.ids import BuyerId, PaymentId, PlatformId, new_id, parse_id, public_id
from marketbill.payments import state as states
from marketbill.payments.keeping import keep
from marketbill.payments.model import PaymentStatus, payment
from marketbill.payments.order import OrderLine, plan_order
from marketbill.platforms.credentials import open_provider, provider_of
from marketbill.platforms.keys import tenant
from marketbill.prepared import prepared
from marketbill.provider import intent as intents
from marketbill.provider.intent import Intent
from marketbill.provider.port import INTENT_METADATA, Declined, PaymentState, Provider, Refused, Unknown
from marketbill.services import Services
from marketbill.text import check_usable

CREATE_PAYMENT = "create_payment"
_ONE = (payment.c.platform_id == bindparam("platform")) & (payment.c.id == bindparam("payment"))
_LOAD = prepared(select(payment).where(_ONE))
_LOCK = prepared(select(payment).where(_ONE).with_for_update())
_RECORDED = (
    update(payment)
    .where(_ONE)
    .values(
        status=bindparam("new_status"),
        provider_payment=bindparam("new_provider_payment"),
        next_action=bindparam("new_next_action"),
        decline=bindparam("new_decline"),
        client_secret=bindparam("new_client_secret"),
        succeeded_at=bindparam("new_succeeded_at"),
        updated_at=bindparam("now"),
    )
    .returning(payment)
)
_RECORD = prepared(_RECORDED)
_RECORD_FIRST = prepared(_RECORDED.where(payment.c.status == PaymentStatus.CREATED.value))


@dataclass(frozen=True, slots=True)
class PaymentDraft:
    """A payment as requested, with a stored method, or a provider's token, or neither (then by the client secret).

    `off_session`: the buyer is not there to authenticate. `reference` is the platform's own order number.
    """

    currency: str
    lines: Sequence[OrderLine]
    buyer_id: str | None = None
    payment_method_id: str | None = None
    payment_method_token: str | None = None
    reference: str | None = None
    return_url: str | None = None
    off_session: bool = False

    def body(self) -> dict[str, Any]:
        return {
            "currency": self.currency,
            "lines": [line.body() for line in self.lines],
            "buyer_id": self.buyer_id,
            "payment_method_id": self.payment_method_id,
            "payment_method_token": self.payment_method_token,
            "reference": self.reference,
            "return_url": self.return_url,
            "off_session": self.off_session,
        }


@dataclass(frozen=True, slots=True)
class Checkout:
    """A payment as it stands, what its frontend needs to go on (`client_secret`), and why it was declined, if so."""

    payment: Row[Any]
    client_secret: str | None
    refusal: Refusal | None


async def create(services: Services, actor: Actor, *, idempotency_key: str, draft: PaymentDraft) -> Checkout:
    """Charges a buyer once for a basket of several sellers.

    The same idempotency key gives the same payment. Raises InvalidInput, NotFound, SellerNotAllowed,
    ProviderNotConnected before anything is kept; Unknown (with the payment kept as CREATED) after. A decline or a
    refusal by the provider is not raised but told in the result, for the payment stands.
    """
    platform = tenant(actor)
    _check(draft)
    async with services.db.write(platform) as scope:
        id = PaymentId(new_id())
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="paymentCreate",
            key=idempotency_key,
            body=draft.body(),
            begins=id,
        )
        if claim.replay is not None:
            return _answer(services, await load(scope, PaymentId(parse_id("payment", claim.replay["id"]))))
        if claim.subject_id is not None:
            row, intent, provider = await _resume(services, scope, PaymentId(claim.subject_id))
        else:
            row, intent, provider = await _begin(services, scope, actor, draft, id)
    if row.status != PaymentStatus.CREATED or intent is None:
        return await _finish(services, platform, claim, row)
    return await _charge(services, platform, claim, row, intent, provider)


async def load(scope: Scope, id: PaymentId, *, path: tuple[str, ...] = (), lock: bool = False) -> Row[Any]:
    """One payment. Raises NotFound."""
    row = await scope.first(_LOCK if lock else _LOAD, {"platform": scope.platform, "payment": id})
    if row is None:
        raise NotFound("payment", public_id("payment", id), path=path)
    return row


async def record_state(scope: WriteScope, row: Row[Any], state: PaymentState, services: Services) -> Row[Any]:
    """Writes what the provider says of a payment that the caller has locked; gives the new row."""
    return await scope.one(_RECORD, _recorded(scope, row, state, services))


async def _record_first(scope: WriteScope, row: Row[Any], state: PaymentState, services: Services) -> Row[Any]:
    """The same for the provider's first answer, without a lock: an event that was quicker has changed the state."""
    new = await scope.first(_RECORD_FIRST, _recorded(scope, row, state, services))
    if new is None:
        new = await record_state(scope, await load(scope, PaymentId(row.id), lock=True), state, services)
    return new


def _recorded(scope: WriteScope, row: Row[Any], state: PaymentState, services: Services) -> dict[str, Any]:
    columns = states.columns(PaymentStatus(row.status), state)
    succeeded = columns["status"] is PaymentStatus.SUCCEEDED
    secret = row.client_secret or (_seal(services, row, state.client_secret) if state.client_secret else None)
    return {
        "platform": scope.platform,
        "payment": row.id,
        "now": scope.now,
        "new_client_secret": None if succeeded else secret,
        "new_succeeded_at": (row.succeeded_at or scope.now) if succeeded else None,
        **{f"new_{name}": value for name, value in columns.items()},
    }


async def _begin(
    services: Services, scope: WriteScope, actor: Actor, draft: PaymentDraft, id: PaymentId
) -> tuple[Row[Any], Intent, Provider]:
    order = await plan_order(scope, currency=draft.currency, lines=draft.lines)
    if order.terms.secret_key is None:
        raise ProviderNotConnected
    buyer_id, method_id, method, customer = await _payer(scope, actor, draft)
    row = await keep(scope, id, order, reference=draft.reference, buyer_id=buyer_id, method_id=method_id)
    intent = await intents.open_intent(
        scope,
        kind=CREATE_PAYMENT,
        subject_id=row.id,
        request={
            "amount": row.gross,
            "currency": row.currency,
            "customer_id": customer,
            "payment_method_id": method,
            "off_session": draft.off_session,
            "return_url": draft.return_url,
            "description": draft.reference or public_id("payment", row.id),
        },
    )
    return row, intent, open_provider(services, scope.platform, order.terms.secret_key)


async def _resume(services: Services, scope: WriteScope, id: PaymentId) -> tuple[Row[Any], Intent | None, Provider]:
    row = await load(scope, id, lock=True)
    found = await intents.for_subjects(scope, CREATE_PAYMENT, [id])
    return row, found[-1] if found else None, await provider_of(services, scope)


async def _charge(
    services: Services, platform: PlatformId, claim: Claim, row: Row[Any], intent: Intent, provider: Provider
) -> Checkout:
    try:
        state = await find(provider, intent) if claim.taken_over else None
        if state is None:
            state = await ask(provider, intent, row)
    except Unknown as unknown:
        async with services.db.write(platform) as scope:
            await intents.record_failure(scope, intent, unknown, jitter=random.random())
            await idempotency.release(scope, claim)
        raise
    except (Declined, Refused) as error:
        async with services.db.write(platform) as scope:
            await intents.record_refusal(scope, intent, error)
            row = await record_no(scope, await load(scope, PaymentId(row.id), lock=True), error)
            await idempotency.finish(scope, claim, {"id": public_id("payment", row.id)})
            return _answer(services, row)
    async with services.db.write(platform) as scope:
        await intents.record_success(scope, intent, state.id)
        row = await _record_first(scope, row, state, services)
        await idempotency.finish(scope, claim, {"id": public_id("payment", row.id)})
        return _answer(services, row)


async def ask(provider: Provider, intent: Intent, row: Row[Any]) -> PaymentState:
    """The provider call of a payment's intent, the same for the first attempt and every later one."""
    id = public_id("payment", row.id)
    return await provider.create_payment(
        key=intent.key,
        transfer_group=id,
        metadata={"marketbill_payment": id, INTENT_METADATA: public_id("provider intent", intent.id)},
        **intent.request,
    )


async def find(provider: Provider, intent: Intent) -> PaymentState | None:
    """What an earlier attempt of a payment's intent made at the provider. Raises Unknown."""
    found = await intents.looked_up(
        provider.find_payments(
            transfer_group=public_id("payment", intent.subject_id),
            created_from=intent.created_at - timedelta(minutes=5),
            customer_id=intent.request["customer_id"],
        )
    )
    return found[0] if found else None


async def record_no(scope: WriteScope, row: Row[Any], error: Declined | Refused) -> Row[Any]:
    """The bank declined or the provider refused; a success that an event has told meanwhile stands."""
    if row.status != PaymentStatus.CREATED:
        return row
    if isinstance(error, Declined):
        values = {
            "status": PaymentStatus.DECLINED,
            "provider_payment": error.payment_id,
            "decline": {"code": error.decline_code, "advice": error.advice, "message": error.message},
        }
    else:
        values = {
            "status": PaymentStatus.FAILED,
            "decline": {"code": error.provider_code, "advice": None, "message": error.message},
        }
    new = await scope.one(
        update(payment)
        .where(payment.c.platform_id == scope.platform, payment.c.id == row.id)
        .values(**values, updated_at=scope.now)
        .returning(payment)
    )
    return new


async def _finish(services: Services, platform: PlatformId, claim: Claim, row: Row[Any]) -> Checkout:
    async with services.db.write(platform) as scope:
        await idempotency.finish(scope, claim, {"id": public_id("payment", row.id)})
    return _answer(services, row)


async def _payer(
    scope: Scope, actor: Actor, draft: PaymentDraft
) -> tuple[UUID | None, UUID | None, str | None, str | None]:
    """Buyer id, method id, the provider's method and the provider's customer. Raises NotFound, InvalidInput."""
    buyer_id = parse_id("buyer", draft.buyer_id, path=("buyerId",)) if draft.buyer_id else actor.buyer
    if actor.buyer is not None and buyer_id != actor.buyer:
        raise NotFound("buyer", draft.buyer_id or "", path=("buyerId",))
    if draft.payment_method_id is not None:
        method_id = parse_id("payment method", draft.payment_method_id, path=("paymentMethodId",))
        method = await buyers.load_method(scope, method_id, path=("paymentMethodId",))
        if buyer_id is None:
            buyer_id = method.buyer_id
        elif method.buyer_id != buyer_id:
            raise NotFound("payment method", draft.payment_method_id, path=("paymentMethodId",))
        return buyer_id, method_id, method.provider_method, method.provider_customer
    if buyer_id is not None:
        row = await buyers.load(scope, BuyerId(buyer_id), path=("buyerId",))
        return buyer_id, None, draft.payment_method_token, row.provider_customer
    return None, None, draft.payment_method_token, None


def _answer(services: Services, row: Row[Any]) -> Checkout:
    refusal: Refusal | None = None
    if row.status == PaymentStatus.DECLINED and row.decline:
        refusal = ProviderDeclined(
            row.decline["message"], decline_code=row.decline["code"], advice=row.decline["advice"]
        )
    elif row.status == PaymentStatus.FAILED and row.decline:
        refusal = ProviderRefused(row.decline["message"], provider_code=row.decline["code"])
    secret = None
    if row.client_secret is not None:
        secret = services.vault.decrypt(row.client_secret, context=f"{row.platform_id}:payment:{row.id}")
    return Checkout(row, secret, refusal)


def _seal(services: Services, row: Row[Any], secret: str) -> str:
    return services.vault.encrypt(secret, context=f"{row.platform_id}:payment:{row.id}")


def _check(draft: PaymentDraft) -> None:
    if draft.payment_method_id is not None and draft.payment_method_token is not None:
        raise InvalidInput(
            "Give a stored payment method or a token, not both.", path=("paymentMethodToken",), constraint="one of two"
        )
    if draft.payment_method_token is not None:
        buyers.check_token(draft.payment_method_token, path=("paymentMethodToken",))
    check_usable(draft.reference, path=("reference",))
    check_usable(draft.return_url, path=("returnUrl",))
    if draft.reference is not None and not 1 <= len(draft.reference) <= 100:
        raise InvalidInput("A reference has 1 to 100 characters.", path=("reference",), constraint="1..100 characters")
    if draft.return_url is not None and (
        not draft.return_url.startswith(("http://", "https://")) or len(draft.return_url) > 2000
    ):
        raise InvalidInput("This is not a web address.", path=("returnUrl",), constraint="https://…")
    if draft.off_session and draft.payment_method_id is None and draft.payment_method_token is None:
        raise InvalidInput(
            "Off session there is nobody to choose a payment method: give one.", path=("paymentMethodId",)
        )
