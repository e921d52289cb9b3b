"""Transfers: what the platform sent to its sellers, and took back."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox.dashboard import queries
from marketbill.sandbox.dashboard.frame import PREFIX, Frame, Look, NoPage
from marketbill.sandbox.dashboard.objects import subject


def routes(frame: Frame) -> list[Route]:
    return [
        frame.route(f"{PREFIX}/transfers", listing),
        frame.route(f"{PREFIX}/transfers/{{transfer}}", transfer),
    ]


def listing(look: Look) -> Response:
    where = []
    destination, group = look.asked("destination"), look.asked("group")
    if destination:
        where.append(queries.of_platforms("transfer", "b", destination))
    if group:
        where.append(queries.of_platforms("transfer", "a", group))
    found = queries.objects(look, "transfer", where, destination=destination, group=group)
    return look.page("transfers.html", found=found, destination=destination, group=group)


def transfer(look: Look) -> Response:
    desk, identifier = look.desk, look.named("transfer")
    about = subject(look, identifier, kind="transfer")
    if about is None:
        raise NoPage(f"There is no transfer {identifier}.")
    reversals = queries.latest(desk, "transfer_reversal", about.account, (("a = ?", identifier),))
    # The receiver's transactions are about the payment as which it arrived, and about the refunds of that.
    receiver = about.doc["destination"]
    sources = [about.doc["destination_payment"], *(entry["destination_payment_refund"] for entry in reversals[::-1])]
    return look.page(
        "transfer.html",
        about=about,
        reversals=reversals,
        arrived=[entry for source in sources if source for entry in queries.transactions(desk, source, receiver)],
    )
