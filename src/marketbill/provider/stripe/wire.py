"""The wire to Stripe: one request through stripe-python's client, its answer read or one of the port's three errors.

Answers are read as plain JSON (`raw_request_async`): building stripe-python's object of a charge costs 0.9 ms of CPU,
more than all the rest of the call, and we keep ten fields of it.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import aiohttp
import stripe
from stripe import AIOHTTPClient, StripeClient, StripeResponse

from marketbill import clock
from marketbill.provider.port import PROVIDER_ERRORS, SEND_LONGEST, Failure, Unknown
from marketbill.provider.retry import proves
from marketbill.provider.stripe.fields import Json, id_of, parts
from marketbill.provider.stripe.outcome import not_understood, outcome_of

#: Seconds for one HTTP exchange, and for its connection; stripe-python repeats it twice.
REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 5.0
NETWORK_RETRIES = 2
#: stripe-python does not repeat after 429 (rate limit); we do, so many times.
RATE_LIMIT_RETRIES = 3
#: No repetition is sent later than this after the first sending, so that the last one ends within `SEND_LONGEST`. (A
#: machine that slept meanwhile may even have slept for longer than the provider remembers the key.)
REPEATED_WITHIN = SEND_LONGEST - timedelta(seconds=REQUEST_SECONDS + 5)
_PAGE = 100
_PAGES_MAX = 20

# No timings and no machine id go to Stripe with our requests.
stripe.enable_telemetry = False

T = TypeVar("T")


@dataclass(slots=True)
class _Sending:
    """One call with its repetitions: when it began, and whether an exchange before the last one may have been executed
    (no answer, or none that is definite). Whatever is answered in front of the store of keys says nothing of that."""

    begun: datetime
    doubtful: bool = False
    last_doubtful: bool = False

    def ended(self, status: int | None) -> None:
        self.doubtful = self.doubtful or self.last_doubtful
        self.last_doubtful = status is None or status >= 500 or status == 409


_sending: ContextVar[_Sending] = ContextVar("sending")


class _PromptClient(AIOHTTPClient):
    """Sends nothing whose request began longer than `REPEATED_WITHIN` ago, and notes how each exchange ended."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[Any, int, Any]:
        sending, status = _sending.get(), None
        if clock.now() - sending.begun > REPEATED_WITHIN:
            raise stripe.APIConnectionError("It is too late to repeat this.", should_retry=False)
        try:
            answer = await super().request_async(method, url, headers, post_data)
            status = answer[1]
            return answer
        finally:
            sending.ended(status)


class Wire:
    """The connection of one secret key."""

    def __init__(self, secret_key: str, base_url: str | None = None) -> None:
        self._http = _PromptClient(timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS))
        self._client = StripeClient(
            secret_key,
            base_addresses={"api": base_url.rstrip("/")} if base_url else None,
            max_network_retries=NETWORK_RETRIES,
            http_client=self._http,
        )

    async def close(self) -> None:
        await self._http.close_async()

    async def call(
        self,
        method: Literal["get", "post", "delete"],
        url: str,
        read: Callable[[Json], T],
        params: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        account_id: str | None = None,
    ) -> T:
        """One request: its answer, read, or one of the port's three errors."""
        options: dict[str, Any] = {}
        if key is not None:
            options["idempotency_key"] = key
        if account_id is not None:
            options["stripe_account"] = account_id
        sending = _Sending(clock.now())
        _sending.set(sending)
        for attempt in range(RATE_LIMIT_RETRIES + 1):
            try:
                answer = await self._client.raw_request_async(method, url, **(params or {}), **options)
            except Exception as error:
                outcome = outcome_of(error)
                if outcome is None:
                    raise
                untouched = isinstance(outcome, Unknown) and outcome.untouched
                if sending.doubtful and not proves(outcome):
                    outcome = Unknown(outcome.failure)
                too_late = clock.now() - sending.begun > REPEATED_WITHIN
                if not untouched or too_late or attempt == RATE_LIMIT_RETRIES:
                    raise outcome from error
                await asyncio.sleep(0.3 * 2**attempt * (1 + random.random()))
            else:
                return _understood(read, _json(answer))
        raise AssertionError("the last attempt returns or raises")

    async def list(
        self,
        url: str,
        read: Callable[[Json], T],
        query: Json | None = None,
        *,
        account_id: str | None = None,
        limit: int | None = None,
    ) -> list[T]:
        """All objects of a list, newest first. With `limit` at most so many; without, Unknown when there are too many
        to see them all, for then their absence proves nothing."""
        wanted = limit if limit is not None else _PAGE * _PAGES_MAX
        found: list[T] = []
        after: dict[str, str] = {}
        for _ in range(-(-wanted // _PAGE)):
            page = {**(query or {}), **after, "limit": min(_PAGE, wanted - len(found))}
            items, more = await self.call("get", url, _page_of_list, page, account_id=account_id)
            found += [_understood(read, item) for item in items]
            if not more:
                return found
            after = {"starting_after": _understood(id_of, items[-1])}
        if limit is None:
            raise Unknown(Failure(None, "search_too_wide", f"More than {wanted} objects at {url}."), untouched=True)
        return found


def path_of(id: str) -> str:
    """An id within a URL's path; whatever it holds, it stays one segment."""
    return quote(id, safe="")


def _json(answer: StripeResponse) -> Json:
    if not isinstance(answer.data, Mapping):
        raise not_understood("The answer is not a JSON object.")
    return answer.data


def _understood(read: Callable[[Json], T], data: Json) -> T:
    try:
        return read(data)
    except PROVIDER_ERRORS:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
        raise not_understood(f"The answer has another form than expected ({_told(error)}).") from error


def _told(error: Exception) -> str:
    """What is wrong with the answer, for a person."""
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]}"
    return str(error)[:200] or type(error).__name__


def _page_of_list(data: Json) -> tuple[Sequence[Json], bool]:
    """The objects of a page, and whether there are more; a list that does not say so proves no absence."""
    more = data["has_more"]
    if not isinstance(more, bool) or data["data"] is None:
        raise TypeError("not a page of a list")
    items = parts(data, "data")
    return items, more and bool(items)
