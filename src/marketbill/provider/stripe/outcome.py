"""Which of the three outcomes an exception means: one pure function.

Judged by the HTTP status: the classes of stripe-python do not tell a definite answer from an open one (a 409 comes as
an APIError, a body that is not JSON too).
"""

import asyncio
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


def outcome_of(error: Exception) -> ProviderError | None:
    """What the exception of a call means; None when it is no matter of the provider but a defect of ours."""
    if isinstance(error, _NO_ANSWER):
        cause = error.__cause__ or error
        return Unknown(Failure(None, "no_answer", f"No answer from the provider ({type(cause).__name__})."))
    if not isinstance(error, stripe.StripeError):
        return None
    failure = _failure(error)
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


def _failure(error: stripe.StripeError) -> Failure:
    body: dict[str, Any] = {}
    if isinstance(error.json_body, dict) and isinstance(error.json_body.get("error"), dict):
        body = error.json_body["error"]
    payment = body.get("payment_intent")
    return Failure(
        status=error.http_status,
        code=body.get("code") or error.code or _code_of(error.http_status),
        message=str(body.get("message") or error.user_message or "No message.")[:_MESSAGE_LENGTH_MAX],
        type=body.get("type"),
        param=body.get("param"),
        decline_code=body.get("decline_code"),
        advice_code=body.get("advice_code"),
        payment_id=payment.get("id") if isinstance(payment, dict) else None,
        charge_id=body.get("charge") if isinstance(body.get("charge"), str) else None,
        request_id=error.request_id,
    )


def _code_of(status: int | None) -> str | None:
    return {401: "authentication", 429: "rate_limit"}.get(status) if status is not None else None
