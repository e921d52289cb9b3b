"""Setup intents: a card is checked and saved for later, no money moves."""

from __future__ import annotations

from marketbill.sandbox import payment_methods
from marketbill.sandbox.application_fees import application_of
from marketbill.sandbox.call import Call
from marketbill.sandbox.cards import Challenge, Decline, TestCard, card_of
from marketbill.sandbox.confirmation import way_back
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.payment_intents import check_owner, check_secret, check_types, known_customer
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import ApiError, Doc, doc_url, invalid, missing, new_id, new_secret, refused

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")

_METHODS = """
    allowed_payment_method_types:[s] excluded_payment_method_types:[s] flow_directions:later payment_method
    payment_method_data:later
    payment_method_options:{card:{
        mandate_options:later moto:later
        network:(amex|cartes_bancaires|diners|discover|eftpos_au|girocard|interac|jcb|link|mastercard|unionpay|unknown|visa)
        request_three_d_secure:(any|automatic|challenge) setup_credential_usage:later three_d_secure:later
    }}
"""
_MANDATE = "{customer_acceptance:{accepted_at:i offline:any online:{ip_address user_agent} type:(offline|online)}}"
_ATTEMPT = f"confirmation_token:later mandate_data:{_MANDATE} return_url use_stripe_sdk:b"
_OWNER = (
    "attach_to_self:later customer customer_account:later description payment_method_configuration:later metadata:m"
)

CREATE = f"""
    {_METHODS} {_OWNER} {_ATTEMPT} automatic_payment_methods:{{allow_redirects:(always|never) enabled!:b}} confirm:b
    on_behalf_of single_use:later usage:(off_session|on_session)
"""
UPDATE = f"{_METHODS} {_OWNER}"
CONFIRM = f"{_METHODS.replace('flow_directions:later', '')} {_ATTEMPT}"
CANCEL = "cancellation_reason:(abandoned|duplicate|requested_by_customer)"
LIST = "$page created:range attach_to_self:later customer customer_account:later payment_method"


def create(call: Call) -> Doc:
    """Create an intent and, with ``confirm=true``, confirm it in the same transaction."""
    params = call.params
    check_types(params)
    for name in ("return_url", "mandate_data"):
        if params.get(name) and not params.get("confirm"):
            raise invalid(f"You cannot provide `{name}` when `confirm` is not set to true.", param=name)
    customer = known_customer(call, params.get("customer"))
    merchant = params.get("on_behalf_of") or None
    if merchant is not None and call.store.find("account", merchant, call.platform) is None:
        raise missing("account", merchant, param="on_behalf_of", status=400)
    method = _method(call, params, customer)
    types = params.get("allowed_payment_method_types") or None
    automatic = params.get("automatic_payment_methods") or ({"enabled": True} if types is None else None)
    identifier = new_id("seti_1")
    doc = call.store.insert(
        "setup_intent",
        call.account,
        {
            "id": identifier,
            "object": "setup_intent",
            "allowed_payment_method_types": types,
            "application": application_of(call.desk, call.account) if call.account != call.platform else None,
            "automatic_payment_methods": {"allow_redirects": "always", **automatic} if automatic else None,
            "cancellation_reason": None,
            "client_secret": new_secret(identifier + "_secret_"),
            "created": call.now,
            "customer": customer,
            "customer_account": None,
            "description": params.get("description") or None,
            "excluded_payment_method_types": params.get("excluded_payment_method_types") or None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "managed_payments": None,
            "mandate": None,
            "metadata": merged_metadata({}, params.get("metadata") or {}),
            "next_action": None,
            "on_behalf_of": merchant,
            "payment_method": method["id"] if method else None,
            "payment_method_configuration_details": None,
            "payment_method_options": _options(params),
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_confirmation" if method else "requires_payment_method",
            "usage": params.get("usage", "off_session"),
        },
    )
    emit(call.desk, call.account, "setup_intent.created", doc)
    return _attempt(call, doc) if params.get("confirm") else doc


def _method(call: Call, params: Doc, customer: str | None) -> Doc | None:
    if not params.get("payment_method"):
        return None
    method = payment_methods.resolve(call, params["payment_method"])
    check_owner(method, customer, intent="SetupIntent")
    return method


def _options(params: Doc) -> Doc:
    given = (params.get("payment_method_options") or {}).get("card") or {}
    return {
        "card": {
            "mandate_options": None,
            "network": given.get("network"),
            "request_three_d_secure": given.get("request_three_d_secure", "automatic"),
        }
    }


def _named(call: Call) -> Doc:
    return call.named("setup_intent", id_in="intent", param="intent", name="setupintent")


def _unexpected_state(doc: Doc, message: str) -> ApiError:
    return ApiError(
        400, message, code="setup_intent_unexpected_state", executed=True, extra={"setup_intent": dict(doc)}
    )


def _check_open(doc: Doc, verb: str, participle: str) -> None:
    if doc["status"] not in OPEN:
        raise _unexpected_state(
            doc,
            f"You cannot {verb} this SetupIntent because it has a status of {doc['status']}. Only a SetupIntent with "
            f"one of the following statuses may be {participle}: {', '.join(OPEN)}.",
        )


def retrieve(call: Call) -> Doc:
    doc = _named(call)
    check_secret(call, doc, intent="SetupIntent")
    return doc


def update(call: Call) -> Doc:
    doc = _named(call)
    _apply(call, doc)
    return call.store.get("setup_intent", doc["id"])


def _apply(call: Call, doc: Doc) -> None:
    """Apply the parameters of an update or confirmation to an intent."""
    params = call.params
    check_types(params)
    for name in params:
        if name not in ("description", "metadata") and doc["status"] not in OPEN:
            raise _unexpected_state(
                doc,
                f"This SetupIntent's {name} could not be updated because it has a status of {doc['status']}. You may "
                f"only update the {name} of a SetupIntent with one of the following statuses: {', '.join(OPEN)}.",
            )
    changes: Doc = {}
    if "customer" in params:
        changes["customer"] = known_customer(call, params["customer"])
    if "description" in params:
        changes["description"] = params["description"] or None
    if "metadata" in params:
        changes["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    for name in ("allowed_payment_method_types", "excluded_payment_method_types"):
        if name in params:
            changes[name] = params[name] or None
    if params.get("allowed_payment_method_types"):
        changes["automatic_payment_methods"] = None
    if "payment_method_options" in params:
        changes["payment_method_options"] = _options(params)
    method = _method(call, params, changes.get("customer", doc["customer"]))
    if method is not None:
        changes.update(payment_method=method["id"], status="requires_confirmation", next_action=None)
    if changes:
        call.store.edit(doc["id"]).update(changes)


def confirm(call: Call) -> Doc:
    doc = _named(call)
    _check_open(doc, "confirm", "confirmed")
    _apply(call, doc)
    return _attempt(call, call.store.get("setup_intent", doc["id"]))


def _attempt(call: Call, doc: Doc) -> Doc:
    """Have the issuer check the card.

    :raises ApiError: 402 when it refuses; the intent's new status stays.
    """
    if doc["payment_method"] is None:
        raise refused(
            "You cannot confirm this SetupIntent because it's missing a payment method. Update the SetupIntent with a "
            "payment method and then confirm it again, or confirm it again directly with a payment method.",
            code="setup_intent_unexpected_state",
        )
    desk, account = call.desk, call.account
    method = call.store.get("payment_method", doc["payment_method"])
    card = card_of(method)
    doc = call.store.edit(doc["id"])
    doc["latest_attempt"] = new_id("setatt_1")
    asked = doc["payment_method_options"]["card"]["request_three_d_secure"] in ("any", "challenge")
    if asked or card.challenge in (Challenge.ALWAYS, Challenge.UNTIL_SAVED):
        doc.update(status="requires_action", next_action=_action(desk, doc, call.params.get("return_url")))
        emit(desk, account, "setup_intent.requires_action", doc)
        return doc
    decline = _decline(card)
    if decline is None:
        return _succeeded(desk, account, doc, method)
    problem = decline.problem(method)
    _failed(desk, account, doc, problem)
    raise decline.error(problem, doc)


def _decline(card: TestCard) -> Decline | None:
    """Return why an issuer refuses to have a card saved; some refuse only what is charged later."""
    return None if card.attaches else card.decline


def _action(desk: Desk, doc: Doc, return_url: str | None) -> Doc:
    secret = doc["client_secret"].rsplit("_", 1)[1]
    url = f"{desk.base_url}/_sandbox/authenticate/{doc['id']}?secret={secret}"
    if return_url:
        return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"three_d_secure_redirect": {"url": url}}}


def _succeeded(desk: Desk, account: str, doc: Doc, method: Doc) -> Doc:
    if doc["customer"] is not None and method["customer"] is None:
        payment_methods.attach_to(desk, account, method, doc["customer"])
    doc.update(status="succeeded", next_action=None, last_setup_error=None)
    emit(desk, account, "setup_intent.succeeded", doc)
    return doc


def _failed(desk: Desk, account: str, doc: Doc, problem: Doc) -> None:
    doc.update(status="requires_payment_method", payment_method=None, next_action=None, last_setup_error=problem)
    emit(desk, account, "setup_intent.setup_failed", doc)


def authenticate(desk: Desk, identifier: str, *, approve: bool) -> tuple[Doc, str | None]:
    """The card holder approves or fails the challenge; return the intent and where the browser goes next.

    :raises ApiError: the intent does not wait for this.
    """
    account = desk.store.owner_of_named("setup_intent", identifier, param="intent", name="setupintent")
    doc = desk.store.edit(identifier)
    if doc["status"] != "requires_action":
        raise _unexpected_state(doc, f"This card is not waiting for authentication: its status is {doc['status']}.")
    back = (doc["next_action"].get("redirect_to_url") or {}).get("return_url")
    method = desk.store.get("payment_method", doc["payment_method"])
    if approve:
        doc = _succeeded(desk, account, doc, method)
    else:
        code = "setup_intent_authentication_failure"
        words = (
            "The latest attempt to set up the payment method has failed because authentication failed. You can provide "
            "a new PaymentMethod to attempt to fulfill this SetupIntent again."
        )
        problem = {"code": code, "doc_url": doc_url(code), "message": words, "payment_method": dict(method)}
        _failed(desk, account, doc, {**problem, "type": "invalid_request_error"})
    return doc, way_back(back, doc)


def cancel(call: Call) -> Doc:
    doc = _named(call)
    _check_open(doc, "cancel", "canceled")
    doc = call.store.edit(doc["id"])
    doc.update(status="canceled", cancellation_reason=call.params.get("cancellation_reason") or None, next_action=None)
    emit(call.desk, call.account, "setup_intent.canceled", doc)
    return doc


def listing(call: Call) -> Doc:
    return page(call, "setup_intent", url="/v1/setup_intents", by=("customer", "payment_method"), name="setupintent")
