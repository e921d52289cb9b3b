"""Rate limits: how many requests an account may send, as a real provider counts them. Off until they are set.

Stripe's own: 100 requests a second live and 25 in a sandbox, 25 a second on one endpoint, 1000 updates of one
PaymentIntent an hour (docs, rate limits).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import orjson

from marketbill.sandbox.store import Store
from marketbill.sandbox.wire import ApiError, Doc

#: Largest limit that can be set.
LIMIT_MAX = 10_000
#: Accounts, endpoints and objects that are counted at one time; the one unused for longest is forgotten.
_COUNTED_MAX = 10_000

GLOBAL_RATE, ENDPOINT_RATE = "global-rate", "endpoint-rate"
GLOBAL_CONCURRENCY, ENDPOINT_CONCURRENCY = "global-concurrency", "endpoint-concurrency"
RESOURCE = "resource-specific"
#: What ``Stripe-Rate-Limited-Reason`` may say.
REASONS = (GLOBAL_RATE, ENDPOINT_RATE, GLOBAL_CONCURRENCY, ENDPOINT_CONCURRENCY, RESOURCE)


def rate_limited(reason: str) -> ApiError:
    return ApiError(
        429,
        "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits.",
        code="rate_limit",
        headers={"stripe-rate-limited-reason": reason},
    )


def lock_timeout() -> ApiError:
    return ApiError(
        429,
        "This object cannot be accessed right now because another API request or Stripe process is currently accessing "
        "it. If you see this error intermittently, retry the request. If you see this error frequently and are making "
        "multiple concurrent requests to a single object, make your requests serially or at a lower rate. For more "
        "details, see https://stripe.com/docs/rate-limits#object-lock-timeouts.",
        code="lock_timeout",
        headers={"stripe-should-retry": "true"},
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed; None is no limit. Rates are by the sandbox's clock, over any one second (or hour)."""

    requests_per_second: int | None = None
    endpoint_per_second: int | None = None
    #: Requests of an account, or to one of its endpoints, under way at the same time.
    concurrency: int | None = None
    endpoint_concurrency: int | None = None
    #: Changes of one object.
    changes_per_hour: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is, which endpoint it asks, and which object it changes, if one."""

    account: str
    endpoint: object
    changed: str | None = None


_NONE = Limits()
LIMIT_NAMES = tuple(field.name for field in fields(Limits))


class Gate:
    """Lets requests in as the limits allow. The limits are in the state; what is counted is not."""

    def __init__(self, store: Store) -> None:
        self._store = store
        stored = store.meta("limits")
        self.limits = Limits(**orjson.loads(stored)) if stored else Limits()
        #: When the last requests were let in, by what is counted; as many as the limit, newest last.
        self._let_in: OrderedDict[tuple[object, ...], deque[float]] = OrderedDict()
        #: How many are under way, likewise.
        self._inside: dict[tuple[object, ...], int] = {}

    @property
    def open(self) -> bool:
        """Whether there is no limit at all."""
        return self.limits == _NONE

    def shown(self) -> Doc:
        return asdict(self.limits)

    def set(self, changes: dict[str, Any]) -> None:
        """Change limits, kept over restarts; call inside a transaction."""
        self.limits = replace(self.limits, **changes)
        self._let_in.clear()
        self._store.set_meta("limits", orjson.dumps(asdict(self.limits)).decode())

    def refusal(self, caller: Caller, now: float) -> str | None:
        """Return the reason why a request may not come in now; None counts it as let in."""
        limits = self.limits
        whole, part = _places(caller)
        if limits.concurrency is not None and self._inside.get(whole, 0) >= limits.concurrency:
            return GLOBAL_CONCURRENCY
        if limits.endpoint_concurrency is not None and self._inside.get(part, 0) >= limits.endpoint_concurrency:
            return ENDPOINT_CONCURRENCY
        rates = [
            (whole, limits.requests_per_second, 1, GLOBAL_RATE),
            (part, limits.endpoint_per_second, 1, ENDPOINT_RATE),
        ]
        if caller.changed is not None:
            rates.append(((caller.account, "changes", caller.changed), limits.changes_per_hour, 3_600, RESOURCE))
        for place, limit, seconds, reason in rates:
            times = self._let_in.get(place)
            if limit is not None and times is not None and len(times) >= limit and times[0] > now - seconds:
                return reason
        for place, limit, _, _ in rates:
            if limit is not None:
                self._note(place, limit, now)
        return None

    def _note(self, place: tuple[object, ...], limit: int, now: float) -> None:
        times = self._let_in.get(place)
        if times is None:
            times = self._let_in[place] = deque(maxlen=limit)
            if len(self._let_in) > _COUNTED_MAX:
                self._let_in.popitem(last=False)
        self._let_in.move_to_end(place)
        times.append(now)

    @contextmanager
    def inside(self, caller: Caller) -> Iterator[None]:
        """Count a request as under way."""
        places = _places(caller)
        for place in places:
            self._inside[place] = self._inside.get(place, 0) + 1
        try:
            yield
        finally:
            for place in places:
                self._inside[place] -= 1
                if not self._inside[place]:
                    del self._inside[place]


def _places(caller: Caller) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Return what a request counts to: its account as a whole, and the one endpoint of it."""
    return (caller.account,), (caller.account, "endpoint", caller.endpoint)
