"""A refusal is data when the mutation's union lists it, and an error of the response otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from marketbill import errors
from marketbill.errors import ErrorCode
from marketbill_graphql.errors import UserError, user_error

PAY = """mutation($minor: BigInt!) {
  duckPay(input: {idempotencyKey: "a", amount: {minor: $minor, currency: "EUR"}}) {
    duck { name }
    errors {
      __typename
      ... on UserError { code message path retryable }
      ... on InsufficientFunds { available { minor } }
    }
  }
}"""


async def test_a_listed_refusal_is_data(client: Any) -> None:
    answer = await client.ask(PAY, minor=1)

    assert "errors" not in answer
    assert answer["data"]["duckPay"] == {
        "duck": None,
        "errors": [
            {
                "__typename": "InsufficientFunds",
                "code": "INSUFFICIENT_FUNDS",
                "message": "Too little.",
                "path": ["amount"],
                "retryable": False,
                "available": {"minor": "0"},
            }
        ],
    }


async def test_a_refusal_that_is_not_listed_is_an_error(client: Any) -> None:
    answer = await client.ask(PAY, minor=2)

    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "PROVIDER_DECLINED"
    assert answer["errors"][0]["extensions"]["declineCode"] == "card_declined"


async def test_a_defect_of_a_mutation_is_masked(client: Any) -> None:
    answer = await client.ask(PAY, minor=3)

    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "hunter2" not in str(answer)


async def test_no_error_is_an_empty_list(client: Any) -> None:
    assert (await client.ask(PAY, minor=4))["data"]["duckPay"] == {"duck": {"name": "Dora"}, "errors": []}


REFUSALS = [
    errors.InvalidInput("x", constraint="> 0"),
    errors.Unauthenticated("x"),
    errors.Forbidden("x"),
    errors.NotFound("seller", "sel_1"),
    errors.StateConflict("x", current_state="PAID"),
    errors.SellerNotAllowed("x", seller_id="sel_1", gate="SELL"),
    errors.InsufficientFunds("x", available_minor=1, currency="JPY"),
    errors.IdempotencyConflict("x", in_progress=False),
    errors.IdempotencyConflict("x", in_progress=True),
    errors.ProviderDeclined("x", decline_code="lost_card"),
    errors.ProviderRefused("x", provider_code="parameter_unknown"),
    errors.ProviderUnavailable("x"),
    errors.ProviderNotConnected(),
    errors.LimitExceeded("x"),
    errors.PreviewStale(),
    errors.Unavailable("x"),
]


def test_every_code_has_a_refusal_and_every_refusal_a_type() -> None:
    assert {refusal.code for refusal in REFUSALS} == set(ErrorCode)
    for refusal in REFUSALS:
        error = user_error(refusal)
        assert isinstance(error, UserError)
        assert error.code is refusal.code
        assert error.retryable is refusal.retryable


@pytest.mark.parametrize("name", [name for name, thing in vars(errors).items() if isinstance(thing, type)])
def test_no_refusal_is_forgotten_here(name: str) -> None:
    thing = getattr(errors, name)
    if issubclass(thing, errors.Refusal) and thing is not errors.Refusal:
        assert any(type(refusal) is thing for refusal in REFUSALS)
