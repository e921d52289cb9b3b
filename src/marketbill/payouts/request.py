"""Payouts on request: a seller, or the platform for him, asks for his money now, or for one that came back again."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, select

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import InsufficientFunds, InvalidInput, NotFound, PreviewStale, SellerNotAllowed, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PayoutId, SellerId, parse_id, public_id
from marketbill.ledger import journal
from marketbill.ledger.journal import GuardBroken
from marketbill.money import bounded, decimal_text, exponent
from marketbill.payments import holds
from marketbill.payouts import booking, instant, lines, payees, schedule
from marketbill.payouts.instant import Preview, Price
from marketbill.payouts.lines import Purse
from marketbill.payouts.model import PayoutMethod, Rail, payout
from marketbill.payouts.opening import Opening, open_payouts
from marketbill.payouts.payout import RETURNED, load
from marketbill.platforms.keys import tenant
from marketbill.provider.stripe.units import payable_part, to_stripe_payout
from marketbill.sellers import seller as sellers
from marketbill.services import Services


@dataclass(frozen=True, slots=True)
class PayoutDraft:
    """A payout as requested; without `amount` (minor units) everything that is available is paid out. `token` is that
    of a preview, which an instant one needs."""

    seller_id: str
    currency: str
    amount: int | None = None
    method: PayoutMethod = PayoutMethod.STANDARD
    token: str | None = None


async def preview(services: Services, actor: Actor, draft: PayoutDraft) -> Preview:
    """What a payout would be now, with what it costs; its token makes it binding. Raises as `create` does."""
    seller_id = check(actor, draft)
    async with services.db.read(tenant(actor)) as scope:
        seller = await sellers.load(scope, seller_id, path=("sellerId",))
        return await _priced(services, scope, actor, seller, draft)


async def create(services: Services, actor: Actor, *, idempotency_key: str, draft: PayoutDraft) -> Row[Any]:
    """Claims the money and its lines (J7) and leaves the call to the worker, or the order to the next bank file.

    Raises NotFound, InvalidInput (also below the minimum of the seller's schedule), SellerNotAllowed (gate PAYOUT),
    InsufficientFunds, PreviewStale when it would not be what the token stands for.
    """
    platform = tenant(actor)
    seller_id = check(actor, draft)
    body = {"seller_id": draft.seller_id, "currency": draft.currency, "amount": draft.amount}
    if draft.method is not PayoutMethod.STANDARD or draft.token is not None:
        body |= {"method": draft.method, "token": draft.token}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="payoutCreate", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await load(scope, PayoutId(parse_id("payout", claim.replay["id"])))
        seller = await sellers.load(scope, seller_id, path=("sellerId",), lock=True)
        priced = await _priced(services, scope, actor, seller, draft)
        if draft.token is None and draft.method is PayoutMethod.INSTANT:
            raise InvalidInput(
                "An instant payout costs a fee: preview it first, and give its token.",
                path=("token",),
                constraint="a token of payoutPreview",
            )
        if draft.token is not None and draft.token != priced.token:
            raise PreviewStale
        [row] = await open_payouts(scope, [priced.opening])
        await idempotency.finish(scope, claim, {"id": public_id("payout", row.id)})
        await _post(scope, row)
        return row


async def retry(services: Services, actor: Actor, *, idempotency_key: str, id: str) -> Row[Any]:
    """Pays the lines of a payout that came back once more, as a payout of its own: for when the seller's bank account
    was put right.

    Raises NotFound, StateConflict when it did not come back, or its lines went into another payout since,
    SellerNotAllowed, InsufficientFunds.
    """
    platform = tenant(actor)
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="payoutRetry", key=idempotency_key, body={"id": id}
        )
        if claim.replay is not None:
            return await load(scope, PayoutId(parse_id("payout", claim.replay["id"])))
        old = await load(scope, PayoutId(parse_id("payout", id, path=("id",))), path=("id",))
        if actor.seller is not None and actor.seller != old.seller_id:
            raise NotFound("payout", id, path=("id",))
        seller = await sellers.load(scope, SellerId(old.seller_id), lock=True)
        await _check_returned(scope, old)
        held = await lines.again(scope, old.id)
        if held is None:
            raise StateConflict(
                "What this payout had went into another one since: ask for a new one with payoutCreate.",
                current_state=old.status,
                path=("id",),
            )
        rail = Rail(old.rail)
        await holds.gate_to_pay_out(scope, seller.id, path=("id",))
        if rail is Rail.PROVIDER:
            check_gate(seller)
        await payees.check(scope, seller, rail)
        again = Opening(
            seller.id, old.currency, old.amount, held, account=seller.provider_account, rail=rail, retry_of=old.id
        )
        [row] = await open_payouts(scope, [again])
        await idempotency.finish(scope, claim, {"id": public_id("payout", row.id)})
        await _post(scope, row)
        return row


def check(actor: Actor, draft: PayoutDraft) -> SellerId:
    """What can be said of a draft without the database. Raises InvalidInput, UnknownCurrency, NotFound."""
    exponent(draft.currency, path=("currency",))
    if draft.amount is not None:
        bounded(draft.amount, path=("amount",))
        if draft.amount <= 0:
            raise InvalidInput("The amount must be more than zero.", path=("amount",), constraint="> 0")
    seller_id = SellerId(parse_id("seller", draft.seller_id, path=("sellerId",)))
    if actor.seller is not None and actor.seller != seller_id:
        raise NotFound("seller", draft.seller_id, path=("sellerId",))
    return seller_id


async def opening(scope: Scope, seller: Row[Any], draft: PayoutDraft) -> Opening:
    """The payout that a draft asks for, with its lines: by the rail that the seller is paid by, or by the other where
    that holds nothing. Raises SellerNotAllowed, InsufficientFunds, InvalidInput."""
    purses = await lines.open_items(scope, [seller.id])
    rail = await payees.rail(scope, seller.id)
    if rail is Rail.BANK and Purse(seller.id, draft.currency, rail) not in purses:
        rail = Rail.PROVIDER
    await holds.gate_to_pay_out(scope, seller.id, path=("sellerId",))
    if rail is Rail.PROVIDER:
        check_gate(seller)
    await payees.check(scope, seller, rail)
    items = purses.get(Purse(seller.id, draft.currency, rail), [])
    available = max(lines.total(items), 0)
    amount = draft.amount or payable_part(available, draft.currency)
    if amount <= 0:
        raise InsufficientFunds(
            "There is nothing to pay out in this currency.",
            available_minor=0,
            currency=draft.currency,
            path=("amount",),
        )
    to_stripe_payout(amount, draft.currency)
    taken = lines.allot(items, amount) if amount <= available else None
    if taken is None:
        raise _insufficient(available, draft.currency)
    await _check_minimum(scope, seller, draft.currency, amount)
    return Opening(
        seller.id, draft.currency, amount, taken, account=seller.provider_account, rail=rail, available=available
    )


def check_gate(seller: Row[Any]) -> None:
    """Raises SellerNotAllowed when the provider does not pay out to this seller."""
    if seller.provider_account is None or not seller.payouts_enabled:
        raise SellerNotAllowed(
            f"{seller.name} cannot be paid out yet: the provider still needs something from him.",
            seller_id=public_id("seller", seller.id),
            gate="PAYOUT",
            path=("sellerId",),
        )


async def _priced(services: Services, scope: Scope, actor: Actor, seller: Row[Any], draft: PayoutDraft) -> Preview:
    wanted = replace(await opening(scope, seller, draft), method=draft.method)
    instant.check_rail(wanted)
    cost = Price(0, 0, "")
    if draft.method is PayoutMethod.INSTANT:
        cost = await instant.price(scope, seller, wanted.amount, wanted.currency)
    wanted = replace(wanted, fee=cost.total, fee_tax=cost.tax, fee_country=cost.country)
    return Preview(wanted, cost, instant.token(services, actor, wanted, cost))


async def _check_minimum(scope: Scope, seller: Row[Any], currency: str, amount: int) -> None:
    least = (await schedule.terms_of(scope, seller.id)).minimum.get(currency, 0)
    if amount < least:
        shown = f"{decimal_text(least, currency)} {currency}"
        raise InvalidInput(
            f"A payout is of at least {shown}; what is below it waits until it is more.",
            path=("amount",),
            constraint=f">= {shown}",
        )


async def _check_returned(scope: Scope, old: Row[Any]) -> None:
    if old.status not in RETURNED:
        raise StateConflict("This payout did not come back.", current_state=old.status, path=("id",))
    statement = select(payout.c.id).where(payout.c.platform_id == scope.platform, payout.c.retry_of == old.id)
    other = await scope.first(statement)
    if other is not None:
        raise StateConflict(
            f"This payout was tried again already, as {public_id('payout', other.id)}.",
            current_state=old.status,
            path=("id",),
        )


async def _post(scope: WriteScope, row: Row[Any]) -> None:
    try:
        await journal.post_all(scope, [booking.created(row, scope)])
    except GuardBroken as broken:
        raise _insufficient(0, row.currency) from broken


def _insufficient(available: int, currency: str) -> InsufficientFunds:
    return InsufficientFunds(
        f"Only {decimal_text(available, currency)} {currency} is available.",
        available_minor=available,
        currency=currency,
        path=("amount",),
    )
