"""Operators read every attempt at the provider, and decide what becomes of a request that was given up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketbill.payouts import transfer
from marketbill.provider.port import Failure, Refused

from .market import Market
from .test_payments import basket

LIST = (Path(__file__).resolve().parents[2] / "graphql/operations/providerIntents.graphql").read_text()
NO = Refused(Failure(400, "parameter_unknown", "No such colour.", request_id="req_1"))


@pytest.fixture
async def given_up(market: Market, monkeypatch: pytest.MonkeyPatch) -> str:
    """A market with a sale whose transfer the provider refused for certain; the id of that request."""
    await market.connect_provider()
    anna = await market.onboarded("Anna")
    paid = await market.operator.do(
        "paymentCreate", "payment { id }", **basket(anna), paymentMethodToken="pm_card_bypassPending"
    )

    async def refuse(provider: Any, intent: Any) -> Any:
        raise NO

    with monkeypatch.context() as broken:
        broken.setattr(transfer, "TRANSFER", replace(transfer.TRANSFER, send=refuse))
        await market.operator.do("paymentDeliver", "payment { id }", id=paid["payment"]["id"])

        async def refused() -> bool:
            return bool(await listed(market, "GAVE_UP"))

        await market.until(refused)
    [intent] = await listed(market, "GAVE_UP")
    return intent["id"]


async def listed(market: Market, *status: str) -> list[Any]:
    found = await market.operator.ask(LIST, status=list(status) or None, first=50)
    return found["providerIntents"]["nodes"]


async def test_a_request_is_read_with_its_attempts(market: Market, given_up: str) -> None:
    [intent] = await listed(market, "GAVE_UP")
    transfers = await market.operator.ask("{ transfers { nodes { id status } } }")
    assert transfers["transfers"]["nodes"] == [{"id": intent["subjectId"], "status": "REFUSED"}]
    assert (intent["kind"], intent["attemptCount"], intent["code"], intent["reason"], intent["nextAttemptAt"]) == (
        "create_transfer",
        1,
        "parameter_unknown",
        "No such colour.",
        None,
    )
    [attempt] = intent["attempts"]
    assert attempt["key"] == f"mb_{given_up}"
    assert attempt["endedAt"] >= attempt["startedAt"]
    told = {name: attempt[name] for name in ("number", "lookedUp", "outcome", "httpStatus", "message", "requestId")}
    assert told == {
        "number": 1,
        "lookedUp": False,
        "outcome": "REFUSED",
        "httpStatus": 400,
        "message": "No such colour.",
        "requestId": "req_1",
    }
    everything = await listed(market)
    assert {one["kind"] for one in everything} == {"create_account", "create_payment", "create_transfer"}
    assert [one["attempts"][0]["outcome"] for one in everything[1:]] == ["SUCCEEDED"] * 2
    assert await listed(market, "OPEN", "UNKNOWN", "REFUSED", "ABANDONED") == []
    found = await market.operator.ask(
        "query($i: ID!) { node(id: $i) { ... on ProviderIntent { status } } }", i=given_up
    )
    assert found["node"] == {"status": "GAVE_UP"}


async def test_a_retry_is_asked_for_once_and_goes_through(market: Market, given_up: str) -> None:
    for _ in range(2):
        again = await market.operator.do(
            "providerIntentRetry", "providerIntent { status decidedBy }", id=given_up, idempotencyKey="r"
        )
    assert again["providerIntent"]["status"] == "UNKNOWN"
    assert again["providerIntent"]["decidedBy"].startswith("key_")

    async def sent() -> bool:
        return bool(
            (await market.operator.ask("{ transfers(filter: {status: [SENT]}) { nodes { id } } }"))["transfers"][
                "nodes"
            ]
        )

    await market.until(sent)
    [intent] = [one for one in await listed(market, "SUCCEEDED") if one["id"] == given_up]
    assert [(one["key"], one["outcome"]) for one in intent["attempts"]] == [
        (f"mb_{given_up}-2", "SUCCEEDED"),
        (f"mb_{given_up}", "REFUSED"),
    ]
    refused = await market.operator.send("providerIntentRetry", "providerIntent { id }", id=given_up)
    assert (refused["errors"][0]["__typename"], refused["errors"][0]["code"]) == ("StateConflict", "STATE_INVALID")


async def test_a_request_is_abandoned_once_with_a_reason_that_is_kept(market: Market, given_up: str) -> None:
    for _ in range(2):
        done = await market.operator.do(
            "providerIntentAbandon",
            "providerIntent { status decidedBy decisionReason }",
            id=given_up,
            reason="paid by hand",
            idempotencyKey="a",
        )
        assert (done["providerIntent"]["status"], done["providerIntent"]["decisionReason"]) == (
            "ABANDONED",
            "paid by hand",
        )
    [intent] = await listed(market, "ABANDONED")
    assert (intent["id"], intent["decidedBy"][:4]) == (given_up, "key_")
    waiting = await market.operator.ask("{ transfers { nodes { status reason } } }")
    assert waiting["transfers"]["nodes"] == [{"status": "REFUSED", "reason": "Abandoned by an operator: paid by hand"}]


@pytest.mark.parametrize(
    ("changes", "kind", "path"),
    [
        ({"reason": " "}, "InvalidInput", ["reason"]),
        ({"reason": "x" * 501}, "InvalidInput", ["reason"]),
        ({"id": "int_00000000000000000000000000"}, "NotFound", ["id"]),
        ({"id": "pay_x"}, "NotFound", ["id"]),
        ({"idempotencyKey": ""}, "InvalidInput", ["idempotencyKey"]),
    ],
)
async def test_what_is_wrong_is_told_by_its_field(
    market: Market, given_up: str, changes: dict[str, Any], kind: str, path: list[str]
) -> None:
    input = {"id": given_up, "reason": "paid by hand"} | changes
    answer = await market.operator.send("providerIntentAbandon", "providerIntent { id }", **input)
    [error] = answer["errors"]
    assert (error["__typename"], error["path"]) == (kind, path)
    assert [one["status"] for one in await listed(market, "GAVE_UP")] == ["GAVE_UP"]
