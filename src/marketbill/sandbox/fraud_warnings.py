"""Early fraud warnings: an issuer reports a charge as fraud, before or without a dispute."""

from __future__ import annotations

from marketbill.sandbox.call import Call
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, new_id, refused

FRAUD_TYPES = (
    "card_never_received", "fraudulent_card_application", "made_with_counterfeit_card", "made_with_lost_card",
    "made_with_stolen_card", "misc", "unauthorized_use_of_card",
)  # fmt: skip
WARNINGS_PER_CHARGE_MAX = 20


def open_warning(desk: Desk, account: str, charge_id: str, *, fraud_type: str = "made_with_stolen_card") -> Doc:
    """Have the issuer warn about a charge. It asks for action while the charge is neither disputed nor refunded.

    :raises ApiError: the charge failed, or has enough warnings.
    """
    charge = desk.store.get("charge", charge_id)
    if charge["status"] != "succeeded" or charge["payment_method_details"] is None:
        raise refused(f"The charge {charge_id} gets no fraud warning: it is no card payment that succeeded.")
    if len(_of_charge(desk, account, charge_id)) >= WARNINGS_PER_CHARGE_MAX:
        raise refused(f"The charge {charge_id} has {WARNINGS_PER_CHARGE_MAX} fraud warnings already.")
    doc = desk.store.insert(
        "early_fraud_warning",
        account,
        {
            "id": new_id("issfr_1"),
            "object": "radar.early_fraud_warning",
            "actionable": not charge["disputed"] and not charge["refunded"],
            "charge": charge_id,
            "created": desk.clock.now(),
            "fraud_type": fraud_type,
            "livemode": False,
            "payment_intent": charge["payment_intent"],
        },
    )
    emit(desk, account, "radar.early_fraud_warning.created", doc)
    return doc


def _of_charge(desk: Desk, account: str, charge_id: str) -> list[Doc]:
    return desk.store.select("early_fraud_warning", account, [("a = ?", charge_id)], limit=WARNINGS_PER_CHARGE_MAX)


def resolve(desk: Desk, account: str, charge_id: str) -> None:
    """The charge was disputed or wholly refunded: nothing is left to do about its warnings."""
    for found in _of_charge(desk, account, charge_id):
        if found["actionable"]:
            doc = desk.store.edit(found["id"])
            doc["actionable"] = False
            emit(desk, account, "radar.early_fraud_warning.updated", doc, previous={"actionable": True})


def retrieve(call: Call) -> Doc:
    return call.named("early_fraud_warning", name="early_fraud_warning")


def listing(call: Call) -> Doc:
    return page(call, "early_fraud_warning", url="/v1/radar/early_fraud_warnings", by=("charge", "payment_intent"))
