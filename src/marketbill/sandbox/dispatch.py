"""The API door: who asks, on whose account, with which key; one transaction; one answer."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from starlette.types import Message, Receive, Scope, Send

from marketbill.sandbox.call import Call
from marketbill.sandbox.desk import Desk, Origin
from marketbill.sandbox.idempotency import Answers, fingerprint
from marketbill.sandbox.rendering import expand_tree, shown
from marketbill.sandbox.routes import Endpoint, Routes
from marketbill.sandbox.wire import (
    API_RELEASE,
    API_VERSION,
    BODY_BYTES_MAX,
    ApiError,
    Doc,
    decode_form,
    invalid,
    new_id,
    no_access,
    unknown_url,
)

NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
    "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we "
    "can help at https://support.stripe.com/."
)

Headers = dict[bytes, bytes]

log = logging.getLogger(__name__)

_BROKEN = ApiError(500, "An unknown error occurred", type="api_error")


class Api:
    """Answers ``/v1`` and ``/v2``. Requests run one after the other, so each sees the state whole."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._routes = Routes()
        self.answers = Answers(desk.store)
        self._keys: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        status, headers, payload = self._answer(scope, body)
        await self._desk.store.committed()
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", str(len(payload)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    def _answer(self, scope: Scope, body: bytes | None) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        request_id = new_id("req", 14)
        given: Headers = dict(scope["headers"])
        second = scope["path"].startswith("/v2/")
        headers: list[tuple[bytes, bytes]] = [(b"request-id", request_id.encode())]
        try:
            version = _version(given)
            headers.append((b"stripe-version", version.encode()))
            acting = given.get(b"stripe-account") or given.get(b"stripe-context")
            if acting:
                headers.append((b"stripe-account", acting))
            if body is None:
                raise ApiError(413, f"Request bodies may have at most {BODY_BYTES_MAX} bytes.")
            status, payload = self._execute(scope, given, body, request_id, headers)
        except ApiError as error:
            status, payload = error.status, orjson.dumps(error.body(request_id, second_version=second))
            headers.extend((name.encode(), value.encode()) for name, value in error.headers.items())
        except Exception:
            log.exception("%s %s could not be answered (%s)", scope["method"], scope["path"], request_id)
            status, payload = 500, orjson.dumps(_BROKEN.body(request_id, second_version=second))
        if scope["method"] == "POST":
            headers.append((b"stripe-should-retry", b"true" if status == 409 else b"false"))
        return status, headers, payload

    def _execute(
        self, scope: Scope, given: Headers, body: bytes, request_id: str, headers: list[tuple[bytes, bytes]]
    ) -> tuple[int, bytes]:
        desk = self._desk
        desk.schedule.run(desk.clock.now())
        method, path = scope["method"], scope["path"]
        secret, platform = self._authenticated(given)
        account = self._acting(given, secret, platform)
        found = self._routes.find(method, path)
        if found is None:
            raise unknown_url(method, path)
        endpoint, names = found
        raw = _parameters(scope, body, path)
        second = path.startswith("/v2/")
        key = given.get(b"idempotency-key", b"").decode("latin-1")
        keyed = bool(key) and (method == "POST" or (second and method == "DELETE"))
        mark = b""
        if method == "POST" and key:
            headers.append((b"idempotency-key", key.encode("latin-1")))
        if keyed:
            mark = fingerprint(method, path, raw)
            kept = self.answers.find(account, key, mark, desk.clock.now())
            if kept is not None:
                headers.append((b"original-request", kept.request_id.encode()))
                headers.append((b"idempotent-replayed", b"true"))
                return kept.status, kept.body
        if method == "POST":
            headers.append((b"original-request", request_id.encode()))
        params = endpoint.read(raw, "")
        tree = expand_tree(params.pop("expand", None) or None, endpoint.kind or "", listed=endpoint.listed)
        call = Call(desk, platform, account, secret, params, names, tree)
        if method == "GET" and endpoint.kind != "payment_method":
            return 200, orjson.dumps(_shown(desk, endpoint, call, endpoint.handler(call)))
        desk.origin = Origin(request_id, key or None)
        try:
            return self._write(endpoint, call, keyed=keyed, key=key, mark=mark, request_id=request_id, second=second)
        finally:
            desk.origin = None

    def _write(
        self, endpoint: Endpoint, call: Call, *, keyed: bool, key: str, mark: bytes, request_id: str, second: bool
    ) -> tuple[int, bytes]:
        """Execute in one transaction, together with the kept answer; an answer is given only after the commit."""
        desk = self._desk

        def keep(status: int, payload: bytes) -> None:
            if keyed:
                self.answers.keep(
                    call.account, key, mark, request_id=request_id, status=status, body=payload, now=desk.clock.now()
                )

        def refusal(error: ApiError) -> bytes:
            return orjson.dumps(error.body(request_id, second_version=second))

        try:
            with desk.store.transaction():
                try:
                    payload = orjson.dumps(_shown(desk, endpoint, call, endpoint.handler(call)))
                except ApiError as error:
                    if error.keep_effects:
                        keep(error.status, refusal(error))
                    raise
                keep(200, payload)
        except ApiError as error:
            if error.executed and not error.keep_effects and keyed:
                with desk.store.transaction():
                    keep(error.status, refusal(error))
            raise
        finally:
            if desk.schedule.next_at is not None and desk.schedule.next_at <= desk.clock.now():
                desk.wake.set()
        return 200, payload

    def _authenticated(self, given: Headers) -> tuple[str, str]:
        scheme, _, secret = given.get(b"authorization", b"").decode("latin-1").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise ApiError(401, NO_KEY)
        platform = self._keys.get(secret)
        if platform is None:
            row = self._desk.store.db.execute("SELECT account FROM keys WHERE secret = ?", (secret,)).fetchone()
            if row is None:
                shown_key = secret if len(secret) < 12 else secret[:8] + "*" * 12 + secret[-4:]
                raise ApiError(401, f"Invalid API Key provided: {shown_key}")
            platform = self._keys[secret] = row[0]
        return secret, platform

    def _acting(self, given: Headers, secret: str, platform: str) -> str:
        wanted = (given.get(b"stripe-account") or given.get(b"stripe-context") or b"").decode("latin-1")
        if not wanted or wanted == platform:
            return platform
        doc = self._desk.store.find("account", wanted, platform)
        if doc is None or doc["_deleted"] is not None:
            raise no_access(secret, wanted)
        return wanted


def _version(given: Headers) -> str:
    version = given.get(b"stripe-version", API_VERSION.encode()).decode("latin-1")
    if not version.endswith("." + API_RELEASE):
        raise invalid(
            f"Invalid Stripe API version: {version}. This sandbox provider speaks {API_VERSION}; other releases have "
            "other parameters and answers."
        )
    return version


def _parameters(scope: Scope, body: bytes, path: str) -> Doc:
    query = decode_form(scope["query_string"].decode("latin-1")) if scope["query_string"] else {}
    if scope["method"] == "GET" or not body:
        return query
    if path.startswith("/v2/"):
        try:
            sent: Any = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise invalid("The request body could not be read as JSON.") from None
        if not isinstance(sent, dict):
            raise invalid("The request body must be a JSON object.")
        return {**query, **sent}
    try:
        return {**query, **decode_form(body.decode())}
    except UnicodeDecodeError:
        raise invalid("Your request could not be decoded as a form.") from None


def _shown(desk: Desk, endpoint: Endpoint, call: Call, result: Doc) -> Doc:
    # A list has rendered its entries itself.
    return result if endpoint.listed else shown(desk, result, call.tree)


async def _body(receive: Receive) -> bytes | None:
    """Read the body; None when it is longer than allowed."""
    message: Message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        if len(body) <= BODY_BYTES_MAX:
            body += message.get("body", b"")
    return None if len(body) > BODY_BYTES_MAX else body
