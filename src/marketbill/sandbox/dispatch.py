"""The API door: who asks, on whose account, with which key; one transaction; one answer."""

from __future__ import annotations

import logging
from base64 import b64decode
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from starlette.types import Scope

from marketbill.sandbox.call import Call
from marketbill.sandbox.desk import Desk, Origin
from marketbill.sandbox.idempotency import KEY_SECONDS, KEY_SECONDS_SECOND, Answers, fingerprint, may_have_key
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

BROKEN = ApiError(500, "An unknown error occurred", type="api_error")
#: The same for a request whose execution has begun: it is kept under its key.
_BEGUN = replace(BROKEN, executed=True)


@dataclass(slots=True)
class Answer:
    """What goes back to a caller, and what is remembered of it."""

    request_id: str
    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    #: Account and idempotency key of a request that got as far as having its key looked at.
    key: tuple[str, str] | None = None
    #: Whether this very answer is kept under the key.
    kept: bool = False
    #: Whether the request was found good and then not executed, as it was asked for.
    postponed: bool = False


class Api:
    """Answers ``/v1`` and ``/v2``. Requests run one after the other, so each sees the state whole."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = Routes()
        self.answers = Answers(desk.store)
        self._keys: dict[str, str] = {}

    def answer(
        self, scope: Scope, body: bytes | None, *, refusal: ApiError | None = None, postpone: bool = False
    ) -> Answer:
        """Answer a request, all in one go; the answer may be sent after :meth:`Store.committed`.

        ``body`` is None when it is too long. With ``refusal`` that is the answer, and nothing is looked at or done.
        With ``postpone`` a request that would write is answered (and kept) as a 500 at the moment of its execution.
        """
        answer = Answer(new_id("req", 14))
        given: Headers = dict(scope["headers"])
        second = scope["path"].startswith("/v2/")
        answer.headers.append((b"request-id", answer.request_id.encode()))
        try:
            version = _version(given)
            answer.headers.append((b"stripe-version", version.encode()))
            acting = given.get(b"stripe-account") or given.get(b"stripe-context")
            if acting:
                answer.headers.append((b"stripe-account", acting))
            if refusal is not None:
                raise refusal
            if body is None:
                raise ApiError(413, f"Request bodies may have at most {BODY_BYTES_MAX} bytes.")
            answer.status, answer.body = self._execute(scope, given, body, answer, postpone=postpone)
        except ApiError as error:
            answer.status, answer.body = error.status, _error_body(error, answer, second=second)
            answer.headers.extend((name.encode(), value.encode()) for name, value in error.headers.items())
        except Exception:
            log.exception("%s %s could not be answered (%s)", scope["method"], scope["path"], answer.request_id)
            answer.status, answer.body = BROKEN.status, _error_body(BROKEN, answer, second=second)
        if scope["method"] == "POST":
            _complete(answer, given)
        return answer

    def spoil(self, scope: Scope, answer: Answer) -> None:
        """Have an answer be a 500 though the request was executed, also where it is kept under its key.

        To be called before anything is awaited, so that both are in one commit.
        """
        answer.status = BROKEN.status
        answer.body = _error_body(BROKEN, answer, second=scope["path"].startswith("/v2/"))
        answer.headers = [header for header in answer.headers if header[0] != b"idempotent-replayed"]
        if answer.key is not None and answer.kept:
            with self._desk.store.transaction():
                self.answers.change(*answer.key, status=answer.status, body=answer.body)

    def _execute(
        self, scope: Scope, given: Headers, body: bytes, answer: Answer, *, postpone: bool
    ) -> tuple[int, bytes]:
        desk, headers, request_id = self._desk, answer.headers, answer.request_id
        desk.schedule.run(desk.clock.now())
        method, path = scope["method"], scope["path"]
        secret, platform = self._authenticated(given)
        account = self._acting(given, secret, platform)
        found = self.routes.find(method, path)
        if found is None:
            raise unknown_url(method, path)
        endpoint, names = found
        raw = _parameters(scope, body, path)
        second = path.startswith("/v2/")
        key = given.get(b"idempotency-key", b"").decode("latin-1")
        keyed = bool(key) and may_have_key(method, path)
        mark = b""
        if keyed:
            mark = fingerprint(method, path, raw)
            answer.key = (account, key)
            kept = self.answers.find(account, key, mark, desk.clock.now())
            if kept is not None:
                headers.append((b"original-request", kept.request_id.encode()))
                headers.append((b"idempotent-replayed", b"true"))
                return kept.status, kept.body
        params = endpoint.read(raw, "")
        tree = expand_tree(params.pop("expand", None) or None, endpoint.kind or "", listed=endpoint.listed)
        call = Call(desk, platform, account, secret, params, names, tree)
        if method == "GET" and endpoint.kind != "payment_method":
            return 200, orjson.dumps(_shown(desk, endpoint, call, endpoint.handler(call)))
        desk.origin = Origin(request_id, key or None)
        try:
            written = self._write(endpoint, call, answer, mark=mark, second=second, postpone=postpone)
            headers.extend((name.encode(), value.encode()) for name, value in call.headers.items())
            return written
        finally:
            desk.origin = None

    def _write(
        self, endpoint: Endpoint, call: Call, answer: Answer, *, mark: bytes, second: bool, postpone: bool
    ) -> tuple[int, bytes]:
        """Execute in one transaction, together with the kept answer; an answer is given only after the commit."""
        desk = self._desk

        def keep(status: int, payload: bytes) -> None:
            if answer.key is not None:
                self.answers.keep(
                    *answer.key,
                    mark,
                    request_id=answer.request_id,
                    status=status,
                    body=payload,
                    now=desk.clock.now(),
                    seconds=KEY_SECONDS_SECOND if second else KEY_SECONDS,
                )
                answer.kept = True

        try:
            if postpone:
                answer.postponed = True
                raise _BEGUN
            with desk.store.transaction():
                try:
                    payload = orjson.dumps(_shown(desk, endpoint, call, endpoint.handler(call)))
                except ApiError as error:
                    if error.keep_effects:
                        keep(error.status, _error_body(error, answer, second=second))
                    raise
                keep(200, payload)
        except ApiError as error:
            if error.executed and not error.keep_effects:
                with desk.store.transaction():
                    keep(error.status, _error_body(error, answer, second=second))
            raise
        finally:
            if desk.schedule.next_at is not None and desk.schedule.next_at <= desk.clock.now():
                desk.wake.set()
        return 200, payload

    def _authenticated(self, given: Headers) -> tuple[str, str]:
        secret = _secret_key(given.get(b"authorization", b"").decode("latin-1"))
        if not secret:
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


def _complete(answer: Answer, given: Headers) -> None:
    """Add what every answer to a POST tells, also a refusal: its key, the first request with it, whether to repeat."""
    told = {name for name, _ in answer.headers}
    if given.get(b"idempotency-key"):
        answer.headers.append((b"idempotency-key", given[b"idempotency-key"]))
    if b"original-request" not in told:
        answer.headers.append((b"original-request", answer.request_id.encode()))
    # Stripe's own clients say that they expect "false" with most 500s: repeated under their key, those are replayed.
    if b"stripe-should-retry" not in told:
        answer.headers.append((b"stripe-should-retry", b"true" if answer.status == 409 else b"false"))


def _secret_key(authorization: str) -> str:
    """Return the key of a request, the bearer's token or the user of basic authentication; empty for none."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(given).decode("latin-1").partition(":")[0]
        except ValueError:
            return ""
    return ""


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


def _error_body(error: ApiError, answer: Answer, *, second: bool) -> bytes:
    return orjson.dumps(error.body(answer.request_id, second_version=second))
