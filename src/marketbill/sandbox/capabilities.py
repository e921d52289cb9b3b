"""Capabilities of an account, each an object of its own."""

from __future__ import annotations

from marketbill.sandbox.accounts import request, requirements
from marketbill.sandbox.call import Call
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameter_tables import CAPABILITY_NAMES
from marketbill.sandbox.wire import Doc, missing


def capability(desk: Desk, doc: Doc, name: str) -> Doc:
    """Return one capability of an account as an object of its own."""
    status = doc["capabilities"].get(name, "unrequested")
    held_back = requirements()
    if status != "active":
        # A capability has reasons of its own for being held back.
        held_back = {**doc["requirements"], "disabled_reason": "requirements.fields_needed"}
    return {
        "id": name,
        "object": "capability",
        "account": doc["id"],
        "future_requirements": requirements(),
        "requested": name in doc["_requested"],
        "requested_at": doc["_requested"].get(name),
        "requirements": held_back,
        "status": status,
    }


def listing(call: Call) -> Doc:
    doc = call.reachable_account()
    return {
        "object": "list",
        "url": f"/v1/accounts/{doc['id']}/capabilities",
        "has_more": False,
        "data": [capability(call.desk, doc, name) for name in sorted(doc["capabilities"])],
    }


def _named(call: Call) -> str:
    name = call.path["capability"]
    if name not in CAPABILITY_NAMES:
        raise missing("capability", name)
    return name


def retrieve(call: Call) -> Doc:
    doc = call.reachable_account()
    return capability(call.desk, doc, _named(call))


def update(call: Call) -> Doc:
    doc = call.store.edit(call.reachable_account()["id"])
    name = _named(call)
    before = doc["capabilities"]
    request(call.desk, doc, {name: {"requested": call.params.get("requested")}})
    tell(call.desk, doc, before)
    if doc["capabilities"] != before:
        emit(call.desk, doc["id"], "account.updated", doc, previous={"capabilities": before})
    return capability(call.desk, doc, name)


def tell(desk: Desk, doc: Doc, before: dict[str, str]) -> None:
    """Tell of each capability of an account whose status is another one than before."""
    for name in sorted({*before, *doc["capabilities"]}):
        status = before.get(name, "unrequested")
        if doc["capabilities"].get(name, "unrequested") != status:
            emit(desk, doc["id"], "capability.updated", capability(desk, doc, name), previous={"status": status})
