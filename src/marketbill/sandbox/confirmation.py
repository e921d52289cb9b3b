"""What happens when a payment intent is confirmed: authentication, the issuer's answer, the charge, the capture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from marketbill.sandbox import charges, disputes, payment_methods, verification
from marketbill.sandbox.call import Call
from marketbill.sandbox.cards import AUTHENTICATION_REQUIRED, Challenge, Decline, TestCard, card_of
from marketbill.sandbox.clock import DAY
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.wire import ApiError, Doc, doc_url, refused

FAILED_AUTHENTICATION = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod "
    "to attempt to fulfill this PaymentIntent again."
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a confirmation is to be attempted."""

    off_session: bool = False
    return_url: str | None = None
    error_on_requires_action: bool = False

    @staticmethod
    def of(params: Doc) -> Terms:
        return Terms(
            off_session=params.get("off_session") or False,
            return_url=params.get("return_url") or None,
            error_on_requires_action=params.get("error_on_requires_action", False),
        )


def unexpected_state(doc: Doc, message: str) -> ApiError:
    """The intent's status does not allow this; the error carries the intent."""
    return ApiError(
        400, message, code="payment_intent_unexpected_state", executed=True, extra={"payment_intent": dict(doc)}
    )


def attempt(call: Call, doc: Doc, terms: Terms) -> Doc:
    """Try to take the money of an intent.

    :raises ApiError: 402 when the issuer refuses; the failed charge and the intent's new status stay.
    """
    if doc["payment_method"] is None:
        raise refused(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
        )
    desk, account = call.desk, call.account
    method = call.store.get("payment_method", doc["payment_method"])
    card = card_of(method)
    authenticated = _authenticated(desk, doc)
    if not authenticated and _must_authenticate(card, method, doc, terms):
        if terms.off_session or terms.error_on_requires_action:
            return _declined(desk, account, doc, method, AUTHENTICATION_REQUIRED, authenticated=False)
        return _ask(desk, account, doc, terms)
    if card.decline is not None:
        return _declined(desk, account, doc, method, card.decline, authenticated=authenticated)
    return _authorized(desk, account, doc, method, authenticated=authenticated)


def _must_authenticate(card: TestCard, method: Doc, doc: Doc, terms: Terms) -> bool:
    asked = doc["payment_method_options"]["card"]["request_three_d_secure"] in ("any", "challenge")
    if terms.off_session:
        if card.challenge is Challenge.UNTIL_SAVED:
            return method["customer"] is None
        return card.challenge is Challenge.ALWAYS
    return asked or card.challenge is not Challenge.NEVER


def _authenticated(desk: Desk, doc: Doc) -> bool:
    """Tell whether the holder approved this intent with this payment method."""
    return desk.store.meta(f"authenticated {doc['id']}") == doc["payment_method"]


def _ask(desk: Desk, account: str, doc: Doc, terms: Terms) -> Doc:
    doc = desk.store.edit(doc["id"])
    secret = doc["client_secret"].rsplit("_", 1)[1]
    url = f"{desk.base_url}/_sandbox/authenticate/{doc['id']}?secret={secret}"
    action: Doc = {"type": "use_stripe_sdk", "use_stripe_sdk": {"three_d_secure_redirect": {"url": url}}}
    if terms.return_url:
        action = {"type": "redirect_to_url", "redirect_to_url": {"return_url": terms.return_url, "url": url}}
    doc.update(status="requires_action", next_action=action)
    emit(desk, account, "payment_intent.requires_action", doc)
    return doc


def _declined(
    desk: Desk, account: str, doc: Doc, method: Doc, decline: Decline, *, authenticated: bool, keep: bool = True
) -> Doc:
    """Write the failed charge and put the intent back to where it needs another payment method."""
    charge = charges.for_intent(
        desk, account, doc, method, decline=decline, captured=False, authenticated=authenticated
    )
    problem = decline.problem(method, charge=charge["id"])
    doc = desk.store.edit(doc["id"])
    doc.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        latest_charge=charge["id"],
        last_payment_error=problem,
    )
    emit(desk, account, "charge.failed", charge)
    emit(desk, account, "payment_intent.payment_failed", doc)
    if not keep:
        return doc
    raise decline.error(problem, doc)


def _authorized(desk: Desk, account: str, doc: Doc, method: Doc, *, authenticated: bool) -> Doc:
    """The issuer said yes: charge now, or hold the money until it is captured."""
    manual = doc["capture_method"] == "manual"
    if doc["setup_future_usage"] and doc["customer"] and method["customer"] is None:
        method = payment_methods.attach_to(desk, account, method, doc["customer"])
    charge = charges.for_intent(
        desk, account, doc, method, decline=None, captured=not manual, authenticated=authenticated
    )
    doc = desk.store.edit(doc["id"])
    doc.update(latest_charge=charge["id"], last_payment_error=None, next_action=None, payment_method=method["id"])
    if manual:
        doc.update(status="requires_capture", amount_capturable=doc["amount"])
        desk.schedule.add(desk.clock.now() + charges.AUTHORIZATION_DAYS * DAY, "authorization", doc["id"])
        emit(desk, account, "charge.succeeded", charge)
        emit(desk, account, "payment_intent.amount_capturable_updated", doc)
        return doc
    doc.update(status="succeeded", amount_received=doc["amount"])
    if doc["capture_method"] == "automatic_async":
        desk.schedule.add(desk.clock.now(), "settle", charge["id"])
    else:
        charges.settle(desk, charge["id"])
    emit(desk, account, "charge.succeeded", charge)
    emit(desk, account, "payment_intent.succeeded", doc)
    disputes.by_card(desk, account, charge, card_of(method))
    verification.by_card(desk, _merchant(account, doc), card_of(method))
    return doc


def _merchant(account: str, doc: Doc) -> str:
    """Return the account that a payment is for: the seller of a direct or destination charge."""
    return (doc["transfer_data"] or {}).get("destination") or doc["on_behalf_of"] or account


def capture(desk: Desk, account: str, doc: Doc, amount: int) -> Doc:
    """Take a part of what was authorized; the rest is given back."""
    charge = desk.store.edit(doc["latest_charge"])
    charge.update(captured=True, amount_captured=amount, application_fee_amount=doc["application_fee_amount"])
    if doc["transfer_data"] is not None:
        charge["transfer_data"] = {**charge["transfer_data"], "amount": doc["transfer_data"].get("amount")}
    if amount < charge["amount"]:
        charge["amount_refunded"] = charge["amount"] - amount
    desk.schedule.drop("authorization", doc["id"])
    charges.settle(desk, charge["id"])
    doc = desk.store.edit(doc["id"])
    doc.update(status="succeeded", amount_received=amount, amount_capturable=0)
    emit(desk, account, "charge.captured", charge)
    emit(desk, account, "payment_intent.succeeded", doc)
    card = card_of(desk.store.get("payment_method", charge["payment_method"]))
    disputes.by_card(desk, account, charge, card)
    verification.by_card(desk, _merchant(account, doc), card)
    return doc


def authenticate(desk: Desk, intent_id: str, *, approve: bool) -> tuple[Doc, str | None]:
    """The card holder approves or fails the challenge; return the intent and where the browser goes next.

    :raises ApiError: the intent does not wait for this.
    """
    account = desk.store.owner_of_named("payment_intent", intent_id, param="intent")
    doc = desk.store.edit(intent_id)
    if doc["status"] != "requires_action":
        raise unexpected_state(doc, f"This payment is not waiting for authentication: its status is {doc['status']}.")
    return_url = ((doc["next_action"] or {}).get("redirect_to_url") or {}).get("return_url")
    method = desk.store.get("payment_method", doc["payment_method"])
    card = card_of(method)
    if not approve:
        doc.update(
            status="requires_payment_method",
            payment_method=None,
            next_action=None,
            last_payment_error=_failed_authentication(method),
        )
        emit(desk, account, "payment_intent.payment_failed", doc)
    elif doc["confirmation_method"] == "manual":
        desk.store.set_meta(f"authenticated {intent_id}", method["id"])
        doc.update(status="requires_confirmation", next_action=None)
    elif card.decline is not None:
        doc = _declined(desk, account, doc, method, card.decline, authenticated=True, keep=False)
    else:
        doc = _authorized(desk, account, doc, method, authenticated=True)
    return doc, way_back(return_url, doc)


def _failed_authentication(method: Doc) -> Doc:
    code = "payment_intent_authentication_failure"
    return {
        "code": code,
        "doc_url": doc_url(code),
        "message": FAILED_AUTHENTICATION,
        "payment_method": dict(method),
        "type": "invalid_request_error",
    }


def way_back(return_url: str | None, doc: Doc) -> str | None:
    """Return where the browser of a card holder goes, which tells what became of the intent."""
    if return_url is None:
        return None
    status = "failed" if doc["status"] == "requires_payment_method" else "succeeded"
    query: dict[str, Any] = {
        doc["object"]: doc["id"],
        f"{doc['object']}_client_secret": doc["client_secret"],
        "redirect_status": status,
    }
    return return_url + ("&" if "?" in return_url else "?") + urlencode(query)
