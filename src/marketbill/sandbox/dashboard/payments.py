"""Payments: intents with their charges, and all that came of them."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox.dashboard import queries
from marketbill.sandbox.dashboard.frame import PREFIX, Frame, Look, NoPage
from marketbill.sandbox.dashboard.objects import subject
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.disputes import NETWORK_REASON
from marketbill.sandbox.wire import Doc


@dataclass(frozen=True, slots=True)
class Attempt:
    """A charge of a payment and what followed it."""

    charge: Doc
    #: Of the charge and of what followed it, on the account that was charged.
    transactions: list[Doc]
    refunds: list[Doc]
    disputes: list[Doc]
    warnings: list[Doc]
    transfers: list[Doc]


def routes(frame: Frame) -> list[Route]:
    return [
        frame.route(f"{PREFIX}/payments", listing),
        frame.route(f"{PREFIX}/payments/{{intent}}", payment),
    ]


def listing(look: Look) -> Response:
    found = queries.objects(look, "payment_intent")
    charges = {
        item.doc["id"]: look.desk.store.find("charge", item.doc["latest_charge"])
        for item in found.items
        if item.doc["latest_charge"]
    }
    return look.page("payments.html", found=found, charges=charges, account=look.asked("account"))


def payment(look: Look) -> Response:
    identifier = look.named("intent")
    about = subject(look, identifier, kind="payment_intent")
    if about is None:
        raise NoPage(f"There is no payment {identifier}.")
    charges = queries.latest(look.desk, "charge", about.account, (("a = ?", identifier),))
    attempts = [_attempt(look.desk, charge, about.account) for charge in charges]
    involved = [identifier]
    for attempt in attempts:
        involved.append(attempt.charge["id"])
        involved += [doc["id"] for doc in (*attempt.refunds, *attempt.disputes, *attempt.warnings, *attempt.transfers)]
    return look.page(
        "payment.html",
        about=about,
        attempts=attempts,
        reasons=list(NETWORK_REASON),
        told=queries.events_about(look.desk, involved[: queries.PART_ROWS]),
    )


def _attempt(desk: Desk, charge: Doc, account: str) -> Attempt:
    def following(kind: str, column: str = "a") -> list[Doc]:
        return queries.latest(desk, kind, account, ((f"{column} = ?", charge["id"]),))

    refunds, disputes = following("refund"), following("dispute")
    sources = [charge["id"], *(doc["id"] for doc in (*refunds[::-1], *disputes[::-1]))]
    return Attempt(
        charge=charge,
        transactions=[entry for source in sources for entry in queries.transactions(desk, source, account)],
        refunds=refunds,
        disputes=disputes,
        warnings=following("early_fraud_warning"),
        transfers=following("transfer", "c"),
    )
