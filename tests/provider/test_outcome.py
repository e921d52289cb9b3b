"""Every way a call can fail is one of three outcomes."""

from typing import Any

import aiohttp
import pytest
import stripe

from marketbill.errors import ProviderDeclined, ProviderRefused, ProviderUnavailable
from marketbill.provider.port import Declined, Refused, Unknown
from marketbill.provider.stripe.outcome import outcome_of


def http(status: int | None, error: dict[str, Any] | None = None) -> stripe.StripeError:
    body = {"error": error} if error is not None else None
    return stripe.APIError("text", http_status=status, json_body=body, headers={"request-id": "req_1"})


@pytest.mark.parametrize(
    ("error", "kind", "code", "untouched"),
    [
        (http(402, {"code": "card_declined", "decline_code": "lost_card"}), Declined, "card_declined", None),
        (http(400, {"code": "balance_insufficient"}), Refused, "balance_insufficient", None),
        (http(400, {"type": "idempotency_error"}), Unknown, None, False),  # an earlier request may have been done
        (http(401, {}), Refused, "authentication", None),
        (http(403, {"code": "account_invalid"}), Refused, "account_invalid", None),
        (http(404, {"code": "resource_missing", "param": "id"}), Refused, "resource_missing", None),
        (http(409, {"code": "idempotency_key_in_use", "type": "invalid_request_error"}), Unknown, None, False),
        (http(409, {"type": "idempotency_error"}), Unknown, None, False),
        (http(429, {"code": "lock_timeout"}), Unknown, "lock_timeout", True),
        (http(429, {}), Unknown, "rate_limit", True),
        (http(500, {"type": "api_error"}), Unknown, None, False),
        (http(503), Unknown, None, False),
        (http(200), Unknown, None, False),  # a body that is not JSON
        (http(302), Unknown, None, False),
        (http(None), Unknown, None, False),
        (stripe.APIConnectionError("no route"), Unknown, "no_answer", False),
        (aiohttp.ClientPayloadError("cut off"), Unknown, "no_answer", False),
        (aiohttp.ServerDisconnectedError(), Unknown, "no_answer", False),
        (TimeoutError(), Unknown, "no_answer", False),
        (ConnectionResetError(), Unknown, "no_answer", False),
    ],
)
def test_an_exception_is_one_of_three_outcomes(
    error: Exception, kind: type[Exception], code: str | None, untouched: bool | None
) -> None:
    outcome = outcome_of(error)
    assert type(outcome) is kind
    assert outcome is not None
    if code is not None:
        assert outcome.failure.code == code
    assert getattr(outcome, "untouched", None) is untouched


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422])
def test_a_status_without_the_providers_own_form_is_no_definite_answer(status: int) -> None:
    """A firewall, a proxy, a page of somebody else's: it says nothing of what the provider did."""
    outcome = outcome_of(http(status))
    assert isinstance(outcome, Unknown)
    assert (outcome.failure.status, outcome.failure.code) == (status, "answer_not_understood")


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("Invalid API Key provided: sk_test_4eC39HqL", "Invalid API Key provided: sk_…"),
        ("The key 'rk_live_********1234' may not", "The key 'rk_…' may not"),
        ("secret pi_3Nabc_secret_XyZ09 is", "secret pi_3Nabc_secret_… is"),
        ("Invalid email address: anna@example.com", "Invalid email address: …@…"),
        ("No such destination: 'acct_1Nxyz'", "No such destination: 'acct_1Nxyz'"),
        ("half a character \ud800 and none \x00", "half a character ? and none "),
        ("x" * 600, "x" * 500),
    ],
)
def test_what_is_kept_of_a_message_holds_no_secret_and_no_person(message: str, kept: str) -> None:
    outcome = outcome_of(http(400, {"message": message}))
    assert outcome is not None
    assert outcome.failure.message == kept


def test_an_error_whose_fields_are_not_what_they_should_be_is_still_an_outcome() -> None:
    wrong = {"code": 7, "message": ["no"], "type": None, "charge": {}, "payment_intent": {"id": 5}, "param": {}}
    outcome = outcome_of(http(402, wrong))
    assert isinstance(outcome, Declined)
    assert outcome.failure.as_json() == {"status": 402, "message": "No message.", "request_id": "req_1"}


@pytest.mark.parametrize("defect", [TypeError("ours"), KeyError("ours"), ValueError("ours")])
def test_a_defect_of_ours_is_no_outcome(defect: Exception) -> None:
    assert outcome_of(defect) is None


def test_a_decline_names_its_payment_reason_and_advice() -> None:
    declined = outcome_of(
        http(
            402,
            {
                "type": "card_error",
                "code": "card_declined",
                "decline_code": "insufficient_funds",
                "advice_code": "try_again_later",
                "message": "Your card has insufficient funds.",
                "charge": "ch_1",
                "payment_intent": {"id": "pi_1", "status": "requires_payment_method"},
            },
        )
    )
    assert isinstance(declined, Declined)
    assert (declined.payment_id, declined.decline_code, declined.advice) == (
        "pi_1",
        "insufficient_funds",
        "try_again_later",
    )
    assert declined.retryable
    assert declined.failure.as_json()["request_id"] == "req_1"


def test_the_outcomes_are_refusals_that_the_edges_can_show() -> None:
    assert issubclass(Declined, ProviderDeclined)
    assert issubclass(Refused, ProviderRefused)
    assert issubclass(Unknown, ProviderUnavailable)
