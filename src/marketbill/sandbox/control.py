"""The control plane: what a test or an operator of the sandbox may do that no provider would let them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox import accounts, balances, confirmation, onboarding
from marketbill.sandbox.clock import ADVANCE_SECONDS_MAX
from marketbill.sandbox.countries import DEFAULT_CURRENCY
from marketbill.sandbox.currencies import checked_currency
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.dispatch import Api
from marketbill.sandbox.parameters import Reader, compile_table
from marketbill.sandbox.rendering import shown
from marketbill.sandbox.wire import ApiError, Doc, invalid, new_secret

_PLATFORM = compile_table("country! default_currency name")
_ONBOARD = compile_table("outcome!")
_CAPABILITY = compile_table("name! status!:(active|inactive|pending)")
_FUND = compile_table("currency! amount!:i")
_AUTHENTICATE = compile_table("outcome!:(approve|fail)")
_CLOCK = compile_table("advance_seconds:i to")
_IN_FLIGHT = compile_table("account! key! held!:b")

Answer = Callable[[Request, Doc], Any]


class Control:
    """The control plane of one sandbox. Bodies and answers are JSON; refusals have the API's error form."""

    def __init__(self, desk: Desk, api: Api) -> None:
        self._desk = desk
        self._api = api

    def routes(self) -> list[Route]:
        def route(path: str, method: str, answer: Answer, table: Reader | None = None) -> Route:
            return Route(f"/_sandbox/{path}", self._guarded(answer, table), methods=[method])

        return [
            route("health", "GET", self.health),
            route("state", "GET", self.state),
            route("balances", "GET", self.all_balances),
            route("deliveries", "GET", self.deliveries),
            route("clock", "GET", self.clock),
            route("clock", "POST", self.move_clock, _CLOCK),
            route("platforms", "POST", self.create_platform, _PLATFORM),
            route("accounts/{account}/onboard", "POST", self.onboard, _ONBOARD),
            route("accounts/{account}/capability", "POST", self.set_capability, _CAPABILITY),
            route("accounts/{account}/fund", "POST", self.fund, _FUND),
            route("payment_intents/{intent}/authenticate", "POST", self.authenticate, _AUTHENTICATE),
            route("in_flight", "POST", self.hold_key, _IN_FLIGHT),
        ]

    def _guarded(self, answer: Answer, table: Reader | None) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            try:
                params: Doc = {}
                if table is not None:
                    params = table(_json(await request.body()), "")
                self._desk.schedule.run(self._desk.clock.now())
                body = answer(request, params)
                status = 200
            except ApiError as error:
                body, status = error.body("req_control"), error.status
            await self._desk.store.committed()
            self._desk.wake.set()
            return Response(orjson.dumps(body), status_code=status, media_type="application/json")

        return respond

    def health(self, request: Request, params: Doc) -> Doc:
        return {"status": "ok", "now": self._desk.clock.now()}

    def state(self, request: Request, params: Doc) -> Doc:
        """Count what the state holds, and check the books: balances are the sum of their transactions."""
        db = self._desk.store.db
        kinds = dict(db.execute("SELECT kind, count(*) FROM objects GROUP BY kind ORDER BY kind").fetchall())
        states = dict(db.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall())
        return {
            "objects": kinds,
            "events": db.execute("SELECT count(*) FROM events").fetchone()[0],
            "deliveries": {name: states.get(name, 0) for name in ("pending", "delivered", "failed")},
            "due": db.execute("SELECT count(*) FROM due").fetchone()[0],
            "idempotency_keys": db.execute("SELECT count(*) FROM idempotency").fetchone()[0],
            "books_balance": not _differences(self._desk),
            "differences": _differences(self._desk),
        }

    def all_balances(self, request: Request, params: Doc) -> Doc:
        """Return the balances of every account, for reconciliation, in one answer."""
        rows = self._desk.store.db.execute(
            "SELECT b.account, o.account, b.currency, b.available, b.pending FROM balances b "
            "JOIN objects o ON o.id = b.account ORDER BY b.account, b.currency"
        ).fetchall()
        return {
            "now": self._desk.clock.now(),
            "balances": [
                {"account": account, "platform": platform, "currency": currency, "available": ready, "pending": waiting}
                for account, platform, currency, ready, waiting in rows
            ],
        }

    def deliveries(self, request: Request, params: Doc) -> Doc:
        """Return the last hundred deliveries, newest first."""
        rows = self._desk.store.db.execute(
            "SELECT d.id, d.event, e.type, d.endpoint, d.state, d.attempts, d.answered, d.reason FROM deliveries d "
            "JOIN events e ON e.id = d.event ORDER BY d.id DESC LIMIT 100"
        ).fetchall()
        names = ("id", "event", "type", "endpoint", "state", "attempts", "answered", "reason")
        return {"deliveries": [dict(zip(names, row, strict=True)) for row in rows]}

    def clock(self, request: Request, params: Doc) -> Doc:
        now = self._desk.clock.now()
        return {
            "now": now,
            "iso": datetime.fromtimestamp(now, UTC).isoformat(),
            "offset_seconds": self._desk.clock.offset,
            "next_due": self._desk.schedule.next_at,
        }

    def move_clock(self, request: Request, params: Doc) -> Doc:
        """Move time forward, doing on the way everything that falls due, in order."""
        desk = self._desk
        if ("advance_seconds" in params) == ("to" in params):
            raise invalid("Give either `advance_seconds` or `to`.", param="advance_seconds")
        seconds = params.get("advance_seconds")
        if seconds is None:
            seconds = _moment(params["to"]) - desk.clock.now()
        if not 0 <= seconds <= ADVANCE_SECONDS_MAX:
            raise invalid(
                f"The clock moves forward only, by at most {ADVANCE_SECONDS_MAX} seconds at a time.",
                param="advance_seconds",
            )
        target = desk.clock.now() + seconds
        while desk.schedule.run(target):
            pass
        with desk.store.transaction():
            desk.clock.advance(max(0, target - desk.clock.now()))
        return self.clock(request, params)

    def create_platform(self, request: Request, params: Doc) -> Doc:
        country = accounts.checked_country(params["country"])
        currency = checked_currency(
            params.get("default_currency") or DEFAULT_CURRENCY[country], param="default_currency"
        )
        secret, publishable = new_secret("sk_test_"), new_secret("pk_test_")
        with self._desk.store.transaction():
            doc = accounts.create_platform(
                self._desk, country=country, currency=currency, name=params.get("name") or "Sandbox platform"
            )
            self._desk.store.db.execute("INSERT INTO keys VALUES (?, ?, ?)", (secret, publishable, doc["id"]))
            if self._desk.store.meta("prune") is None:
                self._desk.store.set_meta("prune", "scheduled")
                self._desk.schedule.add(self._desk.clock.now() + 86_400, "prune", "")
        return {"id": doc["id"], "secret_key": secret, "publishable_key": publishable}

    def onboard(self, request: Request, params: Doc) -> Doc:
        with self._desk.store.transaction():
            doc = onboarding.finish(self._desk, request.path_params["account"], params["outcome"])
        return shown(self._desk, doc)

    def _account(self, request: Request) -> str:
        identifier = request.path_params["account"]
        if self._desk.store.find("account", identifier) is None:
            raise ApiError(404, f"No such account: '{identifier}'", code="resource_missing", param="account")
        return identifier

    def set_capability(self, request: Request, params: Doc) -> Doc:
        account = self._account(request)
        with self._desk.store.transaction():
            doc = onboarding.set_capability(self._desk, account, params["name"], params["status"])
        return shown(self._desk, doc)

    def fund(self, request: Request, params: Doc) -> Doc:
        """Adjust an account's available balance, up or down, as a seed for a story."""
        account = self._account(request)
        currency = checked_currency(params["currency"])
        with self._desk.store.transaction():
            balances.record(
                self._desk,
                account,
                transaction_type="adjustment",
                amount=params["amount"],
                currency=currency,
                source=None,
                description="Sandbox adjustment",
            )
        return balances.balance(self._desk, account)

    def authenticate(self, request: Request, params: Doc) -> Doc:
        with self._desk.store.transaction():
            doc, back = confirmation.authenticate(
                self._desk, request.path_params["intent"], approve=params["outcome"] == "approve"
            )
        return {"payment_intent": shown(self._desk, doc), "redirect": back}

    def hold_key(self, request: Request, params: Doc) -> Doc:
        """Have an idempotency key look as if its first request were still running, or let it go."""
        key = (params["account"], params["key"])
        if params["held"]:
            self._api.answers.in_flight.add(key)
        else:
            self._api.answers.in_flight.discard(key)
        return {"held": params["held"]}


def _json(body: bytes) -> Doc:
    if not body:
        return {}
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("The request body could not be read as JSON.") from None
    if not isinstance(sent, dict):
        raise invalid("The request body must be a JSON object.")
    return sent


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"Invalid time: {text}", param="to") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _differences(desk: Desk) -> list[Doc]:
    """Return every account and currency whose balance is not the sum of its transactions."""
    rows = desk.store.db.execute(
        "SELECT account, currency, sum(held), sum(moved) FROM ("
        " SELECT account, currency, available + pending AS held, 0 AS moved FROM balances"
        " UNION ALL SELECT account, e, 0, json_extract(CAST(doc AS TEXT), '$.net') FROM objects"
        " WHERE kind = 'balance_transaction') GROUP BY account, currency HAVING sum(held) <> sum(moved) LIMIT 100"
    ).fetchall()
    return [
        {"account": account, "currency": currency, "balance": held, "transactions": moved}
        for account, currency, held, moved in rows
    ]
