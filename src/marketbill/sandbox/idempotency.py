"""Idempotency keys: one execution and one answer per account and key, for a day (30 days in the second version)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import orjson

from marketbill.sandbox.clock import DAY
from marketbill.sandbox.store import Store
from marketbill.sandbox.wire import ApiError, Doc

KEY_LENGTH_MAX = 255
#: After this a key is forgotten and its reuse is a new request; in the second version of the API later.
KEY_SECONDS = DAY
KEY_SECONDS_SECOND = 30 * DAY


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer of the first request with a key."""

    request_id: str
    status: int
    body: bytes


def may_have_key(method: str, path: str) -> bool:
    """Return whether an idempotency key means anything: for a POST, in the second version for a DELETE too."""
    return method == "POST" or (method == "DELETE" and path.startswith("/v2/"))


def fingerprint(method: str, path: str, params: Doc) -> bytes:
    """Return what must be the same for a key to be used again: the endpoint and its parameters, in any order."""
    return blake2b(orjson.dumps([method, path, params], option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def key_in_use(key: str) -> ApiError:
    return ApiError(
        409,
        "There is currently another in-progress request using this Idempotent Key (that probably means you "
        f"submitted twice, and the other request is still going through): {key}. Please try again later.",
        code="idempotency_key_in_use",
    )


class Answers:
    """Kept answers by account and key, and the keys whose first request is still running."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: (account, key) of requests whose answer is on its way: slow ones, and those held by the control plane.
        self.in_flight: set[tuple[str, str]] = set()

    def find(self, account: str, key: str, mark: bytes, now: int) -> Kept | None:
        """Return the kept answer for a key.

        :raises ApiError: the key was used with other parameters (400), or its first request still runs (409).
        """
        if len(key) > KEY_LENGTH_MAX:
            raise ApiError(
                400,
                f"Idempotency keys must be at most {KEY_LENGTH_MAX} characters: yours has {len(key)}.",
                type="idempotency_error",
            )
        if (account, key) in self.in_flight:
            raise key_in_use(key)
        found = self._store.db.execute(
            "SELECT fingerprint, request_id, status, body FROM idempotency "
            "WHERE account = ? AND key = ? AND coalesce(until, created + ?) > ?",
            (account, key, KEY_SECONDS, now),
        ).fetchone()
        if found is None:
            return None
        if found[0] != mark:
            raise ApiError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        return Kept(request_id=found[1], status=found[2], body=found[3])

    def keep(
        self,
        account: str,
        key: str,
        mark: bytes,
        *,
        request_id: str,
        status: int,
        body: bytes,
        now: int,
        seconds: int = KEY_SECONDS,
    ) -> None:
        """Keep an answer for so many seconds; call inside the transaction that it answers for."""
        self._store.db.execute(
            "INSERT OR REPLACE INTO idempotency (account, key, fingerprint, request_id, status, body, created, until) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (account, key, mark, request_id, status, body, now, now + seconds),
        )

    def change(self, account: str, key: str, *, status: int, body: bytes) -> None:
        """Have a kept answer be another one; call inside a transaction."""
        self._store.db.execute(
            "UPDATE idempotency SET status = ?, body = ? WHERE account = ? AND key = ?", (status, body, account, key)
        )


def prune(store: Store, now: int) -> None:
    """Forget the answers whose time is over; call inside a transaction."""
    store.db.execute("DELETE FROM idempotency WHERE coalesce(until, created + ?) <= ?", (KEY_SECONDS, now))
