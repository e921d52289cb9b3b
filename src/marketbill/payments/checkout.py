"""Checkout: a basket becomes a payment: the split is computed and kept, the intent committed, the buyer charged.

What the provider answers is recorded here; the books follow from its events (`settle`), so that there is one way in.
"""

import random
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from marketbill.actor import Actor
from marketbill.buyers import buyer as buyers
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound, ProviderDeclined, ProviderNotConnected, ProviderRefused, Refusal
from marketbill.idempotency import keys as idempotency
from marketbill.idempotency.keys import Claim
from marketbill.ids import BuyerId, PaymentId, PlatformId, new_id, parse_id, public_id
from marketbill.payments.charging import charge
from marketbill.payments.keeping import keep
from marketbill.payments.model import PaymentStatus
from marketbill.payments.order import Order
from marketbill.payments.planning import plan_order
from marketbill.payments.provider_taxes import Taxes, with_taxes
from marketbill.payments.recording import load, record_first, record_no
from marketbill.platforms.credentials import open_provider, provider_of
from marketbill.platforms.keys import tenant
from marketbill.provider import claim as claims
from marketbill.provider import ending
from marketbill.provider import intent as intents
from marketbill.provider import saga as sagas
from marketbill.provider.intent import Intent
from marketbill.provider.kinds import CREATE_PAYMENT
from marketbill.provider.port import Provider, Unknown
from marketbill.provider.saga import Done, Failed
from marketbill.services import Services
from marketbill.text import check_usable


@dataclass(frozen=True, slots=True)
class PaymentDraft:
    """A payment as requested, with a stored method, or a provider's token, or neither (then by the client secret).

    `off_session`: the buyer is not there to authenticate. `reference` is the platform's own order number, `ordered_at`
    when the buyer ordered, where that was before now.
    """

    order: Order
    buyer_id: str | None = None
    payment_method_id: str | None = None
    payment_method_token: str | None = None
    reference: str | None = None
    return_url: str | None = None
    off_session: bool = False
    ordered_at: datetime | None = None

    def body(self) -> dict[str, Any]:
        return {
            **self.order.body(),
            "buyer_id": self.buyer_id,
            "payment_method_id": self.payment_method_id,
            "payment_method_token": self.payment_method_token,
            "reference": self.reference,
            "return_url": self.return_url,
            "off_session": self.off_session,
            "ordered_at": self.ordered_at.isoformat() if self.ordered_at else None,
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
    begun = await with_taxes(
        services, platform, lambda taxes: _open(services, actor, platform, idempotency_key, draft, taxes)
    )
    if isinstance(begun, Checkout):
        return begun
    claim, row, intent, provider = begun
    if row.status != PaymentStatus.CREATED or intent is None:
        return await _finish(services, platform, claim, row)
    return await _charge(services, platform, claim, row, intent, provider)


async def _open(
    services: Services,
    actor: Actor,
    platform: PlatformId,
    idempotency_key: str,
    draft: PaymentDraft,
    taxes: Taxes | None,
) -> Checkout | tuple[Claim, Row[Any], Intent | None, Provider]:
    """The one transaction before the provider is asked: the claim of the key, and what was begun under it or is now."""
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
            row, intent, provider = await _begin(services, scope, actor, draft, id, taxes)
        return claim, row, intent, provider


async def _begin(
    services: Services, scope: WriteScope, actor: Actor, draft: PaymentDraft, id: PaymentId, taxes: Taxes | None
) -> tuple[Row[Any], Intent, Provider]:
    if draft.ordered_at is not None and draft.ordered_at > scope.now:
        raise InvalidInput("The order's date lies in the future.", path=("orderedAt",), constraint="<= now")
    payer = await _payer(scope, actor, draft)
    order = await plan_order(scope, replace(draft.order, method=draft.order.method or payer.kind), taxes)
    if order.terms.secret_key is None:
        raise ProviderNotConnected
    row = await keep(
        scope,
        id,
        order,
        reference=draft.reference,
        buyer_id=payer.buyer_id,
        method_id=payer.method_id,
        ordered_at=draft.ordered_at,
    )
    intent = await intents.open_intent(
        scope,
        kind=CREATE_PAYMENT,
        subject_id=row.id,
        request={
            "amount": row.gross,
            "currency": row.currency,
            "customer_id": payer.customer,
            "payment_method_id": payer.method,
            "off_session": draft.off_session,
            "return_url": draft.return_url,
            "description": draft.reference or public_id("payment", row.id),
        },
    )
    return row, intent, open_provider(services, scope.platform, order.terms.secret_key)


async def _resume(services: Services, scope: WriteScope, id: PaymentId) -> tuple[Row[Any], Intent | None, Provider]:
    row = await load(scope, id, lock=True)
    provider = await provider_of(services, scope)
    if row.status != PaymentStatus.CREATED:
        return row, None, provider
    found = await intents.for_subjects(scope, CREATE_PAYMENT, [id])
    return row, await claims.take(scope, found[-1].id), provider


async def _charge(
    services: Services, platform: PlatformId, claim: Claim, row: Row[Any], intent: Intent, provider: Provider
) -> Checkout:
    outcome = await sagas.ask(services.db, platform, provider, charge(services), intent)
    async with services.db.write(platform) as scope:
        match outcome:
            case Done(intent, made):
                await ending.record_success(scope, intent, made.id)
                row = await record_first(scope, row, made, services)
            case Failed(intent, Unknown() as unknown):
                await ending.record_failure(scope, intent, unknown, jitter=random.random())
                await idempotency.release(scope, claim)
            case Failed(intent, error):
                await ending.record_refusal(scope, intent, error)
                row = await record_no(scope, await load(scope, PaymentId(row.id), lock=True), error)
        if not isinstance(outcome, Failed) or not isinstance(outcome.error, Unknown):
            await idempotency.finish(scope, claim, {"id": public_id("payment", row.id)})
    if isinstance(outcome, Failed) and isinstance(outcome.error, Unknown):
        raise outcome.error
    return _answer(services, row)


async def _finish(services: Services, platform: PlatformId, claim: Claim, row: Row[Any]) -> Checkout:
    async with services.db.write(platform) as scope:
        await idempotency.finish(scope, claim, {"id": public_id("payment", row.id)})
    return _answer(services, row)


@dataclass(frozen=True, slots=True)
class _Payer:
    """Who pays with what: our ids, the provider's method and customer, and the method's kind where it is known."""

    buyer_id: UUID | None
    method_id: UUID | None
    method: str | None
    customer: str | None
    kind: str = ""


async def _payer(scope: Scope, actor: Actor, draft: PaymentDraft) -> _Payer:
    """Raises NotFound, InvalidInput."""
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
        return _Payer(buyer_id, method_id, method.provider_method, method.provider_customer, method.kind)
    if buyer_id is not None:
        row = await buyers.load(scope, BuyerId(buyer_id), path=("buyerId",))
        return _Payer(buyer_id, None, draft.payment_method_token, row.provider_customer)
    return _Payer(None, None, draft.payment_method_token, None)


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
