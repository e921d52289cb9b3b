"""Pages for sellers and buyers: onboarding, authentication, a receipt. Small, plain, without scripts."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from marketbill.sandbox import confirmation, onboarding, setup_intents
from marketbill.sandbox.currencies import in_words
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.wire import ApiError, decode_form

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:3rem auto;padding:0 1rem;color:#1c2333}"
    "h1{font-size:1.4rem}button{font:inherit;padding:.5rem 1rem;margin:.25rem .5rem .25rem 0;border:1px solid #555;"
    "border-radius:.4rem;background:#fff;cursor:pointer}button.main{background:#2b50d8;border-color:#2b50d8;color:#fff}"
    "small{color:#666}code{background:#f1f2f6;padding:0 .3em}"
)

#: Nothing but this style, in nobody's frame. Forms lead on to where the caller wants his user back.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>{body}"
        "<p><small>Sandbox provider. Play money only.</small></p></html>",
        status_code=status,
        headers=_HEADERS,
    )


async def _outcome(request: Request) -> str:
    """Return which button of a page was pressed."""
    try:
        return str(decode_form((await request.body()).decode()).get("outcome", ""))
    except (ApiError, UnicodeDecodeError):
        return ""


class Pages:
    """The pages of one sandbox."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def index(self, request: Request) -> Response:
        return page(
            "Sandbox payment provider",
            "<p>This process speaks the wire of Stripe's API for tests and demos. Point a client's API base here: the "
            "API is at <code>/v1</code> and <code>/v2</code>.</p>",
        )

    async def onboard(self, request: Request) -> Response:
        """Show what a seller still has to give, and take it."""
        desk = self._desk
        desk.schedule.run(desk.clock.now())
        link = onboarding.find_link(desk, request.path_params["token"])
        if link is None:
            return page("Link not found", "<p>This onboarding link does not exist.</p>", status=404)
        if link.used or link.expires_at <= desk.clock.now():
            return RedirectResponse(link.refresh_url, status_code=303)
        account = desk.store.get("account", link.account)
        if request.method == "GET":
            needed = account["requirements"]["currently_due"]
            listed = "".join(f"<li>{escape(name)}</li>" for name in needed) or "<li>Nothing is required.</li>"
            name = account["business_profile"]["name"] or account["email"] or account["id"]
            return page(
                "Get paid with the sandbox provider",
                f"<p>Account <b>{escape(str(name))}</b> ({escape(account['country'])}). Required:</p><ul>{listed}</ul>"
                "<form method=post><button class=main name=outcome value=complete>Complete</button>"
                "<button name=outcome value=later>Complete later</button></form>"
                "<p><small>Completing fills everything in with test details.</small></p>",
            )
        outcome = await _outcome(request)
        with desk.store.transaction():
            onboarding.use_link(desk, link.token)
            if outcome in onboarding.OUTCOMES:
                onboarding.finish(desk, link.account, outcome)
        await desk.store.committed()
        return RedirectResponse(link.return_url, status_code=303)

    async def authenticate(self, request: Request) -> Response:
        """Ask the card holder to approve a payment, and finish it."""
        desk = self._desk
        identifier = request.path_params["intent"]
        intent = desk.store.find("payment_intent", identifier) or desk.store.find("setup_intent", identifier)
        secret = request.query_params.get("secret", "")
        if intent is None or intent["client_secret"].rsplit("_", 1)[1] != secret:
            return page("Payment not found", "<p>This payment does not exist.</p>", status=404)
        if request.method == "GET":
            if intent["status"] != "requires_action":
                return page("Nothing to approve", f"<p>The status of this payment is {escape(intent['status'])}.</p>")
            what = "that your card is saved"
            if intent["object"] == "payment_intent":
                what = f"a payment of <b>{escape(in_words(intent['amount'], intent['currency']))}</b>"
            return page(
                "Approve this payment",
                f"<p>Your bank asks you to approve {what}.</p><form method=post>"
                "<button class=main name=outcome value=approve>Approve</button>"
                "<button name=outcome value=fail>Fail</button></form>",
            )
        approve = await _outcome(request) == "approve"
        try:
            with desk.store.transaction():
                of = confirmation if intent["object"] == "payment_intent" else setup_intents
                doc, back = of.authenticate(desk, identifier, approve=approve)
        except ApiError as error:
            return page("Nothing to approve", f"<p>{escape(error.message)}</p>", status=error.status)
        await desk.store.committed()
        desk.wake.set()
        if back is not None:
            return RedirectResponse(back, status_code=303)
        return page("Done", f"<p>The status of this payment is {escape(doc['status'])}. You can close this page.</p>")

    async def receipt(self, request: Request) -> Response:
        charge = self._desk.store.find("charge", request.path_params["charge"])
        if charge is None:
            return page("Receipt not found", "<p>This charge does not exist.</p>", status=404)
        amount = escape(in_words(charge["amount"], charge["currency"]))
        return page("Receipt", f"<p>{amount}, {escape(charge['status'])}. <code>{escape(charge['id'])}</code></p>")
