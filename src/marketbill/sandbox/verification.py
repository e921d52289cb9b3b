"""What the provider asks an account for, and when it is content with the answers.

Where the platform collects requirements (``requirement_collection=application``), it says everything by the API: as
soon as nothing is missing the account is verified, and a minute later active. Elsewhere the account's owner does it on
the provider's onboarding page. Test cards bring later requirements, as they do in Stripe's test mode.
"""

from __future__ import annotations

from typing import Any

from marketbill.sandbox import accounts, capabilities, onboarding
from marketbill.sandbox.accounts import REQUIREMENTS, requirements
from marketbill.sandbox.call import Call
from marketbill.sandbox.cards import TestCard, Trigger
from marketbill.sandbox.clock import DAY
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.wire import Doc, refused

#: Seconds from the last answer until the account is verified.
VERIFICATION_SECONDS = 60
#: Days to answer what becomes due later.
LATER_DAYS = 14
_LATER = ("individual.verification.document",)


REASONS = (
    "credit", "fraud_no_intent_to_fulfill", "fraud_other", "fraud_payment_method_casher",
    "fraud_payment_method_tester", "other", "terms_of_service",
)  # fmt: skip
REJECT = f"reason!:({'|'.join(REASONS)})"


def create(call: Call) -> Doc:
    doc = accounts.create(call)
    _answered(call.desk, doc["id"], call.params)
    return doc


def update(call: Call) -> Doc:
    statuses = call.reachable_account()["capabilities"]
    doc = accounts.update(call)
    before = {name: doc[name] for name in ("capabilities", "details_submitted", "requirements")}
    _answered(call.desk, doc["id"], call.params)
    previous = {name: value for name, value in before.items() if doc[name] != value}
    if previous:
        emit(call.desk, doc["id"], "account.updated", doc, previous=previous)
    capabilities.tell(call.desk, doc, statuses)
    return doc


def reject(call: Call) -> Doc:
    """Turn an account away for a reason: nothing works any more, until the platform takes it back."""
    doc = call.store.edit(call.reachable_account()["id"])
    if doc["id"] == call.platform:
        raise refused("You cannot reject your own account.")
    before = _state(doc)
    doc["capabilities"] = dict.fromkeys(doc["capabilities"], "inactive")
    doc.update(charges_enabled=False, payouts_enabled=False)
    # The answer tells less than the reason: fraud, the terms, or something else.
    reason = call.params["reason"]
    kind = "fraud" if reason.startswith("fraud") else reason if reason == "terms_of_service" else "other"
    doc["requirements"] = requirements(disabled=f"rejected.platform_{kind}")
    _tell(call.desk, doc, before)
    return doc


def unreject(call: Call) -> Doc:
    """Take a rejected account back, to where its onboarding had left it."""
    doc = call.store.edit(call.reachable_account(call.path["id"])["id"])
    if not (doc["requirements"]["disabled_reason"] or "").startswith("rejected."):
        raise refused("This account is not rejected.")
    if doc["details_submitted"]:
        return onboarding.finish(call.desk, doc["id"], "complete")
    before = _state(doc)
    accounts.tell_requirements(doc)
    _tell(call.desk, doc, before)
    return doc


def create_login_link(call: Call) -> Doc:
    """Make the address of an account's own dashboard, for an onboarded account that has the provider's express one."""
    doc = call.reachable_account()
    if (doc["controller"].get("stripe_dashboard") or {}).get("type") != "express":
        raise refused("Cannot create a login link for an account that does not have access to the Express Dashboard.")
    if not doc["details_submitted"]:
        raise refused("Cannot create a login link for an account that has not completed onboarding.")
    url = f"{call.desk.base_url}/dashboard/accounts/{doc['id']}"
    return {"object": "login_link", "created": call.now, "url": url}


def _answered(desk: Desk, account: str, params: Doc) -> None:
    """Count what a platform said that collects the requirements itself."""
    doc = desk.store.edit(account)
    if doc["controller"].get("requirement_collection") != "application" or doc["details_submitted"]:
        return
    said = sorted({*doc.get("_said", ()), *_names(params)})
    doc["_said"] = said
    kind = doc["business_type"] if doc["business_type"] in REQUIREMENTS else None
    due = tuple(name for name in REQUIREMENTS[kind] if name not in said)
    if due:
        doc["requirements"] = requirements(due=due, past_due=due, disabled="requirements.past_due")
        return
    doc["details_submitted"] = True
    doc["requirements"] = requirements(pending=REQUIREMENTS[kind], disabled="requirements.pending_verification")
    doc["capabilities"] = dict.fromkeys(doc["capabilities"], "pending")
    desk.schedule.add(desk.clock.now() + VERIFICATION_SECONDS, "verify", account)


def _names(value: Any, path: str = "") -> list[str]:
    """Return what parameters say something about: ``individual.dob.day``; a bank account is one thing."""
    if not isinstance(value, dict) or path == "external_account":
        return [path] if value not in ("", None) else []
    return [name for key, below in value.items() for name in _names(below, f"{path}.{key}" if path else key)]


def verified(desk: Desk, account: str) -> None:
    """Due work: the provider has looked at what it was told."""
    doc = desk.store.find("account", account)
    if doc is not None and doc["_deleted"] is None:
        onboarding.finish(desk, account, "complete")


def by_card(desk: Desk, account: str, card: TestCard) -> None:
    """A charge with one of the trigger cards has succeeded for a connected account."""
    if card.trigger is None or desk.platform_of(account) == account:
        return
    doc = desk.store.edit(account)
    before = _state(doc)
    if card.trigger is Trigger.NEXT_REQUIREMENTS:
        deadline = desk.clock.now() + LATER_DAYS * DAY
        doc["requirements"] = {**requirements(due=_LATER), "current_deadline": deadline}
    else:
        doc["requirements"] = requirements(past_due=_LATER, disabled="requirements.past_due")
        doc["payouts_enabled"] = False if card.trigger is Trigger.BLOCK_PAYOUTS else doc["payouts_enabled"]
    if card.trigger is Trigger.BLOCK_CHARGES:
        doc["capabilities"] = dict.fromkeys(doc["capabilities"], "inactive")
        doc["charges_enabled"] = False
    _tell(desk, doc, before)


def _state(doc: Doc) -> Doc:
    return {name: doc[name] for name in ("capabilities", "charges_enabled", "payouts_enabled", "requirements")}


def _tell(desk: Desk, doc: Doc, before: Doc) -> None:
    """Tell the platform what of an account's state has changed."""
    capabilities.tell(desk, doc, before["capabilities"])
    previous = {name: value for name, value in before.items() if doc[name] != value}
    if previous:
        emit(desk, doc["id"], "account.updated", doc, previous=previous)
