"""Which of the three outcomes an exception means: one pure function.

Judged by the HTTP status: the classes of stripe-python do not tell a definite answer from an open one (a 409 comes as
an APIError, a body that is not JSON too). Only an answer in the provider's own form is definite: a page of a proxy on
the way, whatever its status, says nothing of what the provider did.
"""

import asyncio
import re
from typing import Any

import aiohttp
import stripe

from marketbill.provider.port import Declined, Failure, ProviderError, Refused, Unknown

#: Answered before anything was done, whatever the request: sending it again is safe.
_UNTOUCHED_STATUS = frozenset({429})
_NO_ANSWER = (
    stripe.APIConnectionError,
    # stripe-python lets these through when the connection breaks in the middle of a body.
    aiohttp.ClientError,
    asyncio.TimeoutError,
    ConnectionError,
)
_MESSAGE_LENGTH_MAX = 500
_SECRET = re.compile(r"\b(sk|rk|pk|whsec|[a-z]+_[A-Za-z0-9]+_secret)_[A-Za-z0-9_*]+")
_ADDRESS = re.compile(r"[^\s@'\"<>]+@[^\s@'\"<>]+")


def outcome_of(error: Exception) -> ProviderError | None:
    """What the exception of a call means; None when it is no matter of the provider but a defect of ours."""
    if isinstance(error, _NO_ANSWER):
        cause = error.__cause__ or error
        return Unknown(Failure(None, "no_answer", f"No answer from the provider ({type(cause).__name__})."))
    if not isinstance(error, stripe.StripeError):
        return None
    said = _said(error)
    if said is None:
        return _without_form(error)
    failure = _failure(error, said)
    if failure.type == "idempotency_error":
        # The key was used before, with other parameters: this request was not done, but an earlier one may have been.
        return Unknown(failure)
    match failure.status:
        case 402:
            return Declined(failure)
        case 400 | 401 | 403 | 404 | 405 | 410 | 413 | 422:
            return Refused(failure)
        case status:
            return Unknown(failure, untouched=status in _UNTOUCHED_STATUS)


def not_understood(reason: str) -> Unknown:
    """The call was answered, but not in a form that we understand: it was done, we do not know how."""
    return Unknown(Failure(200, "answer_not_understood", reason))


def _said(error: stripe.StripeError) -> dict[str, Any] | None:
    """The provider's own error within the answer."""
    body = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    return body if isinstance(body, dict) else None


def _without_form(error: stripe.StripeError) -> Unknown:
    status = error.http_status
    if status is None:
        return Unknown(Failure(None, "no_answer", f"No answer from the provider ({type(error).__name__})."))
    reason = f"Answered with {status}, but not in the provider's own form: something on the way to it answered."
    code = _code_of(status) if status == 429 or status >= 500 else "answer_not_understood"
    return Unknown(Failure(status, code, reason, request_id=error.request_id), untouched=status in _UNTOUCHED_STATUS)


def _failure(error: stripe.StripeError, said: dict[str, Any]) -> Failure:
    payment = said.get("payment_intent")
    return Failure(
        status=error.http_status,
        code=_word(said, "code") or _code_of(error.http_status),
        message=_clean(_word(said, "message") or "No message."),
        type=_word(said, "type"),
        param=_word(said, "param"),
        decline_code=_word(said, "decline_code"),
        advice_code=_word(said, "advice_code"),
        payment_id=_word(payment, "id") if isinstance(payment, dict) else None,
        charge_id=_word(said, "charge"),
        request_id=error.request_id,
        replayed=True if (error.headers or {}).get("Idempotent-Replayed") == "true" else None,
    )


def _word(said: dict[str, Any], name: str) -> str | None:
    value = said.get(name)
    return value if isinstance(value, str) and value else None


def _clean(message: str) -> str:
    """Without what must not be kept: secrets, the addresses of persons, what no database column can hold."""
    shown = _SECRET.sub(r"\1_…", _ADDRESS.sub("…@…", message))
    return shown.encode(errors="replace").decode().replace("\x00", "")[:_MESSAGE_LENGTH_MAX]


def _code_of(status: int | None) -> str | None:
    return {401: "authentication", 429: "rate_limit"}.get(status) if status is not None else None
