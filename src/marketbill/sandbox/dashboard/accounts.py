"""Accounts: the platforms and the accounts connected to them."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox import onboarding
from marketbill.sandbox.countries import DEFAULT_CURRENCY
from marketbill.sandbox.dashboard import queries
from marketbill.sandbox.dashboard.frame import PREFIX, Frame, Look, NoPage
from marketbill.sandbox.dashboard.objects import subject
from marketbill.sandbox.wire import Doc


def routes(frame: Frame) -> list[Route]:
    return [
        frame.route(f"{PREFIX}/accounts", listing),
        frame.route(f"{PREFIX}/accounts/{{account}}", account),
    ]


def listing(look: Look) -> Response:
    found = queries.objects(look, "account", [("a IS ?", None)])
    return look.page(
        "accounts.html",
        found=found,
        held={item.doc["id"]: queries.balances_of(look.desk, item.doc["id"]) for item in found.items},
        countries=sorted(DEFAULT_CURRENCY),
    )


def account(look: Look) -> Response:
    desk, identifier = look.desk, look.named("account")
    about = subject(look, identifier, kind="account")
    if about is None:
        raise NoPage(f"There is no account {identifier}.")
    stored: Doc = desk.store.get("account", identifier)
    own = about.account == identifier
    return look.page(
        "account.html",
        about=about,
        own=own,
        deleted=stored["_deleted"] is not None,
        second_version=stored["_v2"] is not None,
        keys=_keys(look, identifier) if own else [],
        held=queries.balances_of(desk, identifier),
        reserved=queries.reserved_by(desk, identifier),
        newest=queries.latest(desk, "balance_transaction", identifier)[:10],
        payouts=queries.latest(desk, "payout", identifier)[:10],
        transfers=[] if own else queries.latest(desk, "transfer", about.account, (("b = ?", identifier),))[:10],
        outcomes=onboarding.OUTCOMES,
        capabilities=sorted({"transfers", "card_payments", *about.doc["capabilities"]}),
    )


def _keys(look: Look, identifier: str) -> list[tuple[str, str]]:
    """Return the keys of a platform: the publishable ones, and the secret ones with their middle left out."""
    found = look.desk.store.db.execute("SELECT secret, publishable FROM keys WHERE account = ?", (identifier,))
    return [(f"{secret[:12]}…{secret[-4:]}", publishable) for secret, publishable in found.fetchall()]
