"""Account links and what completing them does to an account."""

from __future__ import annotations

from dataclasses import dataclass

from marketbill.sandbox import banks
from marketbill.sandbox.accounts import requirements
from marketbill.sandbox.application_fees import application_of
from marketbill.sandbox.call import Call
from marketbill.sandbox.capabilities import capability
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import missing_parameter
from marketbill.sandbox.wire import ApiError, Doc, invalid, new_secret

#: How long an account link works, in seconds. It works once.
LINK_SECONDS = 300

#: Capabilities of which neither works while the other is inactive, where an account has both.
TOGETHER = ("card_payments", "transfers")

OUTCOMES = ("complete", "restricted", "payouts_blocked")


@dataclass(frozen=True, slots=True)
class Link:
    """An account link as its page needs it."""

    token: str
    account: str
    expires_at: int
    used: bool
    refresh_url: str
    return_url: str


def make_link(desk: Desk, account: str, *, refresh_url: str, return_url: str) -> tuple[str, int, int]:
    """Make a single-use link; return its URL, its creation and its expiry in seconds."""
    token = new_secret("")
    now = desk.clock.now()
    desk.store.insert(
        "account_link",
        account,
        {
            "id": token,
            "created": now,
            "account": account,
            "expires_at": now + LINK_SECONDS,
            "used": False,
            "refresh_url": refresh_url,
            "return_url": return_url,
        },
    )
    return f"{desk.base_url}/_sandbox/onboard/{token}", now, now + LINK_SECONDS


def create_link(call: Call) -> Doc:
    params = call.params
    doc = call.reachable_account(params["account"])
    for name in ("refresh_url", "return_url"):
        if not params.get(name):
            raise missing_parameter(name)
        check_url(params[name], param=name)
    if params["type"] == "account_update" and doc["controller"].get("requirement_collection") != "application":
        raise invalid(
            "You cannot create `account_update` type Account Links for this account. You can only create Account Links "
            "of this type for accounts where your platform is responsible for collecting requirements.",
            param="type",
        )
    url, created, expires_at = make_link(
        call.desk, doc["id"], refresh_url=params["refresh_url"], return_url=params["return_url"]
    )
    return {"object": "account_link", "created": created, "expires_at": expires_at, "url": url}


def check_url(given: str, *, param: str) -> None:
    if not given.startswith(("http://", "https://")) or len(given) > 2048:
        raise invalid("Not a valid URL", code="url_invalid", param=param)


def find_link(desk: Desk, token: str) -> Link | None:
    doc = desk.store.find("account_link", token)
    if doc is None:
        return None
    return Link(token, doc["account"], doc["expires_at"], doc["used"], doc["refresh_url"], doc["return_url"])


def use_link(desk: Desk, token: str) -> None:
    desk.store.edit(token)["used"] = True


def finish(desk: Desk, account: str, outcome: str) -> Doc:
    """Bring an account to where onboarding leaves it and tell the platform.

    ``complete``: every requested capability active, payouts possible, a test bank account added. ``restricted``: the
    details came but a document is past due, nothing is active. ``payouts_blocked``: capabilities active, yet no payout
    until a bank account is given.

    :raises ApiError: an unknown outcome or account.
    """
    if outcome not in OUTCOMES:
        raise invalid(f"Invalid outcome: must be one of {', '.join(OUTCOMES)}", param="outcome")
    found = desk.store.find("account", account)
    if found is None or found["_deleted"] is not None:
        raise ApiError(404, f"No such account: '{account}'", code="resource_missing", param="account")
    doc = desk.store.edit(account)
    before = {
        name: doc[name]
        for name in ("capabilities", "charges_enabled", "payouts_enabled", "details_submitted", "requirements")
    }
    doc["details_submitted"] = True
    accepted = {"date": desk.clock.now(), "ip": "127.0.0.1", "user_agent": "sandbox"}
    doc["tos_acceptance"] = {**doc["tos_acceptance"], **accepted}
    if not doc["_requested"]:
        doc["_requested"] = {"transfers": desk.clock.now()}
        doc["capabilities"] = {"transfers": "inactive"}
    active = outcome != "restricted"
    doc["capabilities"] = dict.fromkeys(doc["capabilities"], "active" if active else "inactive")
    doc["charges_enabled"] = doc["capabilities"].get("card_payments") == "active"
    doc["payouts_enabled"] = outcome == "complete"
    if outcome == "complete":
        doc["requirements"] = requirements()
        if not doc["external_accounts"]["data"]:
            banks.add_default(desk, account)
            # The sandbox's own bank takes any currency; who wants exchange brings a bank account before.
            doc["_any_currency"] = True
    elif outcome == "restricted":
        past_due = ("individual.verification.document",)
        doc["requirements"] = requirements(past_due=past_due, disabled="requirements.past_due")
    else:
        doc["requirements"] = requirements(past_due=("external_account",), disabled="requirements.past_due")
    for name, status in doc["capabilities"].items():
        if before["capabilities"].get(name) != status:
            previous = {"status": before["capabilities"].get(name, "unrequested")}
            emit(desk, account, "capability.updated", capability(desk, doc, name), previous=previous)
    previous = {name: value for name, value in before.items() if doc[name] != value}
    emit(desk, account, "account.updated", doc, previous=previous)
    return doc


def deauthorize(desk: Desk, account: str) -> Doc:
    """Let an account's owner cut the platform's access: it learns of it by an event, and cannot reach it any more."""
    application = application_of(desk, account)
    doc = desk.store.edit(account)
    emit(
        desk,
        account,
        "account.application.deauthorized",
        {"id": application, "object": "application", "name": "Sandbox platform"},
    )
    doc["_deleted"] = "deauthorized"
    return doc


def set_capability(desk: Desk, account: str, name: str, status: str) -> Doc:
    """Put one capability of an account into a status, for stories about accounts that lose theirs.

    Where an account has both of :data:`TOGETHER`, one that is inactive disables the other, and both come back together.
    """
    doc = desk.store.edit(account)
    before = doc["capabilities"]
    doc["_requested"] = {**doc["_requested"], name: doc["_requested"].get(name) or desk.clock.now()}
    names = [name]
    if name in TOGETHER and status != "pending":
        names += [other for other in TOGETHER if other != name and other in before]
    doc["capabilities"] = {**before, **dict.fromkeys(names, status)}
    doc["charges_enabled"] = doc["capabilities"].get("card_payments") == "active"
    changed = {one: before.get(one, "unrequested") for one in names if before.get(one) != status}
    for one, status_before in changed.items():
        emit(desk, account, "capability.updated", capability(desk, doc, one), previous={"status": status_before})
    if changed:
        emit(desk, account, "account.updated", doc, previous={"capabilities": changed})
    return doc
